"""Convert DP-GEN's exploration and selection: jobs of all iterations, trust levels, and number of labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_dpasse.dpgen.keys import Keys, Ledger, listed, number, shortened, whole
from aiida_dpasse.unreadable import UnreadableError

JOBS = 'model_devi_jobs'
BAR_PER_GPA = 1e4
FS_PER_PS = 1e3
#: Coupling of the cell to the barostat, by DP-GEN's name of the ensemble.
COUPLINGS = {'npt': 'iso', 'npt-i': 'iso', 'npt-iso': 'iso', 'npt-a': 'aniso', 'npt-aniso': 'aniso'}
COUPLINGS |= {'npt-t': 'tri', 'npt-tri': 'tri'}
#: Largest trust level that the protocols allow without raising `trust.explosion`, in eV/A.
EXPLOSION = 10.0
_TEMPLATE = 'the LAMMPS script is written here: give its settings in `explore.md`'
#: Keys of a job without a counterpart: the reason, and the values that have no effect.
JOB_KEYS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'template': (_TEMPLATE, ()),
    'rev_mat': (_TEMPLATE, ()),
    'sys_rev_mat': (_TEMPLATE, ()),
    'nbeads': ('no path integrals are run: atoms are classical', (None, 1)),
    'neidelay': ('neighbours are looked for whenever an atom has moved far enough', ()),
    'taut': ('DP-GEN does not read it in a job: set `explore.md.temperature_damping` (fs)', ()),
    'taup': ('DP-GEN does not read it in a job: set `explore.md.pressure_damping` (fs)', ()),
    'dt': ('all runs have one timestep: set `explore.md.timestep` (fs)', (None,)),
    'pka_e': ('no run starts with a fast atom', (None,)),
    'task_min': ('candidates are labelled however few they are', (-1, 0, 1)),
    'model_devi_v_trust_lo': ('frames are chosen by the deviation of the forces only', (1e10,)),
    'model_devi_v_trust_hi': ('frames are chosen by the deviation of the forces only', (1e10,)),
}


_SPAN = re.compile(r'(?P<first>[0-9]{1,9})(-(?P<end>[0-9]{1,9}))?(:(?P<step>[0-9]{1,9}))?')


@dataclass(frozen=True)
class Job:
    """One iteration: systems by index, temperatures in K, pressures in GPa.

    Values that a LAMMPS template defines are empty or None.
    """

    systems: tuple[int, ...]
    interval: int
    ensemble: str | None
    temperatures: tuple[float, ...]
    pressures: tuple[float, ...]
    steps: int | None
    levels: tuple[Any, Any]

    @property
    def conditions(self) -> dict[str, Any]:
        """Content of a stage."""
        return {
            'temperatures': list(self.temperatures),
            'pressures': list(self.pressures),
            'steps': self.steps,
            'ensemble': str(self.ensemble).partition('-')[0],
            **({'coupling': COUPLINGS[self.ensemble]} if self.ensemble in COUPLINGS else {}),
        }


def read_jobs(keys: Keys, systems: int) -> list[Job]:
    """Return the jobs of all iterations, in their order.

    :param keys: keys of param.json.
    :param systems: number of entries of `sys_configs`.
    :raises UnreadableError: if a job lacks a key, or a value is not accepted by DP-GEN.
    """
    entries = listed(keys.need(JOBS, 'max_active_iterations, stages, explore'), JOBS)
    if not entries:
        raise UnreadableError(f'`{JOBS}` is empty: give at least one iteration.')
    return [_job(Keys(entry, keys.ledger, f'{JOBS}[].'), systems) for entry in entries]


def _job(keys: Keys, systems: int) -> Job:
    indices = tuple(expanded(keys.need('sys_idx', 'structures'), systems))
    ensemble = keys.take(('ensemble', 'ens'), 'explore.md.ensemble')
    if ensemble is not None and ensemble not in ('nvt', 'nve', *COUPLINGS):
        raise UnreadableError(f'`{keys.where}ensemble` is unknown: {shortened(ensemble)}.')
    temperatures = listed(keys.take(('temps', 'Ts'), 'explore.temperatures, stages', []), f'{keys.where}temps')
    steps = keys.take('nsteps', 'explore.md.steps, stages')
    if 'template' not in keys and (ensemble is None or not temperatures or steps is None):
        raise UnreadableError(f'A job of `{JOBS}` lacks `ensemble`, `temps` or `nsteps`: give them.')
    interval = keys.take(('trj_freq', 't_freq', 'traj_freq'), 'explore.md.sample_interval')
    low = keys.take('model_devi_f_trust_lo', 'explore.trust.low')
    high = keys.take('model_devi_f_trust_hi', 'explore.trust.high')
    job = Job(
        systems=indices,
        interval=whole(interval, f'{keys.where}trj_freq'),
        ensemble=ensemble,
        temperatures=tuple(number(value, f'{keys.where}temps', above=0) for value in temperatures),
        pressures=_pressures(keys, ensemble),
        steps=None if steps is None else whole(steps, f'{keys.where}nsteps'),
        levels=(low, high),
    )
    for name in ('skip_train', 'skip_training', 's_t', 'sk_tr'):
        keys.leave(name, 'every iteration trains', (False,))
    for name, (why, off) in JOB_KEYS.items():
        keys.leave(name, why, off)
    keys.leave_rest()
    return job


def _pressures(keys: Keys, ensemble: str | None) -> tuple[float, ...]:
    """Return the pressures in GPa, which DP-GEN gives in bar; they are ignored at constant volume."""
    if ensemble not in COUPLINGS:
        keys.take(('press', 'Ps'), 'nothing: the volume is constant')
        return (0.0,)
    name = f'{keys.where}press'
    values = [number(value, name) for value in listed(keys.take(('press', 'Ps'), 'explore.pressures, stages'), name)]
    if not values:
        raise UnreadableError(f'`{name}` should be a list of pressures in bar.')
    if tension := [value for value in values if value < 0]:
        keys.ledger.leave(name, tension, 'pressures below 0 are not run, and were left out')
    return tuple(value / BAR_PER_GPA for value in values if value >= 0) or (0.0,)


def expanded(indices: Any, systems: int) -> list[int]:
    """Expand DP-GEN's list of numbers and ranges, `first-end:step`, where the end is excluded.

    :param indices: list of the file.
    :param systems: number of entries of `sys_configs`.
    :raises UnreadableError: if it is not such a list, or an index is out of range.
    """
    found: list[int] = []
    for item in listed(indices, f'{JOBS}[].sys_idx'):
        match = _SPAN.fullmatch(str(item))
        if not match or match['step'] == '0':
            raise UnreadableError(f'`{JOBS}[].sys_idx` should hold indices, got {shortened(item)}.')
        first = int(match['first'])
        span = range(first, int(match['end'] or first + 1), int(match['step'] or 1))
        # A range is not written out before it is known to be inside.
        if span and max(span[0], span[-1]) >= systems:
            beyond = next(index for index in (span[0], systems, span[-1]) if index >= systems)
            raise UnreadableError(f'`{JOBS}[].sys_idx` names system {beyond}, and `sys_configs` has {systems}.')
        found += span
    if not found:
        raise UnreadableError(f'`{JOBS}[].sys_idx` is empty: name the systems to explore.')
    return found


def explore_parameters(keys: Keys, jobs: Sequence[Job]) -> dict[str, Any]:
    """Return ``max_active_iterations``, ``final_committee``, ``stages`` and ``explore`` of `dpasse.active_learning`.

    :param keys: keys of param.json.
    :param jobs: jobs of all iterations.
    :raises UnreadableError: if a key is missing, or a value is not accepted by DP-GEN.
    """
    timestep = FS_PER_PS * number(keys.need('model_devi_dt', 'explore.md.timestep'), 'model_devi_dt', above=0)
    md: dict[str, Any] = {'timestep': timestep, 'sample_interval': min(job.interval for job in jobs)}
    # DP-GEN's defaults, in ps.
    for name, ours, usual in (('taut', 'temperature_damping', 0.1), ('taup', 'pressure_damping', 0.5)):
        value = keys.take(f'model_devi_{name}', f'explore.md.{ours}', usual)
        md[ours] = FS_PER_PS * number(value, f'model_devi_{name}', above=0)
    if keys.take('use_relative', 'explore.md.relative_deviation', False):
        md['relative_deviation'] = number(keys.need('epsilon', 'explore.md.relative_deviation'), 'epsilon', above=0)
    else:
        keys.leave('epsilon', 'it counts only with `use_relative`')
    explore = {'supercell': [1, 1, 1], 'replicas': 1, 'runs': None, 'md': md, 'trust': trust(keys, jobs)}
    stages = _conditions(md, explore, [job for job in jobs if job.ensemble], keys.ledger)
    _tell_differences(jobs, keys.ledger)
    # DP-GEN trains once more after the last labelling.
    return {'max_active_iterations': len(jobs), 'final_committee': True, 'stages': stages, 'explore': explore}


def _conditions(md: dict[str, Any], explore: dict[str, Any], jobs: Sequence[Job], ledger: Ledger) -> Any:
    """Write the conditions of all runs into ``md`` and ``explore``; return the stages, or None if all jobs are equal.

    What differs between jobs is that of the stage.
    """
    if not jobs:
        return None
    stages = [job.conditions for index, job in enumerate(jobs) if not index or not _alike(job, jobs[index - 1])]
    first = stages[0]
    md |= {'ensemble': first['ensemble'], 'coupling': first.get('coupling')}
    md['steps'] = max(job.steps or 1 for job in jobs)
    explore['temperatures'] = sorted({value for job in jobs for value in job.temperatures})
    explore['pressures'] = sorted({value for job in jobs for value in job.pressures})
    if len(stages) == 1:
        return None
    for name in ('ensemble', 'coupling'):
        if len({stage.get(name) for stage in stages}) == 1:
            for stage in stages:
                stage.pop(name, None)
    why = (
        'an iteration each in DP-GEN; here a stage is explored until `convergence.accurate_fraction` is reached: '
        'raise `max_active_iterations` if they are too few'
    )
    ledger.leave(JOBS, f'{len(jobs)} jobs, {len(stages)} stages', why)
    return stages


def _alike(job: Job, other: Job) -> bool:
    return job.conditions == other.conditions


def _tell_differences(jobs: Sequence[Job], ledger: Ledger) -> None:
    """Record the settings that differ between jobs but are common to all runs here."""
    if len(intervals := sorted({job.interval for job in jobs})) > 1:
        ledger.leave(f'{JOBS}[].trj_freq', intervals, 'all runs are sampled alike, and the shortest was taken')
    if len({frozenset(job.systems) for job in jobs}) > 1:
        why = (
            'every iteration explores all structures: to explore them in turn, run one active learning after the '
            'other, each going on from the `frames` of the one before'
        )
        ledger.leave(f'{JOBS}[].sys_idx', [list(job.systems) for job in jobs], why)


def trust(keys: Keys, jobs: Iterable[Job]) -> dict[str, Any]:
    """Return the trust levels: one pair for all systems and iterations, the smallest of each level.

    :param keys: keys of param.json.
    :param jobs: jobs of all iterations.
    :raises UnreadableError: if a system has no level, or the lower level is not below the upper one.
    """
    names = ('model_devi_f_trust_lo', 'model_devi_f_trust_hi')
    common = [keys.take(name, f'explore.trust.{ours}') for name, ours in zip(names, ('low', 'high'), strict=True)]
    pairs = set()
    for job in jobs:
        own = [given if mine is None else mine for mine, given in zip(job.levels, common, strict=True)]
        for index in job.systems:
            low, high = (_level(value, index, name) for value, name in zip(own, names, strict=True))
            if not low < high:
                raise UnreadableError(f'`{names[0]}` ({low}) should be below `{names[1]}` ({high}).')
            pairs.add((low, high))
    low, high = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    if len(pairs) > 1:
        why = 'one pair holds for all structures and iterations, and the smallest of each level was taken'
        keys.ledger.leave(' and '.join(names), sorted(pairs), why)
    return {'mode': 'fixed', 'low': low, 'high': high, 'explosion': max(EXPLOSION, high)}


def _level(value: Any, index: int, name: str) -> float:
    """Return the level of one system, given as a number for all systems, or a list or mapping by index."""
    if isinstance(value, list):
        value = value[index] if index < len(value) else None
    elif isinstance(value, Mapping):
        value = value.get(str(index))
    if value is None:
        raise UnreadableError(f'`{name}` is missing for system {index}: give it.')
    # A lower level of 0 makes every frame a candidate.
    return number(value, name, least=0)


def choice(keys: Keys, jobs: Sequence[Job], single: bool) -> dict[str, Any]:
    """Return the number of candidates to label: DP-GEN limits it per system, `dpasse.active_learning` per iteration.

    :param keys: keys of param.json.
    :param jobs: jobs of all iterations.
    :param single: whether each system is a single structure.
    """
    limit = whole(keys.need('fp_task_max', 'explore.max_candidates'), 'fp_task_max')
    systems = max(len(job.systems) for job in jobs)
    return {'max_candidates': limit * systems, 'max_per_structure': limit if single else None}
