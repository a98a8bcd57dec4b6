"""When active learning may stop: the committee agrees in the last stage, and held-out frames agree with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def judge(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the last exploration among ``rows`` is converged, and a sentence that says why.

    A row holds ``accurate_fraction`` (None if nothing was sampled), ``force_rmse_meV_A``, the error on the
    held-out frames averaged over the committee, and, if the exploration grows, ``stage``. ``criteria`` holds
    ``accurate_fraction``, the least fraction of accurate frames, which has to hold in ``stable_iterations``
    explorations of the last of ``stages`` in a row; and ``maximum_force_rmse`` (eV/A) and
    ``maximum_force_change`` (relative change of the error since the row before), of which each that is not None has
    to hold as well; so does ``maximum_diffusivity_change``, for which see `settled`. A committee can agree on wrong
    forces: its agreement alone never converges.
    """
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    if not explored:
        return False, 'Nothing was sampled yet.'
    fraction, error = explored[-1]['accurate_fraction'], explored[-1]['force_rmse_meV_A']
    if fraction < criteria['accurate_fraction']:
        return False, (
            f'The accurate fraction {fraction:.3f} is below {criteria["accurate_fraction"]:.3f}: '
            'the committee still disagrees on frames that it visits.'
        )
    stages, stable = criteria['stages'], criteria['stable_iterations']
    stage = explored[-1].get('stage') or 0
    if stage < stages - 1:
        return False, f'Stage {stage + 1} of {stages} is known: the next one is explored.'
    agreed = agreements(explored, criteria)
    if agreed < stable:
        return False, f'The accurate fraction has held in {agreed} of {stable} explorations in a row.'
    limit, largest_change = criteria['maximum_force_rmse'], criteria['maximum_force_change']
    if limit is not None and error > 1000 * limit:
        return False, f'The held-out force error {error:.1f} meV/A is above {1000 * limit:.1f} meV/A.'
    if largest_change is not None:
        if len(explored) < 2:
            return False, 'The held-out force error has no earlier value to be compared with.'
        before = explored[-2]['force_rmse_meV_A']
        change = abs(error - before) / before
        if change > largest_change:
            return False, (
                f'The held-out force error changed by {change:.1%} since the iteration before, '
                f'more than {largest_change:.1%}.'
            )
    if (limit := criteria['maximum_diffusivity_change']) is not None:
        doubt = settled(explored, limit)
        if doubt is not None:
            return False, doubt
    return True, f'The accurate fraction is {fraction:.3f} and the held-out force error {error:.1f} meV/A.'


def settled(rows: Sequence[Mapping[str, Any]], limit: float) -> str | None:
    """Return None if the ions diffuse as with the committee before, otherwise one sentence that says what differs.

    :param rows: whose ``transport`` lists ``structure``, ``temperature_K``, ``diffusivity_cm2_s``, ``error_cm2_s`` and
        ``diffusive``. Where the ions diffuse with the last committee, they have to with the one before, the relative
        change is at most ``limit``, and so is its standard error: noise can look like rest.
    """
    now, before = (
        {(row['structure'], row['temperature_K']): row for row in rows[index].get('transport', ())}
        if len(rows) >= -index
        else {}
        for index in (-1, -2)
    )
    if not any(row['diffusive'] for row in now.values()):
        return 'The ions diffuse at none of the temperatures watched: run longer or hotter (`conductivity`).'
    for key, row in now.items():
        where = f'of `{key[0]}` at {key[1]:g} K'
        other = before.get(key)
        if other is None:
            return f'The diffusion {where} has no earlier value to be compared with.'
        if row['diffusive'] != other['diffusive']:
            return f'The ions {where} diffuse with one of the last two committees and not with the other.'
        if not row['diffusive']:
            continue
        value, reference = row['diffusivity_cm2_s'], other['diffusivity_cm2_s']
        error = (row['error_cm2_s'] ** 2 + other['error_cm2_s'] ** 2) ** 0.5 / reference
        if error > limit:
            return f'The diffusion {where} is known to {error:.0%} only, and {limit:.0%} is asked for: run longer.'
        if (change := abs(value - reference) / reference) > limit:
            return f'The diffusion {where} changed by {change:.0%} since the iteration before, more than {limit:.0%}.'
    return None


def agreements(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> int:
    """Return in how many of the last explorations in a row, all of one stage, enough frames were accurate."""
    count = 0
    for row in reversed(rows):
        if row.get('stage') != rows[-1].get('stage') or row['accurate_fraction'] < criteria['accurate_fraction']:
            break
        count += 1
    return count


def next_stage(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> int:
    """Return the stage, from 0, of the exploration that follows ``rows``.

    A stage is done, and the next one begins, when enough frames were accurate in one exploration of it.
    """
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    if not explored:
        return 0
    stage = int(explored[-1].get('stage') or 0)
    return min(stage + (agreements(explored, criteria) > 0), criteria['stages'] - 1)


def pending(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> bool:
    """Return whether the committee agrees and nothing but more explorations is asked for: another stage, or the same
    agreement once more. An exploration without candidates is then no sign that the loop is stuck."""
    explored = [row for row in rows if row.get('accurate_fraction') is not None]
    agreed = agreements(explored, criteria) if explored else 0
    last = not explored or (explored[-1].get('stage') or 0) == criteria['stages'] - 1
    return agreed > 0 and (not last or agreed < criteria['stable_iterations'])
