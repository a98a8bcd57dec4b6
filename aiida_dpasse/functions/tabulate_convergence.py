"""Mean and spread of the diffusion by size of the cell and length of the run, and what is enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.transport_runs import read_statistics
from aiida_dpasse.transport.diffusion import pool


@calcfunction
def tabulate_convergence(parameters: orm.Dict, **runs: orm.Data) -> orm.Dict:
    """Return ``points``, one for each size and length, and the ``recommended`` one with the reason, null if none is.

    :param parameters: those of the study.
    :param runs: ``statistics_<s>_<t>_<r>`` and ``results_<s>_<t>_<r>`` of `dpasse.transport`.
    """
    given = {'hop_length': 2.5, **parameters.get_dict()}
    found: dict[tuple[int, int], list[Any]] = {}
    for key, node in sorted(runs.items()):
        if key.startswith('statistics_'):
            name = key.removeprefix('statistics_')
            size, length, _ = (int(part) for part in name.split('_'))
            result = runs[f'results_{name}'].get_dict()
            found.setdefault((size, length), []).append(read_statistics(node, result))
    points = [_point(given, size, length, statistics) for (size, length), statistics in sorted(found.items())]
    chosen, reason = recommend(points, given['relative_error'])
    return orm.Dict({'points': points, 'recommended': chosen, 'reason': reason})


def _point(given: dict[str, Any], size: int, length: int, statistics: list[Any]) -> dict[str, Any]:
    results = [pool([run], given['hop_length']) for run in statistics]
    values = np.array([tracer.value for one in results if (tracer := one.told.tracer) is not None])
    several = len(values) > 1
    return {
        'supercell': given['supercells'][size],
        'ions': statistics[0].ions,
        'duration_ps': statistics[0].duration,
        'runs': len(results),
        'diffusive': len(values),
        'diffusivity_cm2_s': float(values.mean()) if len(values) else None,
        'spread_cm2_s': float(values.std(ddof=1)) if several else None,
        'error_cm2_s': float(values.std(ddof=1) / np.sqrt(len(values))) if several else None,
        'reason': next((one.verdict.reason for one in results if not one.verdict.diffusive), None),
    }


def recommend(points: list[dict[str, Any]], wanted: float) -> tuple[dict[str, Any] | None, str]:
    """Return the cheapest point that is as good as the best, and why.

    The best has the most ions and the longest runs. A point is as good if all its runs are diffusive, the spread of one
    run is at most ``wanted`` of the mean, and the mean differs from the best one's by at most ``wanted``, or two
    standard errors of the difference. Cost is ions times duration.
    """
    if not points:
        return None, 'No run ended well.'
    best = max(points, key=lambda point: (point['ions'], point['duration_ps']))
    if best['spread_cm2_s'] is None or best['diffusive'] < best['runs']:
        return None, f'The largest and longest runs do not tell themselves: {best["reason"] or "one replica is none."}'
    if (spread := best['spread_cm2_s'] / best['diffusivity_cm2_s']) > wanted:
        return None, (
            f'Replicas of the largest and longest runs still differ by {spread:.0%}, and {wanted:.0%} is asked for: '
            'run longer, or in larger cells.'
        )
    good = [point for point in points if _as_good(point, best, wanted)]
    chosen = min(good, key=lambda point: point['ions'] * point['duration_ps'])
    return chosen, (
        f'{chosen["ions"]} ions for {chosen["duration_ps"]:.0f} ps: replicas differ by '
        f'{chosen["spread_cm2_s"] / chosen["diffusivity_cm2_s"]:.0%}, and larger cells and longer runs tell the same.'
    )


def _as_good(point: dict[str, Any], best: dict[str, Any], wanted: float) -> bool:
    if point['spread_cm2_s'] is None or point['diffusive'] < point['runs']:
        return False
    value, reference = point['diffusivity_cm2_s'], best['diffusivity_cm2_s']
    allowed = max(wanted * reference, 2 * float(np.hypot(point['error_cm2_s'], best['error_cm2_s'])))
    return bool(point['spread_cm2_s'] <= wanted * value and abs(value - reference) <= allowed)
