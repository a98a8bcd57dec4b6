"""Diffusion by cell size and run length, and the recommended point."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.dynamics.convergence_parameters import ConvergenceParameters
from aiida_dpasse.dynamics.transport_runs import read_statistics
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.transport.diffusion import Statistics, pool


@calcfunction
def tabulate_convergence(parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> orm.Dict:
    """Tabulate mean and spread of the diffusion coefficient by cell size and run length.

    :param parameters: `ConvergenceParameters`.
    :param runs: records of all planned runs and analyses by id.
    :param inputs: namespaces ``statistics`` (ArrayData) and ``results`` (Dict) of `dpasse.transport`, by the id of the
        analysis.
    :returns: ``points``, one for each size and length, with diffusivities in cm^2/s, the common record of its analyses
        and ``runs_failed``, the records of analyses without result; ``recommended``, the cheapest converged point or
        null; and the ``reason``.
    """
    settings = ConvergenceParameters.model_validate(parameters.get_dict())
    statistics, results = inputs.get('statistics', {}), inputs.get('results', {})
    planned = Runs.from_dict(runs.get_dict())
    points = []
    for size, supercell in enumerate(settings.supercells):
        for length, steps in enumerate(settings.steps):
            mine = planned.select(what='transport', size=size, segment=length)
            good = [run for run in mine if run.id in statistics]
            if not good:
                continue
            found = [read_statistics(statistics[run.id], results[run.id].get_dict()) for run in good]
            failed = [{'id': run.id, **run.to_dict()} for run in mine if run not in good]
            point = {**_record(mine[0]), 'supercell': supercell, 'steps': steps, 'runs_failed': failed}
            points.append(point | _point(found))
    chosen, reason = recommend(points, settings.relative_error)
    return orm.Dict({'points': points, 'recommended': chosen, 'reason': reason})


def _record(run: Run) -> dict[str, Any]:
    """Return the part of the record that all analyses of a point share."""
    return {name: value for name, value in run.to_dict().items() if name not in ('number', 'replica')}


def _point(statistics: list[Statistics]) -> dict[str, Any]:
    results = [pool([run]) for run in statistics]
    values = np.array([tracer.value for one in results if (tracer := one.reported.tracer) is not None])
    several = len(values) > 1
    return {
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
    """Return the cheapest point that agrees with the best one, and the reason.

    The best point has the most ions and the longest runs. A point agrees with it if all its runs are diffusive, the
    spread of a single run is at most ``wanted`` of the mean, and the means differ by at most ``wanted`` or two standard
    errors of the difference. The cost is ions times duration.

    :param points: rows of `tabulate_convergence`.
    :param wanted: largest accepted relative spread and deviation.
    :returns: the point, or None if the best one is undetermined or its spread too large; and the reason.
    """
    if not points:
        return None, 'All runs failed.'
    best = max(points, key=lambda point: (point['ions'], point['duration_ps']))
    if best['spread_cm2_s'] is None or best['diffusive'] < best['runs']:
        return None, f'The largest and longest runs are undetermined: {best["reason"] or "there is only one replica."}'
    if (spread := best['spread_cm2_s'] / best['diffusivity_cm2_s']) > wanted:
        return None, (
            f'The spread of the largest and longest runs, {spread:.0%}, exceeds {wanted:.0%}: run longer, or use '
            'larger cells.'
        )
    good = [point for point in points if _as_good(point, best, wanted)]
    chosen = min(good, key=lambda point: point['ions'] * point['duration_ps'])
    return chosen, (
        f'{chosen["ions"]} ions for {chosen["duration_ps"]:.0f} ps: the spread of the replicas is '
        f'{chosen["spread_cm2_s"] / chosen["diffusivity_cm2_s"]:.0%}, and larger cells and longer runs agree.'
    )


def _as_good(point: dict[str, Any], best: dict[str, Any], wanted: float) -> bool:
    if point['spread_cm2_s'] is None or point['diffusive'] < point['runs']:
        return False
    value, reference = point['diffusivity_cm2_s'], best['diffusivity_cm2_s']
    allowed = max(wanted * reference, 2 * float(np.hypot(point['error_cm2_s'], best['error_cm2_s'])))
    return bool(point['spread_cm2_s'] <= wanted * value and abs(value - reference) <= allowed)
