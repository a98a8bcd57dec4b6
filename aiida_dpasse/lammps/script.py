"""The LAMMPS input script of one segment of molecular dynamics; the potential is loaded by commands that are given.

A run consists of equilibration (optional) and production. Steps are counted from 0 without reset, so a segment that
continues from a restart file ends at the same step as an uninterrupted run, whichever stage it was stopped in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ase.data import chemical_symbols

from aiida_dpasse.lammps.fixed import (
    TEMPERATURE,
    first_velocities,
    hold_atoms,
    moving_group,
    thermostat_temperature,
)
from aiida_dpasse.lammps.watch import (
    DISPLACEMENT,
    STRIDE,
    watch_atoms,
    watch_forces,
    watch_framework,
    watch_production,
    watches_framework,
)

#: Optional parameters. Units: K, GPa, fs.
DEFAULTS: dict[str, Any] = {
    'final_temperature': None,
    'pressure': 0.0,
    'timestep': 1.0,
    'equilibration': None,
    'coupling': None,
    'fixed': None,
    'thermo_interval': 100,
    'sample_interval': None,
    'deviation_interval': None,
    'trajectory_interval': None,
    'restart_interval': None,
    'relative_deviation': None,
    'stop_force': None,
    'watch': None,
    'temperature_damping': 100.0,
    'pressure_damping': 1000.0,
}

DATA_FILE = 'structure.data'
SAMPLES_FILE = 'samples.lammpstrj'
TRAJECTORY_FILE = 'trajectory.lammpstrj'
LAST_FILE = 'last.lammpstrj'
DEVIATION_FILE = 'model_devi.out'
#: Folder of the restart files, and the name of that of the previous segment.
RESTART_FOLDER = 'restart'
PREVIOUS_FOLDER = 'previous'

BAR_PER_GPA = 1e4
_RESTART_FILES = 'md.*'
_AVERAGE_FILE = 'average.lammps'
#: Written when a stage begins, so that a segment can be continued from its first step. Must follow the integrator fix,
#: or LAMMPS discards the thermostat state it has just read.
_WRITE_RESTART = f'write_restart {RESTART_FOLDER}/{_RESTART_FILES}'
_CELL = ('lx', 'ly', 'lz', 'xy', 'xz', 'yz')
#: Included by the next segment: the number of samples so far, and their mean.
_AVERAGE_LINE = 'variable before vector [${total},' + ','.join(f'${{{name}_mean}}' for name in _CELL) + ']'


def check_elements(elements: Iterable[str]) -> None:
    """Check that names are symbols of elements, since they become words of commands.

    :param elements: the names.
    :raises ValueError: if one is not.
    """
    for element in elements:
        if element not in chemical_symbols[1:]:
            raise ValueError(f'{element!r} is not an element: correct the structure.')


def total_steps(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Return the steps at which equilibration and production end.

    :param parameters: as for :func:`build_script`.
    """
    equilibration = parameters.get('equilibration') or {'steps': 0}
    return equilibration['steps'], equilibration['steps'] + parameters['steps']


