"""Script lines that monitor a run and stop it when a limit is exceeded, and the names by which the log reports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Steps between checks of the limits and of the wall time.
STRIDE = 10
#: Names of the fixes that stop a run; the log contains the one that did.
EXPLOSION, LOSS, MELTING, HEATING, DRIFT = 'explosion', 'loss', 'melting', 'heating', 'drift'
#: Verdict on a run that exceeded no limit.
KEPT = 'kept its limits'
#: Name of the framework's displacement (A) in the thermodynamic output.
DISPLACEMENT = 'framework_displacement'
#: Included by the next segment: the energy at the beginning of the production.
ENERGY_FILE = 'energy.lammps'


def watched(values: Mapping[str, Any], name: str) -> Any:
    """Return a limit of ``watch``, None if it is off.

    :param values: parameters of the run, see `script.build_script`.
    :param name: of the limit.
    """
    return (values.get('watch') or {}).get(name)


def hottest(values: Mapping[str, Any]) -> float:
    """Return the highest target temperature of the thermostat in K.

    :param values: parameters of the run, see `script.build_script`.
    """
    return float(max(values['temperature'], values.get('final_temperature') or 0.0))


def framework_types(values: Mapping[str, Any], elements: Sequence[str]) -> list[int]:
    """Return the atom types, counted from 1, of the framework: the elements that are not mobile.

    :param values: parameters of the run, see `script.build_script`.
    :param elements: element of atom type 1, 2, ...
    """
    mobile = watched(values, 'mobile') or []
    return [index for index, element in enumerate(elements, 1) if element not in mobile]


def watches_framework(values: Mapping[str, Any], elements: Sequence[str]) -> bool:
    """Whether the displacement of the framework is monitored and there are framework atoms.

    :param values: parameters of the run, see `script.build_script`.
    :param elements: element of atom type 1, 2, ...
    """
    return watched(values, 'framework_displacement') is not None and bool(framework_types(values, elements))


def _halt(name: str, variable: str, limit: float) -> str:
    return f'fix {name} all halt {STRIDE} v_{variable} > {limit:.10g} error soft message yes'


def watch_atoms() -> list[str]:
    """Stop when an atom is lost; the other checks and the thermodynamic output would notice it too late."""
    return ['variable lost equal $(count(all))-count(all)', _halt(LOSS, 'lost', 0.5)]


def watch_forces(values: Mapping[str, Any]) -> list[str]:
    """Stop when the force on an atom exceeds ``stop_force`` in eV/A.

    :param values: parameters of the run, see `script.build_script`.
    """
    if not values['stop_force']:
        return []
    return [
        'variable force_squared atom fx*fx+fy*fy+fz*fz',
        'compute largest_force all reduce max v_force_squared',
        'variable largest_force equal sqrt(c_largest_force)',
        _halt(EXPLOSION, 'largest_force', values['stop_force']),
    ]


def watch_framework(values: Mapping[str, Any], elements: Sequence[str]) -> list[str]:
    """Stop when the root mean square displacement of the framework from its sites exceeds the limit in A.

    Displacements are taken in fractional coordinates, so that a fluctuating cell moves no atom, and relative to the
    framework's centre of mass. The sites are those of the input structure, and restart files contain them.

    :param values: parameters of the run, see `script.build_script`.
    :param elements: element of atom type 1, 2, ...
    """
    if not watches_framework(values, elements):
        return []
    kinds = ' '.join(str(kind) for kind in framework_types(values, elements))
    axes = tuple(enumerate('xyz', 1))
    return [
        f'group framework type {kinds}',
        'fix sites framework store/state 0 xsu ysu zsu',
        'compute place framework property/atom xu yu zu',
        # The box origin shifts all atoms equally and cancels with the centre of mass.
        'variable scaled_z atom c_place[3]/lz',
        'variable scaled_y atom (c_place[2]-yz*v_scaled_z)/ly',
        'variable scaled_x atom (c_place[1]-xy*v_scaled_y-xz*v_scaled_z)/lx',
        *(f'variable way_{axis} atom mass*(v_scaled_{axis}-f_sites[{index}])' for index, axis in axes),
        'compute way framework reduce sum v_way_x v_way_y v_way_z',
        # If all framework atoms are lost, LAMMPS would divide by zero before the run is stopped.
        'variable framework_mass equal ternary(mass(framework)==0,1,mass(framework))',
        *(f'variable centre_{axis} equal c_way[{index}]/v_framework_mass' for index, axis in axes),
        *(f'variable moved_{axis} atom v_scaled_{axis}-f_sites[{index}]-v_centre_{axis}' for index, axis in axes),
        'variable moved atom (lx*v_moved_x+xy*v_moved_y+xz*v_moved_z)^2+(ly*v_moved_y+yz*v_moved_z)^2+(lz*v_moved_z)^2',
        'compute moved framework reduce ave v_moved',
        f'variable {DISPLACEMENT} equal sqrt(c_moved)',
        _halt(MELTING, DISPLACEMENT, watched(values, 'framework_displacement')),
    ]


def watch_production(values: Mapping[str, Any], start: int, folder: str, previous: str) -> list[str]:
    """Stop a production that heats up or whose conserved energy drifts.

    :param values: parameters of the run, see `script.build_script`.
    :param start: step at which production begins.
    :param folder: where the initial energy is stored for the next segment.
    :param previous: name of this folder in the next segment.
    """
    lines = []
    if (heating := watched(values, 'heating')) is not None:
        lines += ['variable hotness equal temp', _halt(HEATING, 'hotness', (1 + heating) * hottest(values))]
    if (drift := watched(values, 'energy_drift')) is not None:
        lines += [
            # Thermodynamic quantities are defined only after a run.
            'run 0 post no',
            'variable energy_start equal $(econserve/atoms:%.15g)',
            f'if "$(step) > {start}" then "include {previous}/{ENERGY_FILE}"',
            f'print "variable energy_start equal ${{energy_start}}" append {folder}/{ENERGY_FILE} screen no',
            f'variable elapsed equal (step-{start})*dt',
            # In meV/(atom ps); less than one picosecond counts as one, since energies also fluctuate.
            'variable energy_drift equal 1000*abs(econserve/atoms-v_energy_start)/ternary(v_elapsed<1,1,v_elapsed)',
            _halt(DRIFT, 'energy_drift', drift),
        ]
    return lines
