"""Test of whether a mean square displacement is diffusive, with the reason if it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.fit import Fit

#: Fewest independent hops for a meaningful coefficient.
FEWEST_HOPS = 10.0
#: Bounds of the logarithmic slope of the MSD at the end of the window: 1 for diffusion, 0 for ions that only rattle.
SMALLEST_SLOPE = 0.7
LARGEST_SLOPE = 1.3
#: Root mean square displacement in A above which the framework has melted or decomposed; thermal motion is about 0.5 A.
LARGEST_FRAMEWORK_DISPLACEMENT = 2.0


@dataclass(frozen=True)
class Verdict:
    """Whether the motion is diffusive, the reason as a sentence, and the numbers behind it.

    :param diffusive: whether all criteria of `judge` are met.
    :param reason: one sentence.
    :param slope: d ln MSD / d ln tau at the end of the window, and ``slope_error`` its standard error.
    :param hops: number of independent hops.
    """

    diffusive: bool
    reason: str
    slope: float | None = None
    slope_error: float | None = None
    hops: float | None = None


def judge(
    fit: Fit | None,
    lags: NDArray[np.float64],
    msd: NDArray[np.float64],
    walkers: float,
    jump_distance: float,
    framework: float = 0.0,
    settled: bool = True,
) -> Verdict:
    """Return the verdict on a fitted MSD.

    The motion is diffusive if six criteria are met:

    - the framework is displaced by at most `LARGEST_FRAMEWORK_DISPLACEMENT`;
    - the MSD exceeds half the squared jump distance early enough to be fitted;
    - the slope differs from zero by at least three standard errors;
    - at least `FEWEST_HOPS` hops occurred (walkers times largest MSD over squared jump distance; He et al., npj Comput.
      Mater. 4, 18, 2018);
    - d ln MSD / d ln tau at the end of the window is at least 0.5 for the fitted line and, with the curvature included,
      within two standard errors of the range from `SMALLEST_SLOPE` to `LARGEST_SLOPE`;
    - the MSD is no longer sub-linear.

    :param fit: fit of the MSD, None if no window could be fitted.
    :param lags: (m,) ps.
    :param msd: (m,) A^2, mean over the walkers.
    :param walkers: number of independent ions.
    :param jump_distance: distance between neighbouring sites in A.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A.
    :param settled: whether the window begins where the MSD is no longer sub-linear (`Fit.sublinear`).
    """
    if framework > LARGEST_FRAMEWORK_DISPLACEMENT:
        return Verdict(
            False,
            f'The framework itself moved by {framework:.2g} A: it melted or fell apart; simulate colder, or with a '
            'better potential.',
        )
    # The lags extend to half the run, but a window has to begin within the first third of it.
    early = lags <= lags[-1] * 2 / 3 + 1e-9 if len(lags) > 2 else np.ones(len(lags), dtype=bool)
    largest = float(msd[early].max()) if len(msd) else 0.0
    what = 'The mean square displacement'
    if fit is None:
        return Verdict(
            False,
            f'{what} reaches {largest:.2g} A^2 within a third of the run, and half the squared jump distance '
            f'({0.5 * jump_distance**2:.2g} A^2) too late or never: the ions rattle, or the run is too short.',
        )
    hops = walkers * largest / jump_distance**2
    start, end = fit.window
    final = fit.offset + fit.slope * end
    curvature, curvature_error = fit.curvature
    middle = 0.5 * (start + end)
    # The logarithmic slope at the end of the window includes the curvature, with its error.
    local = (fit.slope + 2 * curvature * (end - middle)) * end / max(final, 1e-12)
    error = np.hypot(np.sqrt(fit.covariance[1, 1]), 2 * curvature_error * (end - middle)) * end / max(final, 1e-12)
    numbers = {'slope': float(local), 'slope_error': float(error), 'hops': float(hops)}
    if fit.slope < 3 * np.sqrt(fit.covariance[1, 1]):
        reason = f'{what} does not grow beyond its error: the ions rattle in place, or hop too rarely to be counted.'
        return Verdict(False, reason, **numbers)
    if hops < FEWEST_HOPS:
        reason = f'Only {hops:.2g} hops were made, {FEWEST_HOPS:.0f} are needed: run longer or hotter.'
        return Verdict(False, reason, **numbers)
    line = fit.slope * end / max(final, 1e-12)
    if line < 0.5 or local + 2 * error < SMALLEST_SLOPE:
        power = f'{min(line, local):.2f}'
        return Verdict(False, f'{what} grows with the power {power} of time: still caged, run longer.', **numbers)
    if not settled:
        reason = f'{what} bends down nearly all the time, like that of ions that fill their cages: run longer.'
        return Verdict(False, reason, **numbers)
    if local - 2 * error > LARGEST_SLOPE:
        reason = f'{what} grows with the power {local:.2f} of time: something drifts or melts.'
        return Verdict(False, reason, **numbers)
    return Verdict(True, f'{what} grows linearly and {hops:.0f} hops were made.', **numbers)