def restart_interval(parameters: Mapping[str, Any]) -> int:
    """Return the steps between restart files: as given, by default such that a run writes at most twenty.

    :param parameters: as for :func:`build_script`.
    """
    wanted = parameters.get('restart_interval') or max(100, -(-total_steps(parameters)[1] // 20))
    return -(-wanted // STRIDE) * STRIDE


def deviation_interval(parameters: Mapping[str, Any]) -> int:
    """Return the steps between two rows of the committee's deviation.

    :param parameters: as for :func:`build_script`.
    """
    values = {**DEFAULTS, **parameters}
    return int(values['deviation_interval'] or values['sample_interval'] or values['thermo_interval'])


def build_script(
    parameters: Mapping[str, Any],
    pair: Sequence[str],
    elements: Sequence[str],
    continued: bool = False,
    walltime_s: float | None = None,
    orthogonal: bool = False,
) -> str:
    """Return the input script of one segment.

    :param parameters: ``ensemble`` ('nve', 'nvt', 'npt'), ``temperature`` (K), ``steps``, ``seed`` and those of
        :data:`DEFAULTS`: ``final_temperature`` (K, at the end of the production, approached linearly from
        ``temperature``), ``pressure`` (GPa), ``timestep`` (fs), ``equilibration`` ({'ensemble', 'steps'}), ``coupling``
        ('iso', 'aniso', 'tri'; by default 'aniso' for an orthogonal cell and 'tri' for any other), intervals in steps,
        dampings in fs; ``relative_deviation`` (eV/A, for ``pair``), ``stop_force (eV/A: the run stops when the force
        on an atom exceeds it), ``watch`` (``mobile`` elements; limits ``framework_displacement`` in A, ``heating`` as a
        fraction of the temperature, ``energy_drift`` in meV/(atom ps): the run stops when one is exceeded); ``fixed``
        (indices, from 0, of atoms that do not move; not with 'npt').
    :param pair: commands that load the potential (``pair_style``, ``pair_coeff``).
    :param elements: element of atom type 1, 2, ...
    :param continued: whether to continue from the latest restart file in :data:`PREVIOUS_FOLDER`.
    :param walltime_s: seconds after which the run stops by itself and writes a restart file.
    :param orthogonal: whether the cell is orthogonal.
    :raises ValueError: if a name is not an element, or a parameter is not a number: they are part of commands.
    """
    check_elements(elements)
    values = {**DEFAULTS, **parameters}
    middle, last = total_steps(values)
    equilibration = values['equilibration'] if middle else None
    lines = _setup(values, pair, elements, continued, walltime_s)
    if equilibration:
        lines += _equilibration(values, equilibration, continued, orthogonal)
    lines += [
        '',
        'label production',
        *_integrator('production', values['ensemble'], values, orthogonal, values['final_temperature']),
        _WRITE_RESTART,
        *watch_production(values, middle, RESTART_FOLDER, PREVIOUS_FOLDER),
        *_dumps(values, elements),
        # Without `start` and `stop` the temperature ramp would begin anew in every segment.
        f'run {last} upto' + (f' start {middle} stop {last}' if values['final_temperature'] else ''),
        '',
        'label end',
        _WRITE_RESTART,
        f'write_dump all custom {LAST_FILE} id element xu yu zu modify sort id '
        f'element {" ".join(elements)} format float %.15g',
    ]
    return '\n'.join(lines) + '\n'


def _setup(
    values: Mapping[str, Any], pair: Sequence[str], elements: Sequence[str], continued: bool, walltime_s: float | None
) -> list[str]:
    lines = [
        'units metal',
        'boundary p p p',
        'atom_style atomic',
        # Message-passing models need the map from ids to atoms.
        'atom_modify map yes',
        f'read_restart {PREVIOUS_FOLDER}/{_RESTART_FILES}' if continued else f'read_data {DATA_FILE}',
        *pair,
        'neighbor 1.0 bin',
        'neigh_modify every 1 delay 0 check yes',
        f'timestep {values["timestep"] / 1000:.10g}',
        *watch_atoms(),
        *watch_framework(values, elements),
        *hold_atoms(values),
        f'thermo {values["thermo_interval"]}',
        'thermo_style custom step temp pe ke etotal econserve press vol lx ly lz xy xz yz'
        + (f' v_{DISPLACEMENT}' if watches_framework(values, elements) else ''),
        # 15 digits, since energy differences of large cells are small against the energies.
        'thermo_modify lost error flush yes format float %.15g' + (f' temp {TEMPERATURE}' if values['fixed'] else ''),
    ]
    if not continued:
        lines.append(first_velocities(values))
    lines += watch_forces(values)
    if walltime_s is not None:
        lines.append(f'timer timeout {_clock(walltime_s)} every {STRIDE}')
    lines += [
        f'shell mkdir {RESTART_FOLDER}',
        f'restart {restart_interval(values)} {RESTART_FOLDER}/{_RESTART_FILES}',
    ]
    return lines


def _clock(seconds: float) -> str:
    whole = max(1, int(seconds))
    return f'{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}'


def _integrator(
    name: str, ensemble: str, values: Mapping[str, Any], orthogonal: bool, final: float | None = None
) -> list[str]:
    group = moving_group(values)
    first, last = values['temperature'], final or values['temperature']
    thermostat = f'temp {first:.10g} {last:.10g} {values["temperature_damping"] / 1000:.10g}'
    if ensemble == 'nve':
        return [f'fix {name} {group} nve']
    if ensemble == 'nvt':
        return [f'fix {name} {group} nvt {thermostat}', *thermostat_temperature(name, values)]
    coupling = values['coupling'] or ('aniso' if orthogonal else 'tri')
    pressure = f'{values["pressure"] * BAR_PER_GPA:.10g}'
    # No flips: they change the choice of lattice vectors, which would invalidate displacements and frame ids.
    return [
        f'fix {name} all npt {thermostat} {coupling} {pressure} {pressure} '
        f'{values["pressure_damping"] / 1000:.10g} flip no'
    ]


def _equilibration(values: Mapping[str, Any], stage: Mapping[str, Any], continued: bool, orthogonal: bool) -> list[str]:
    end = stage['steps']
    averaged = stage['ensemble'] == 'npt' and values['ensemble'] != 'npt'
    lines = [
        '',
        f'if "$(step) >= {end}" then "jump SELF production"',
        *_integrator('equilibration', stage['ensemble'], values, orthogonal),
        _WRITE_RESTART,
    ]
    if averaged:
        lines += _start_average(end, restart_interval(values), continued)
    lines.append(f'run {end} upto')
    if averaged:
        lines.append(f'print """{_AVERAGE_LINE}""" append {RESTART_FOLDER}/{_AVERAGE_FILE} screen no')
    # Stopped by the time limit: production belongs to the next segment.
    lines.append(f'if "$(step) < {end}" then "jump SELF end"')
    if averaged:
        lines += [
            *(f'variable {name}_final equal ${{{name}_mean}}' for name in _CELL),
            'unfix keep_average',
            'unfix average',
            'change_box all '
            + ' '.join(f'{axis} final 0 ${{l{axis}_final}}' for axis in 'xyz')
            + ' '
            + ' '.join(f'{tilt} final ${{{tilt}_final}}' for tilt in _CELL[3:])
            + ' remap units box',
        ]
    return [*lines, 'unfix equilibration']


def _start_average(end: int, interval: int, continued: bool) -> list[str]:
    """Average the cell over the second half, across segments: a fix's averages are not part of restart files.

    The vector `before` holds the number of samples of earlier segments and their mean; the sample at the step of the
    restart file is the last of one segment and the first of the next.
    """
    stride = STRIDE if end >= 10 * STRIDE else 1
    half = end // 2 // stride * stride
    lines = ['variable before vector [0,0,0,0,0,0,0]']
    if continued:
        lines.append(f'include {PREVIOUS_FOLDER}/{_AVERAGE_FILE}')
    lines += [
        *(f'variable {name}_now equal {name}' for name in _CELL),
        f'variable first equal $(ternary(step<{half},{half},step))',
        f'variable count equal ternary(step<v_first,0,floor((step-v_first)/{stride})+1)',
        'variable total equal v_before[1]+v_count',
        f'fix average all ave/time {stride} 1 {stride} {" ".join(f"v_{name}_now" for name in _CELL)} '
        'ave running start ${first}',
        *(
            f'variable {name}_mean equal (v_before[1]*v_before[{index + 1}]+v_count*f_average[{index}])'
            '/ternary(v_total<1,1,v_total)'
            for index, name in enumerate(_CELL, 1)
        ),
        f'fix keep_average all print {interval} """{_AVERAGE_LINE}""" '
        f'append {RESTART_FOLDER}/{_AVERAGE_FILE} screen no',
    ]
    return lines


def _dumps(values: Mapping[str, Any], elements: Sequence[str]) -> list[str]:
    lines = []
    if values['sample_interval']:
        lines += [
            f'dump samples all custom {values["sample_interval"]} {SAMPLES_FILE} id element xu yu zu',
            f'dump_modify samples sort id element {" ".join(elements)} format float %.15g',
        ]
    if values['trajectory_interval']:
        # Sorted by id, and few numbers have exponents, so that frames are read together (`lammps.rows`).
        lines += [
            f'dump trajectory all custom {values["trajectory_interval"]} {TRAJECTORY_FILE} id type xu yu zu',
            'dump_modify trajectory sort id format float %.10g',
        ]
    return lines
