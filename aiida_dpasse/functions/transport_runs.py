"""What the runs of a temperature say: statistics, limits that they crossed, how they settled, and larger cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_dpasse.transport.diffusion import Statistics, pool
from aiida_dpasse.transport.size import compare_sizes

#: Endings of the numbers of a row that are not told where a run was stopped.
NUMBERS = ('_cm2_s', '_mS_cm', 'haven_ratio', 'haven_ratio_error')


def stops_of(keys: Sequence[str], dynamics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ``run``, ``verdict``, ``step`` and ``reason`` of each of the runs ``keys`` that crossed a limit.

    :param dynamics: results of `dpasse.md` by run.
    """
    return [
        {
            'run': key,
            'verdict': dynamics[key]['verdict'],
            'step': dynamics[key]['stopped_at'],
            'reason': dynamics[key]['reason'],
        }
        for key in keys
        if dynamics.get(key, {}).get('stopped_at') is not None
    ]


def judge_runs(row: dict[str, Any], keys: Sequence[str], dynamics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the row of one temperature with ``verdict``, ``stopped``, ``density_g_cm3`` and its drift.

    Where a run was stopped, no coefficient is told: the others would have crossed the limit too, had they run longer.

    :param keys: the runs that were started at this temperature.
    """
    stopped = stops_of(keys, dynamics)
    told = [dynamics[key] for key in keys if dynamics.get(key, {}).get('density_g_cm3') is not None]
    drifts = [run['density_drift'] for run in told if run.get('density_drift') is not None]
    judged = {
        **row,
        'stopped': stopped,
        'density_g_cm3': sum(run['density_g_cm3'] for run in told) / len(told) if told else None,
        'density_drift': max(drifts, key=abs, default=None),
    }
    if any(run.get('equilibrated') is False for run in told):
        part = f'{abs(judged["density_drift"]):.1%}'
        judged['reason'] += f' The density still changed by {part} as production began: equilibrate longer.'
    if not stopped:
        return {**judged, 'verdict': row.get('verdict') or ('diffusive' if row['diffusive'] else 'not diffusive')}
    first = stopped[0]
    blank = {name: None for name in judged if name.endswith(NUMBERS) and not name.startswith('density')}
    more = f', as {len(stopped) - 1} more of {len(keys)} runs' if len(stopped) > 1 else f', one of {len(keys)} runs'
    reason = f'{first["run"]} {first["verdict"]} at step {first["step"]}{more}: {first["reason"]}.'
    return {**judged, **blank, 'diffusive': False, 'verdict': first['verdict'], 'reason': reason}


def check_size(
    given: Mapping[str, Any],
    runs: list[str],
    large: list[str],
    statistics: Mapping[str, orm.ArrayData],
    results: Mapping[str, orm.Dict],
    dynamics: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the comparison of the cells ``runs`` with the larger ones ``large``, see `compare_sizes`."""
    place = large[0].split('_')[-2]
    found: dict[str, Any] = {'temperature_K': given['temperatures'][int(place)], 'agrees': None}
    found['runs_failed'] = [key for key in large if key not in statistics]
    small = [key for key in runs if key.split('_')[-2] == place]
    if stopped := stops_of([*small, *large], dynamics):
        return {**found, 'reason': f'{stopped[0]["run"]} {stopped[0]["verdict"]}: {stopped[0]["reason"]}.'}
    groups = [
        [read_statistics(statistics[key], results[key].get_dict()) for key in keys if key in statistics]
        for keys in (small, large)
    ]
    if not all(groups):
        return {**found, 'reason': 'No run of the one or the other cell ended well: see their exit messages.'}
    ions = groups[0][0].ions, groups[1][0].ions
    small_cell, large_cell = (pool(group, given['hop_length']) for group in groups)
    return found | compare_sizes(small_cell, large_cell, ions)


def read_statistics(node: orm.ArrayData, result: Mapping[str, Any]) -> Statistics:
    """Return the statistics of one run."""
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    return Statistics.from_arrays(
        arrays,
        frames=result['frames'],
        interval=result['interval_ps'],
        ions=result['ions'],
        volume=result['volume_A3'],
        framework=result['framework_displacement_A'],
    )
