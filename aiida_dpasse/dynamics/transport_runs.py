"""Evaluation of the runs of one temperature: statistics, exceeded limits, equilibration and finite size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_dpasse.dynamics.transport_row import AXES
from aiida_dpasse.runs import Run
from aiida_dpasse.transport.cages import Exchanges
from aiida_dpasse.transport.diffusion import Statistics, pool
from aiida_dpasse.transport.size import compare_sizes

#: Keys of a row that are null if a run was stopped.
RESULTS = (
    'diffusivity_cm2_s',
    'error_cm2_s',
    'upper_bound_cm2_s',
    'estimate_cm2_s',
    'estimate_error_cm2_s',
    'collective_diffusivity_cm2_s',
    'collective_error_cm2_s',
    'haven_ratio',
    'haven_ratio_error',
    'nernst_einstein_conductivity_mS_cm',
    'nernst_einstein_conductivity_error_mS_cm',
    'conductivity_mS_cm',
    'conductivity_error_mS_cm',
    'variance',
    'collective_variance',
    'degrees_of_freedom',
    'interval_of_potential_only',
    *AXES,
)


def record_of(run: Run) -> dict[str, Any]:
    """Return the record of a run with its id."""
    return {'id': run.id, **run.to_dict()}


def stops_of(runs: Iterable[Run], dynamics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of the runs that exceeded a limit.

    :param runs: runs to examine.
    :param dynamics: results of `dpasse.md` by the id of the run.
    :returns: the record of each stopped run, with its label ``run``, ``verdict``, ``step`` and ``reason``.
    """
    return [
        {
            **record_of(run),
            'run': run.label,
            'verdict': dynamics[run.id]['verdict'],
            'step': dynamics[run.id]['stopped_at'],
            'reason': dynamics[run.id]['reason'],
        }
        for run in runs
        if dynamics.get(run.id, {}).get('stopped_at') is not None
    ]


def error_of_program(runs: Iterable[Run], dynamics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a sentence with the first program error among ``runs``, or an empty string.

    :param runs: runs to examine, in order.
    :param dynamics: results of `dpasse.md` by the id of the run.
    """
    for run in runs:
        if error := dynamics.get(run.id, {}).get('error'):
            return f' {run.label} ended with an error: {error}.'
    return ''


def judge_runs(row: dict[str, Any], runs: Sequence[Run], dynamics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of one temperature with ``verdict``, ``stopped``, ``density_g_cm3`` and ``density_drift``.

    If a run was stopped, coefficients are null: the other runs would exceed the limit as well if they were longer.

    :param row: the row of the temperature.
    :param runs: the runs started at this temperature.
    :param dynamics: results of `dpasse.md` by the id of the run.
    """
    stopped = stops_of(runs, dynamics)
    ended = [dynamics[run.id] for run in runs if dynamics.get(run.id, {}).get('density_g_cm3') is not None]
    ended = [result for result in ended if not result.get('error')]
    drifts = [result['density_drift'] for result in ended if result.get('density_drift') is not None]
    judged = {
        **row,
        'stopped': stopped,
        'density_g_cm3': sum(result['density_g_cm3'] for result in ended) / len(ended) if ended else None,
        'density_drift': max(drifts, key=abs, default=None),
    }
    if any(result.get('equilibrated') is False for result in ended):
        part = f'{abs(judged["density_drift"]):.1%}'
        judged['reason'] += f' The density still changed by {part} at the end of the equilibration: equilibrate longer.'
    if not stopped:
        return {**judged, 'verdict': row.get('verdict') or ('diffusive' if row['diffusive'] else 'not diffusive')}
    first = stopped[0]
    blank: dict[str, Any] = {**{name: None for name in RESULTS if name in judged}, 'counts': [], 'groups': []}
    reason = (
        f'{len(stopped)} of {len(runs)} runs {"was" if len(stopped) == 1 else "were"} stopped, {first["run"]} at step '
        f'{first["step"]} ({first["verdict"]}): {first["reason"]}.'
    )
    return {**judged, **blank, 'diffusive': False, 'verdict': first['verdict'], 'reason': reason}


def check_size(
    small: Sequence[Run],
    large: Sequence[Run],
    statistics: Mapping[str, orm.ArrayData],
    results: Mapping[str, orm.Dict],
    dynamics: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Compare the diffusion in two cell sizes, see `compare_sizes`, of the potentials that drive runs in both.

    :param small: runs in the smaller cell.
    :param large: runs in the larger cell, at the same temperature.
    :param statistics: arrays of `dpasse.transport` by the id of the run.
    :param results: results of `dpasse.transport` by the id of the run.
    :param dynamics: results of `dpasse.md` by the id of the run.
    :returns: ``temperature_K``, ``runs_failed``, ``agrees`` and the numbers of `compare_sizes`; ``agrees`` is null with
        a ``reason`` if a run was stopped or a cell has no successful run.
    """
    found: dict[str, Any] = {'temperature_K': large[0].temperature, 'agrees': None}
    found['runs_failed'] = [record_of(run) for run in large if run.id not in statistics]
    if stopped := stops_of([*small, *large], dynamics):
        return {**found, 'reason': f'{stopped[0]["run"]} {stopped[0]["verdict"]}: {stopped[0]["reason"]}.'}
    good = [[run for run in runs if run.id in statistics] for runs in (small, large)]
    both = set.intersection(*({(run.structure, run.potential) for run in runs} for runs in good))
    good = [[run for run in runs if (run.structure, run.potential) in both] for runs in good]
    if not all(good):
        reason = 'No potential has a successful run in both cells: see the exit messages of the runs.'
        return {**found, 'reason': reason + error_of_program([*small, *large], dynamics)}
    cells = [[read_statistics(statistics[run.id], results[run.id].get_dict()) for run in runs] for runs in good]
    small_cell, large_cell = (
        pool(cell, [(run.structure, run.potential) for run in runs]) for cell, runs in zip(cells, good, strict=True)
    )
    return found | compare_sizes(small_cell, large_cell, (cells[0][0].ions, cells[1][0].ions))


def read_statistics(node: orm.ArrayData, result: Mapping[str, Any]) -> Statistics:
    """Return the statistics of one run.

    :param node: arrays of `dpasse.transport`.
    :param result: results of `dpasse.transport`: number of frames, interval (ps), volume (A^3) and displacement of the
        framework (A).
    """
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    counted = result.get('exchanges')
    exchanges = None if counted is None else Exchanges.from_dict(counted)
    return Statistics.from_arrays(
        arrays,
        frames=result['frames'],
        interval=result['interval_ps'],
        volume=result['volume_A3'],
        framework=result['framework_displacement_A'],
        exchanges=exchanges,
    )
