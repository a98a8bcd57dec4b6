"""When active learning may stop: the committee agrees on what it visits, and a held-out set agrees with the committee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def judge(rows: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the last of ``rows`` is converged, and a sentence that says why.

    A row holds ``accurate_fraction`` (None if nothing was sampled) and ``force_rmse_meV_A``, the error on the held-out
    set averaged over the committee. ``criteria`` holds ``accurate_fraction``, the least fraction of accurate frames; and
    ``maximum_force_rmse`` (eV/A) and ``maximum_force_change`` (relative change of the error since the row before), of which
    each that is not None has to hold as well. A committee can agree on wrong forces: its agreement alone never converges.
    """
    if not rows or rows[-1].get('accurate_fraction') is None:
        return False, 'Nothing was sampled yet.'
    row = rows[-1]
    if row['accurate_fraction'] < criteria['accurate_fraction']:
        return False, (
            f'The accurate fraction {row["accurate_fraction"]:.3f} is below {criteria["accurate_fraction"]:.3f}: '
            'the committee still disagrees on frames that it visits.'
        )
    error, limit, change_limit = row['force_rmse_meV_A'], criteria['maximum_force_rmse'], criteria['maximum_force_change']
    if limit is not None and error > 1000 * limit:
        return False, f'The held-out force error {error:.1f} meV/A is above {1000 * limit:.1f} meV/A.'
    if change_limit is not None:
        if len(rows) < 2:
            return False, 'The held-out force error has no earlier value to be compared with.'
        before = rows[-2]['force_rmse_meV_A']
        change = abs(error - before) / before
        if change > change_limit:
            return False, f'The held-out force error changed by {change:.1%} since the iteration before, more than {change_limit:.1%}.'
    return True, f'The accurate fraction is {row["accurate_fraction"]:.3f} and the held-out force error {error:.1f} meV/A.'
