"""Finite-size test: comparison of the diffusion coefficients of a small and a large cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_dpasse.transport.diffusion import Diffusion
from aiida_dpasse.transport.estimate import error_of, value_of

#: Largest difference between two cells in standard errors; chance exceeds it in one case out of twenty.
LARGEST_DIFFERENCE = 2.0


def compare_sizes(small: Diffusion, large: Diffusion, ions: tuple[int, int]) -> dict[str, Any]:
    """Compare the tracer diffusion coefficients of two cells.

    :param small: diffusion in the small cell.
    :param large: diffusion in the large cell.
    :param ions: number of mobile ions in the small and in the large cell.
    :returns: the tracer coefficients and errors in cm^2/s, their relative ``difference`` and its error, a ``reason``,
        and ``agrees``: true if the difference is at most `LARGEST_DIFFERENCE` standard errors, false if it is larger or
        only one of the cells is diffusive, None if not both coefficients are determined. ``resolution`` is the smallest
        relative difference that would have been detected: agreement at a poor resolution proves little.
    """
    determined = [each.reported.tracer is not None for each in (small, large)]
    found: dict[str, Any] = {
        'ions': list(ions),
        'diffusivity_cm2_s': [value_of(each.tracer) for each in (small, large)],
        'error_cm2_s': [error_of(each.tracer) for each in (small, large)],
        'difference': None,
        'difference_error': None,
        'resolution': None,
    }
    names = f'{ions[0]} and {ions[1]} ions'
    if small.verdict.diffusive != large.verdict.diffusive:
        which = ions[int(large.verdict.diffusive)]
        reason = f'Of the cells with {names} only that with {which} diffuses: use the larger one, and compare again.'
        return {**found, 'agrees': False, 'reason': reason}
    if small.tracer is None or large.tracer is None or not all(determined):
        reason = f'The cells with {names} do not both determine how fast the ions diffuse: nothing can be compared.'
        return {**found, 'agrees': None, 'reason': reason}
    difference = large.tracer.value / small.tracer.value - 1
    # Error of a ratio, to first order.
    error = float(np.hypot(small.tracer.relative_error, large.tracer.relative_error)) * (1 + difference)
    found |= {
        'difference': float(difference),
        'difference_error': error,
        'resolution': LARGEST_DIFFERENCE * error,
    }
    agrees = bool(abs(difference) <= LARGEST_DIFFERENCE * error)
    reason = f'The cell with {ions[1]} ions gives a D that is {difference:+.0%} ± {error:.0%} of that with {ions[0]}'
    reason += ': no effect of the size is seen.' if agrees else ': the cell is too small; use the larger one.'
    return {**found, 'agrees': agrees, 'reason': reason}
