"""Whether a mean square displacement is that of diffusion, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_dpasse.transport.fit import Fit

#: Independent hops below which a coefficient is a coincidence.
FEWEST_HOPS = 10.0
#: Logarithmic slope of the MSD at the end of the window: 1 for diffusion, 0 for ions that only rattle.
SMALLEST_SLOPE = 0.7
LARGEST_SLOPE = 1.3


#: Root mean square displacement in A of a framework that is none any more: thermal motion gives half an A or so.
LARGEST_FRAMEWORK_DISPLACEMENT = 2.0


@dataclass(frozen=True)
class Verdict:
    """Whether the ions diffuse, one sentence that says why, and the numbers it rests on."""

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
    hop_length: float,
    framework: float = 0.0,
    settled: bool = True,
) -> Verdict:
    """Return the verdict on a fitted MSD.

    Six things are asked: the framework keeps its place to within `LARGEST_FRAMEWORK_DISPLACEMENT`; the MSD exceeds
    half the squared hop length early enough to be fitted; at least
    `FEWEST_HOPS` hops were made (walkers times largest MSD over squared hop length; He et al., npj Comput. Mater. 4,
    18, 2018); the slope differs from zero by three standard errors; and d ln MSD / d ln tau at the end of the window
    is within two standard errors of the range from `SMALLEST_SLOPE` to `LARGEST_SLOPE`, with the bend of the curve
    counted; and the curve has ceased to bend down.

    :param msd: (m,) A^2 at ``lags`` (m,) ps, mean over ``walkers`` ions.
    :param framework: root mean square displacement of the other atoms from the crystal's sites, in A.
    :param settled: whether the window begins where the curve has ceased to bend down (`Fit.bends_down`).
    """
    if framework > LARGEST_FRAMEWORK_DISPLACEMENT:
        return Verdict(
            False,
            f'The framework itself moved by {framework:.2g} A: it melted or fell apart; simulate colder, or with a '
            'better potential.',
        )
    # The lags reach to half the run; a window has to begin within its first third.
    early = lags <= lags[-1] * 2 / 3 + 1e-9 if len(lags) > 2 else np.ones(len(lags), dtype=bool)
    largest = float(msd[early].max()) if len(msd) else 0.0
    what = 'The mean square displacement'
    if fit is None:
        return Verdict(
            False,
            f'{what} reaches {largest:.2g} A^2 within a third of the run, and half the squared hop length '
            f'({0.5 * hop_length**2:.2g} A^2) too late or never: the ions rattle, or the run is too short.',
        )
    hops = walkers * largest / hop_length**2
    start, end = fit.window
    final = fit.offset + fit.slope * end
    bend, bend_error = fit.curvature
    middle = 0.5 * (start + end)
    # The line's slope at its end, and what the bend would add to it there.
    local = (fit.slope + 2 * bend * (end - middle)) * end / max(final, 1e-12)
    error = np.hypot(np.sqrt(fit.covariance[1, 1]), 2 * bend_error * (end - middle)) * end / max(final, 1e-12)
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
