"""Reading of LAMMPS logs: thermodynamics, speed, and how the run ended; truncated logs included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.lammps.speed import katom_steps_per_s
from aiida_dpasse.lammps.watch import DISPLACEMENT, EXPLOSION, LOSS

#: Our name and unit factor (bar -> GPa) of each column of the thermo table.
COLUMNS = {
    'Step': ('step', 1.0),
    'Temp': ('temperature_K', 1.0),
    'PotEng': ('potential_energy_eV', 1.0),
    'KinEng': ('kinetic_energy_eV', 1.0),
    'TotEng': ('total_energy_eV', 1.0),
    # The total energy minus the energy supplied by thermostat and barostat.
    'Econserve': ('conserved_energy_eV', 1.0),
    'Press': ('pressure_GPa', 1e-4),
    'Volume': ('volume_A3', 1.0),
    'Lx': ('lx_A', 1.0),
    'Ly': ('ly_A', 1.0),
    'Lz': ('lz_A', 1.0),
    'Xy': ('xy_A', 1.0),
    'Xz': ('xz_A', 1.0),
    'Yz': ('yz_A', 1.0),
    f'v_{DISPLACEMENT}': ('framework_displacement_A', 1.0),
}

_REAL = r'([+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})(?:[eE][+-]?\d{1,3})?|[+-]?nan|[+-]?inf)'
_LOOP = re.compile(rf'^Loop time of {_REAL} on (\d{{1,9}}) procs for (\d{{1,18}}) steps with (\d{{1,18}}) atoms')
_USE = re.compile(rf'^{_REAL}% CPU use with (\d{{1,9}}) MPI tasks x (\d{{1,9}}|no) OpenMP threads')
_START = re.compile(r'^\s*Current step\s*: (\d{1,18})\s*$')
_WALL = re.compile(r'^Total wall time: (\d{1,9}):(\d{1,2}):(\d{1,2})\s*$')
_ERROR = re.compile(r'^ERROR.*?: (.*?)(?:\s*\(\S+?:\d+\))?$')
#: Largest step that is taken for one.
LARGEST_STEP = 10**18
#: Message of the fix that stops a run when a limit is exceeded.
_HALT = re.compile(r'Fix halt condition for fix-id (\S+) met on step (\d{1,18}) with value ' + _REAL)
#: Messages of LAMMPS for an unstable simulation.
_EXPLOSION = re.compile(
    r'lost atoms|non-numeric|atoms? (?:out of range|missing)|out of range atoms|simulation unstable'
    r'|too many neighbor|neighbor list overflow|box bounds are invalid|illegal simulation box|restrict(?:ed)? tri',
    re.IGNORECASE,
)


@dataclass
class Loop:
    """One finished run of a job, with LAMMPS' own loop time, which excludes setup."""

    #: The step at which it began, None if the log does not contain it.
    first_step: int | None
    steps: int
    atoms: int
    seconds: float
    processes: int
    #: OpenMP threads per process, and CPU use during the loop in per cent.
    threads: int | None = None
    cpu_percent: float | None = None


@dataclass
class Log:
    """Contents of a log. ``thermo`` holds arrays (rows,) under the names of :data:`COLUMNS`, sorted by step."""

    thermo: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    #: The finished runs, in order.
    loops: list[Loop] = field(default_factory=list)
    #: First step of the last run begun.
    first_step: int | None = None
    #: Total wall time in s, None unless LAMMPS finished.
    wall_time_s: float | None = None
    #: The message of the first error.
    error: str | None = None
    #: Whether LAMMPS stopped at its wall time limit.
    timed_out: bool = False
    #: The fix that stopped the run, the step and the value, if a limit was exceeded: see `lammps.watch`.
    stopped_by: tuple[str, int, float] | None = None

    @property
    def loop_time_s(self) -> float:
        """Total loop time of the finished runs, s."""
        return sum(loop.seconds for loop in self.loops)

    @property
    def steps(self) -> int:
        """Total number of steps of the finished runs."""
        return sum(loop.steps for loop in self.loops)

    @property
    def atom_steps(self) -> int:
        """Sum of atoms times steps over the finished runs."""
        return sum(loop.atoms * loop.steps for loop in self.loops)

    @property
    def katom_steps_per_s(self) -> float | None:
        """Speed of the finished runs in thousand atom steps per second; None if no time passed."""
        return katom_steps_per_s(self.atom_steps, self.loop_time_s)

    @property
    def last_step(self) -> int | None:
        """The last step known to be completed; a run stopped by the time limit ends between two rows of the table."""
        ends = [loop.first_step + loop.steps for loop in self.loops[-1:] if loop.first_step is not None]
        if len(self.thermo.get('step', ())):
            ends.append(int(self.thermo['step'][-1]))
        return max(ends, default=None)

    @property
    def exploded(self) -> bool:
        """Whether atoms were lost, a force exceeded its limit, or a quantity became non-finite."""
        if self.stopped_by is not None and self.stopped_by[0] in (EXPLOSION, LOSS):
            return True
        if self.error and _EXPLOSION.search(self.error):
            return True
        return any(not np.isfinite(values).all() for values in self.thermo.values())


