"""Lines of the script that watch a run, and stop it when a limit is crossed; and what LAMMPS says then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Steps between looks at what is watched, and at the clock.
STRIDE = 10
#: Names of the fixes that stop a run; the log names the one that did.
EXPLOSION, LOSS, MELTING, HEATING, DRIFT = 'explosion', 'loss', 'melting', 'heating', 'drift'
#: The verdict on a run that none of them stopped.
KEPT = 'kept its limits'
#: The framework's displacement in A, as it stands in the table of the thermodynamic quantities.
DISPLACEMENT = 'framework_displacement'
#: What the next segment includes: the energy with which production began.
ENERGY_FILE = 'energy.lammps'


def watched(values: Mapping[str, Any], name: str) -> Any:
    """Return the limit ``name`` of the watch, None if it is off."""
    return (values.get('watch') or {}).get(name)


def hottest(values: Mapping[str, Any]) -> float:
    """Return the highest temperature in K that the thermostat asks for."""
    return float(max(values['temperature'], values.get('final_temperature') or 0.0))


def framework_types(values: Mapping[str, Any], elements: Sequence[str]) -> list[int]:
    """Return the atom types, from 1 on, of the elements that should keep their sites."""
    mobile = watched(values, 'mobile') or []
    return [index for index, element in enumerate(elements, 1) if element not in mobile]


def watches_framework(values: Mapping[str, Any], elements: Sequence[str]) -> bool:
    """Whether the displacement of the framework is watched, and there is one."""
    return watched(values, 'framework_displacement') is not None and bool(framework_types(values, elements))


def _halt(name: str, variable: str, limit: float) -> str:
    return f'fix {name} all halt {STRIDE} v_{variable} > {limit:.10g} error soft message yes'


def watch_atoms() -> list[str]:
    """Stop when an atom is lost: what else is watched, and the table of thermodynamics, would look too late."""
    return ['variable lost equal $(count(all))-count(all)', _halt(LOSS, 'lost', 0.5)]


def watch_forces(values: Mapping[str, Any]) -> list[str]:
    """Stop when the force on an atom exceeds ``stop_force`` in eV/A."""
    if not values['stop_force']:
        return []
    return [
        'variable force_squared atom fx*fx+fy*fy+fz*fz',
        'compute largest_force all reduce max v_force_squared',
        'variable largest_force equal sqrt(c_largest_force)',
        _halt(EXPLOSION, 'largest_force', values['stop_force']),
    ]


def watch_framework(values: Mapping[str, Any], elements: Sequence[str]) -> list[str]:
    """Stop when the framework's root mean square displacement from its sites exceeds the limit in A.

    Fractional coordinates are compared, so that a cell that breathes moves no atom, relative to the centre of mass of
    the framework. The sites are those of the structure; restart files hold them.
    """
    if not watches_framework(values, elements):
        return []
    kinds = ' '.join(str(kind) for kind in framework_types(values, elements))
    axes = tuple(enumerate('xyz', 1))
    return [
        f'group framework type {kinds}',
        'fix sites framework store/state 0 xsu ysu zsu',
        'compute place framework property/atom xu yu zu',
        # The corner of the box is in all of them alike, and goes with the centre of mass.
        'variable scaled_z atom c_place[3]/lz',
        'variable scaled_y atom (c_place[2]-yz*v_scaled_z)/ly',
        'variable scaled_x atom (c_place[1]-xy*v_scaled_y-xz*v_scaled_z)/lx',
        *(f'variable way_{axis} atom mass*(v_scaled_{axis}-f_sites[{index}])' for index, axis in axes),
        'compute way framework reduce sum v_way_x v_way_y v_way_z',
        # Where all of its atoms are lost LAMMPS would divide by nothing before the run is stopped.
        'variable framework_mass equal ternary(mass(framework)==0,1,mass(framework))',
        *(f'variable centre_{axis} equal c_way[{index}]/v_framework_mass' for index, axis in axes),
        *(f'variable moved_{axis} atom v_scaled_{axis}-f_sites[{index}]-v_centre_{axis}' for index, axis in axes),
        'variable moved atom (lx*v_moved_x+xy*v_moved_y+xz*v_moved_z)^2+(ly*v_moved_y+yz*v_moved_z)^2+(lz*v_moved_z)^2',
        'compute moved framework reduce ave v_moved',
        f'variable {DISPLACEMENT} equal sqrt(c_moved)',
        _halt(MELTING, DISPLACEMENT, watched(values, 'framework_displacement')),
    ]


def watch_production(values: Mapping[str, Any], start: int, folder: str, previous: str) -> list[str]:
    """Stop a production, which begins at step ``start``, that heats up or whose conserved energy drifts.

    :param folder: where the energy with which it began is kept for the next segment, which finds it in ``previous``.
    """
    lines = []
    if (heating := watched(values, 'heating')) is not None:
        lines += ['variable hotness equal temp', _halt(HEATING, 'hotness', (1 + heating) * hottest(values))]
    if (drift := watched(values, 'energy_drift')) is not None:
        lines += [
            # An energy is known only after a run.
            'run 0 post no',
            'variable energy_start equal $(econserve/atoms:%.15g)',
            f'if "$(step) > {start}" then "include {previous}/{ENERGY_FILE}"',
            f'print "variable energy_start equal ${{energy_start}}" append {folder}/{ENERGY_FILE} screen no',
            f'variable elapsed equal (step-{start})*dt',
            # meV an atom over ps; less than one picosecond counts as one, since energies also fluctuate.
            'variable energy_drift equal 1000*abs(econserve/atoms-v_energy_start)/ternary(v_elapsed<1,1,v_elapsed)',
            _halt(DRIFT, 'energy_drift', drift),
        ]
    return lines
