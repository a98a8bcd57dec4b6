"""Convergence of active learning: the committee agrees in the last stage, and held-out errors confirm it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def judge(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the last exploration among ``rows`` is converged, and a sentence with the reason.

    A committee can agree on wrong forces, so its agreement alone is never sufficient.

    :param rows: one per iteration, with ``accurate_fraction`` (None if nothing was sampled), ``force_rmse_meV_A``, the
        error on the held-out frames averaged over the committee, and ``stage`` if the exploration has several.
    :param criteria: ``accurate_fraction``, the smallest fraction of accurate frames, to be reached in
        ``stable_iterations`` consecutive explorations of the last of ``stages``. ``maximum_force_rmse`` (eV/A),
        ``maximum_force_change`` (relative change of the error since the previous row) and
        ``maximum_diffusivity_change`` (see `settled`) have to be satisfied as well, unless they are None.
    """
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    if not explored:
        return False, 'No frames have been sampled.'
    fraction, error = explored[-1]['accurate_fraction'], explored[-1]['force_rmse_meV_A']
    if fraction < criteria['accurate_fraction']:
        return False, (
            f'The accurate fraction {fraction:.3f} is below {criteria["accurate_fraction"]:.3f}: '
            'the committee members disagree on sampled frames.'
        )
    stages, stable = criteria['stages'], criteria['stable_iterations']
    stage = explored[-1].get('stage') or 0
    if stage < stages - 1:
        return False, f'Stage {stage + 1} of {stages} is complete: the next one is explored.'
    agreed = agreements(explored, criteria)
    if agreed < stable:
        return False, f'{agreed} of {stable} consecutive explorations reached the accurate fraction.'
    limit, largest_change = criteria['maximum_force_rmse'], criteria['maximum_force_change']
    if limit is not None and error > 1000 * limit:
        return False, f'The held-out force error {error:.1f} meV/A is above {1000 * limit:.1f} meV/A.'
    if largest_change is not None:
        if len(explored) < 2:
            return False, 'The held-out force error has no previous value for comparison.'
        before = explored[-2]['force_rmse_meV_A']
        change = abs(error - before) / before
        if change > largest_change:
            return False, (
                f'The held-out force error changed by {change:.1%} since the previous iteration, '
                f'more than {largest_change:.1%}.'
            )
    if (limit := criteria['maximum_diffusivity_change']) is not None:
        doubt = settled(explored, limit)
        if doubt is not None:
            return False, doubt
    return True, f'The accurate fraction is {fraction:.3f} and the held-out force error {error:.1f} meV/A.'


def settled(rows: Sequence[Mapping[str, Any]], limit: float) -> str | None:
    """Return None if diffusion is the same as with the previous committee, otherwise a sentence with the difference.

    Wherever the ions diffuse with the last committee, they have to diffuse with the previous one, and both the relative
    change and its standard error are at most ``limit``: a change below its noise does not prove convergence.

    :param rows: their ``transport`` lists ``structure``, ``temperature_K``, ``diffusivity_cm2_s``, ``error_cm2_s`` and
        ``diffusive``.
    :param limit: relative change of D.
    """
    now, before = (
        {(row['structure'], row['temperature_K']): row for row in rows[index].get('transport', ())}
        if len(rows) >= -index
        else {}
        for index in (-1, -2)
    )
    if not any(row['diffusive'] for row in now.values()):
        return 'The ions do not diffuse at any temperature of `conductivity`: use longer runs or higher temperatures.'
    for key, row in now.items():
        where = f'of `{key[0]}` at {key[1]:g} K'
        other = before.get(key)
        if other is None:
            return f'The diffusion {where} has no previous value for comparison.'
        if row['diffusive'] != other['diffusive']:
            return f'The ions {where} diffuse with only one of the last two committees.'
        if not row['diffusive']:
            continue
        value, reference = row['diffusivity_cm2_s'], other['diffusivity_cm2_s']
        error = (row['error_cm2_s'] ** 2 + other['error_cm2_s'] ** 2) ** 0.5 / reference
        if error > limit:
            return f'The relative error of the diffusion {where}, {error:.0%}, exceeds {limit:.0%}: run longer.'
        if (change := abs(value - reference) / reference) > limit:
            return f'The diffusion {where} changed by {change:.0%} since the previous iteration, more than {limit:.0%}.'
    return None


def agreements(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> int:
    """Return the number of latest consecutive explorations, all of one stage, with enough accurate frames.

    :param rows: explorations, at least one, see :func:`judge`.
    :param criteria: with ``accurate_fraction``.
    """
    count = 0
    for row in reversed(rows):
        if row.get('stage') != rows[-1].get('stage') or row['accurate_fraction'] < criteria['accurate_fraction']:
            break
        count += 1
    return count


def next_stage(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> int:
    """Return the stage, from 0, of the exploration that follows ``rows``.

    A stage is complete, and the next one begins, once enough frames were accurate in one of its explorations.

    :param rows: see :func:`judge`.
    :param criteria: see :func:`judge`.
    """
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    if not explored:
        return 0
    stage = int(explored[-1].get('stage') or 0)
    return min(stage + (agreements(explored, criteria) > 0), criteria['stages'] - 1)


def pending(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> bool:
    """Return whether the committee agrees and only further explorations are required.

    These are explorations of another stage, or repetitions of the same agreement. An exploration without candidates
    then does not mean that the loop is stuck.

    :param rows: see :func:`judge`.
    :param criteria: see :func:`judge`.
    """
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    agreed = agreements(explored, criteria) if explored else 0
    last = not explored or (explored[-1].get('stage') or 0) == criteria['stages'] - 1
    return agreed > 0 and (not last or agreed < criteria['stable_iterations'])
