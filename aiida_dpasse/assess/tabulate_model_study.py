"""The table of a model study: errors, diffusion coefficients and activation energies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS, mean_errors
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.transport.ensemble import Repeats, pool_repeats

#: Two values agree if they differ by at most this number of standard deviations of their difference.
AGREEMENT = 2.0

Row = dict[str, Any]


@calcfunction
def tabulate_model_study(runs: orm.Dict, report_card: orm.Dict, **found: dict[str, orm.Dict]) -> orm.Dict:
    """Tabulate errors, diffusion coefficients and activation energies of all potentials.

    :param runs: output ``runs`` of :func:`plan_model_study`.
    :param report_card: output of `dpasse.validate` for one test set.
    :param found: ``transport`` and ``arrhenius`` of `dpasse.conductivity`, by the label of the potential.
    :return: ``points``, ``summary`` and ``enough``.

    A point describes one potential: ``label``, ``model``, ``data``, ``frames`` and ``repeat`` (the last three are null
    for a potential given as input), the record of its training, the errors, ``diffusivities`` by temperature and
    ``activation_energy_eV``. The summary averages over the repeats: each number has an ``_error`` (one standard
    deviation) and, for more than one repeat, a ``_spread`` between the potentials. ``enough`` gives, by model and data,
    the smallest number of frames from which on all diffusion coefficients and the activation energy agree with those of
    the largest number.
    """
    tests = {test['potential']: test for test in report_card['tests'] if test['admitted']}
    trained = {run.label: run for run in Runs.from_dict(runs.get_dict()).select(what='train')}
    labels = [*trained, *sorted(set(tests) - set(trained))]
    points = [_point(label, trained.get(label), tests[label], found) for label in labels if label in tests]
    summary = [summarize(alike) for alike in _groups(points)]
    return orm.Dict({'points': points, 'summary': summary, 'enough': list(enough(summary))})


def _point(label: str, run: Run | None, test: Mapping[str, Any], found: Mapping[str, Any]) -> Row:
    row: Row = {'label': label, 'model': label, 'data': None, 'frames': None, 'repeat': None}
    if run is not None:
        row |= {**run.to_dict(), 'frames': run.size, 'repeat': run.replica}
    row |= {name: test[name] for name in ERRORS}
    transport, arrhenius = (found.get(kind, {}).get(label) for kind in ('transport', 'arrhenius'))
    names = ('temperature_K', 'diffusivity_cm2_s', 'error_cm2_s', 'diffusive', 'verdict', 'reason')
    row['diffusivities'] = [
        {name: entry[name] for name in names} for entry in (transport['temperatures'] if transport else [])
    ]
    fit = arrhenius.get_dict() if arrhenius else {}
    return row | {name: fit.get(name) for name in ('activation_energy_eV', 'activation_energy_error_eV')}


def _groups(points: Sequence[Row]) -> Iterator[list[Row]]:
    """Group the points that differ only in the repeat, in order of first occurrence."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for point in points:
        groups.setdefault((point['model'], point['data'], point['frames']), []).append(point)
    return iter(groups.values())


def summarize(alike: Sequence[Row]) -> Row:
    """Return the summary row of potentials trained under the same conditions.

    :param alike: points that differ only in the repeat.
    :return: means and errors. ``determined`` is lower than ``repeats`` if some potentials give no diffusion
        coefficient.
    """
    row: Row = {name: alike[0][name] for name in ('model', 'data', 'frames')}
    row |= {'repeats': len(alike), **mean_errors(alike)}
    kelvins = next(([entry['temperature_K'] for entry in p['diffusivities']] for p in alike if p['diffusivities']), [])
    row['diffusivities'] = []
    for place, kelvin in enumerate(kelvins):
        # A potential without a conductivity has no rows at all.
        known = [
            p['diffusivities'][place] for p in alike if p['diffusivities'] and p['diffusivities'][place]['diffusive']
        ]
        pooled = _pool([entry['diffusivity_cm2_s'] for entry in known], [entry['error_cm2_s'] for entry in known])
        row['diffusivities'].append(
            {'temperature_K': kelvin, 'determined': len(known), **_columns('diffusivity', '_cm2_s', pooled)}
        )
    fitted = [point for point in alike if point['activation_energy_eV'] is not None]
    pooled = _pool(*([p[f'activation_energy{part}_eV'] for p in fitted] for part in ('', '_error')))
    return row | {'fitted': len(fitted), **_columns('activation_energy', '_eV', pooled)}


def _pool(values: list[float], errors: list[float]) -> Repeats | None:
    return pool_repeats(values, errors) if values else None


def _columns(name: str, unit: str, pooled: Repeats | None) -> Row:
    parts = {'': 'mean', '_error': 'error', '_spread': 'spread'}
    return {f'{name}{part}{unit}': getattr(pooled, field, None) for part, field in parts.items()}


def enough(summary: Sequence[Row]) -> Iterator[Row]:
    """Yield the smallest sufficient number of frames for every model and data set trained at several sizes.

    :param summary: rows of :func:`summarize`.
    :return: ``model``, ``data``, ``frames`` (null if not even the second largest number agrees with the largest) and
        the ``reason`` as a sentence.
    """
    kinds = dict.fromkeys((row['model'], row['data']) for row in summary if row['frames'] is not None)
    for model, data in kinds:
        rows = sorted((r for r in summary if (r['model'], r['data']) == (model, data)), key=lambda r: int(r['frames']))
        if len(rows) < 2:
            continue
        most, fewest, reason = rows[-1], None, ''
        for row in reversed(rows[:-1]):
            if (difference := disagreement(row, most)) is not None:
                reason = f'With {row["frames"]} frames {difference}'
                break
            fewest = row['frames']
        if fewest is not None:
            agreed = f'Diffusion and activation energy with {fewest} frames agree with those with {most["frames"]}.'
            reason = f'{agreed} {reason}'.strip()
        yield {'model': model, 'data': data, 'frames': fewest, 'reason': reason}


def disagreement(row: Row, other: Row) -> str | None:
    """Return the first quantity in which two rows disagree, or None if they agree.

    Quantities that neither row determines are skipped.

    :param row: summary row.
    :param other: summary row with the largest number of frames.
    :return: a sentence fragment for the ``reason``.
    """
    pairs = [
        (f'D at {mine["temperature_K"]:g} K', 'diffusivity', '_cm2_s', mine, its)
        for mine, its in zip(row['diffusivities'], other['diffusivities'], strict=False)
    ]
    pairs.append(('the activation energy', 'activation_energy', '_eV', row, other))
    compared = 0
    for what, name, unit, a, b in pairs:
        mine, its = a[f'{name}{unit}'], b[f'{name}{unit}']
        if (mine is None) != (its is None):
            return (
                f'{what} is undetermined.'
                if mine is None
                else f'{what} is determined, but not with the largest number of frames.'
            )
        if mine is None:
            continue
        compared += 1
        sigmas = abs(mine - its) / float(np.hypot(a[f'{name}_error{unit}'], b[f'{name}_error{unit}']))
        if sigmas > AGREEMENT:
            return f'{what} differs by {sigmas:.1f} standard deviations.'
    return None if compared else 'all quantities are undetermined.'
