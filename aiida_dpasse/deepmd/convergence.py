"""When active learning may stop: the committee agrees, and held-out frames agree with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def judge(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the last exploration among ``rows`` is converged, and a sentence that says why.

    A row holds ``accurate_fraction`` (None if nothing was sampled) and ``force_rmse_meV_A``, the error on the
    held-out frames averaged over the committee. ``criteria`` holds ``accurate_fraction``, the least fraction
    of accurate frames; and ``maximum_force_rmse`` (eV/A) and ``maximum_force_change`` (relative change of the
    error since the row before), of which each that is not None has to hold as well. A committee can agree on
    wrong forces: its agreement alone never converges.
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
    return True, f'The accurate fraction is {fraction:.3f} and the held-out force error {error:.1f} meV/A.'