def parse_log(text: str) -> Log:
    """Read the output of one LAMMPS job, which may contain several runs and be truncated anywhere.

    Truncated rows are skipped; `nan` and `inf` are kept. Of a step printed twice the later row counts.

    :param text: what LAMMPS printed.
    """
    log = Log()
    columns: list[str] = []
    rows: dict[int, dict[str, float]] = {}
    lines = text.split('\n')
    for index, line in enumerate(lines):
        fields = line.split()
        if fields and fields[0] == 'Step':
            columns = fields
        elif match := _START.match(line):
            log.first_step = int(match[1])
        elif match := _LOOP.match(line):
            columns = []
            processes, steps, atoms = (int(match[part]) for part in (2, 3, 4))
            log.loops.append(Loop(log.first_step, steps, atoms, float(match[1]), processes))
        elif (match := _USE.match(line)) and log.loops:
            log.loops[-1].cpu_percent = float(match[1])
            # `procs` of the line before counts the threads of all processes.
            log.loops[-1].processes = int(match[2])
            log.loops[-1].threads = 1 if match[3] == 'no' else int(match[3])
        elif match := _WALL.match(line):
            hours, minutes, seconds = (int(part) for part in match.groups())
            log.wall_time_s = 3600.0 * hours + 60.0 * minutes + seconds
        elif match := _ERROR.match(line):
            columns = []
            log.error = log.error or match[1]
        elif match := _HALT.search(line):
            log.stopped_by = log.stopped_by or (match[1], int(match[2]), float(match[3]))
        elif 'Wall time limit reached' in line:
            log.timed_out = True
        elif columns and len(fields) == len(columns) and index < len(lines) - 1:
            numbers = _numbers(fields)
            if numbers:
                rows[int(numbers[0])] = dict(zip(columns, numbers, strict=True))
    ordered = [rows[step] for step in sorted(rows)]
    log.thermo = {
        name: np.array([row.get(column, np.nan) for row in ordered]) * factor
        for column, (name, factor) in COLUMNS.items()
        if not ordered or any(column in row for row in ordered)
    }
    return log


def _numbers(fields: Sequence[str]) -> list[float]:
    try:
        if abs(int(fields[0])) > LARGEST_STEP:
            return []
        return [float(value) for value in fields]
    except ValueError:
        return []


def join_tables(tables: Sequence[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """Join the tables of the segments of one run; where steps repeat, the later table counts.

    :param tables: arrays (rows, ...) by name, among them ``step``, in the order of the segments.
    :returns: the columns common to all tables, with rows in the order of the steps.
    """
    tables = [table for table in tables if len(table.get('step', ()))]
    if not tables:
        return {}
    names = [name for name in tables[0] if all(name in table for table in tables)]
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for index, table in enumerate(tables):
        end = min((later['step'][0] for later in tables[index + 1 :]), default=np.inf)
        keep = table['step'] < end
        for name in names:
            parts[name].append(table[name][keep])
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def production_means(thermo: dict[str, NDArray[np.float64]], start: int) -> dict[str, float]:
    """Return mean and standard deviation of the thermodynamic quantities after step ``start``.

    :param thermo: arrays (rows,) by name, see :data:`COLUMNS`.
    :param start: step at which production begins; its own row is excluded.
    :returns: ``temperature_mean_K``, ``temperature_spread_K`` and so on; empty if there are no rows.
    """
    if not len(thermo.get('step', ())):
        return {}
    rows = thermo['step'] > start
    means = {}
    for name in ('temperature_K', 'pressure_GPa', 'volume_A3', 'potential_energy_eV', 'total_energy_eV'):
        values = thermo.get(name, np.empty(0))
        values = values[rows] if len(values) else values
        if len(values) and np.isfinite(values).all():
            quantity, _, unit = name.rpartition('_')
            means[f'{quantity}_mean_{unit}'] = float(values.mean())
            means[f'{quantity}_spread_{unit}'] = float(values.std())
    return means
