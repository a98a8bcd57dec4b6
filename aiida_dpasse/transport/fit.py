"""The line that a mean square displacement follows, by generalised least squares.

The fit is one of MSD(tau) = A + 2 d D tau with the exact covariance of the MSD of a Brownian walker that is seen
through a localised rattling of variance A (Bullerjahn, von Buelow and Hummer, J. Chem. Phys. 153, 024116, 2020;
Michalet, Phys. Rev. E 82, 041914, 2010), to which the noise of hops is added: ions in a solid make few, large steps,
and D cannot be known better than their number. Neighbouring lags share most of their data, which an ordinary fit takes
for independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A^2/ps in cm^2/s.
CM2_PER_S = 1e-4


@dataclass(frozen=True)
class Fit:
    """MSD = ``offset`` + ``slope`` tau with covariance (2, 2), the window in ps, and chi^2 per degree of freedom.

    ``curvature`` is the coefficient of a quadratic term and its error. The slope is ``weights`` (m,) times the MSD at
    the lags of indices ``chosen`` (m,), so that other curves of the same lags are fitted in the same way.
    """

    offset: float
    slope: float
    covariance: Array
    window: tuple[float, float]
    misfit: float
    curvature: tuple[float, float]
    chosen: NDArray[np.int64]
    weights: Array

    @property
    def points(self) -> int:
        """Number of lags that were fitted."""
        return len(self.chosen)

    @property
    def inflation(self) -> float:
        """Factor on the errors: more than 1 where chi^2 exceeds what chance gives in 19 cases of 20."""
        expected = 1 + 2 * np.sqrt(2 / max(self.points - 2, 1))
        return float(np.sqrt(self.misfit)) if self.misfit > expected else 1.0

    @property
    def bends_down(self) -> bool:
        """Whether the MSD bends down by two standard errors or more: ions that still fill their cages."""
        bend, error = self.curvature
        return bend < -2 * error

    def diffusivity(self, dimensions: int = 3) -> tuple[float, float]:
        """Return D and its standard error in cm^2/s."""
        factor = CM2_PER_S / (2 * dimensions)
        return self.slope * factor, float(np.sqrt(self.covariance[1, 1])) * factor


def brownian_covariance(
    lags: NDArray[np.int64], frames: int, step_variance: float, noise_variance: float, squared_hop: float = 0.0
) -> Array:
    """Return the covariance (m, m) of one walker's MSD along one axis, averaged over all origins.

    The walker makes ``frames - 1`` Gaussian steps of variance ``step_variance``; each position is blurred by Gaussian
    noise, so that MSD(n) = ``noise_variance`` + n ``step_variance``. For Gaussian displacements
    Cov(x^2, y^2) = 2 Cov(x, y)^2, summed over all pairs of origins. A walker that gets on by hops adds the fourth
    cumulant of the steps that two displacements share: rate times a^4 for each, with a^2 = ``squared_hop`` and rate
    times a^2 the variance of all steps. Over all axes it sums to d times the value returned, wherever hops point to.

    :param lags: (m,) lags in frames.
    """
    way, both, noise, hops = _overlaps(tuple(int(lag) for lag in lags), frames)
    gaussian = step_variance**2 * way + step_variance * noise_variance * both + noise_variance**2 * noise
    return np.asarray(gaussian + step_variance * squared_hop * hops)


@lru_cache(maxsize=32)
def _overlaps(lags: tuple[int, ...], frames: int) -> tuple[Array, Array, Array, Array]:
    """Return the four matrices (m, m) of which the covariance is made, whatever the variances."""
    matrices = np.zeros((4, len(lags), len(lags)))
    for row, i in enumerate(lags):
        for column, j in enumerate(lags[row:], row):
            matrices[:, row, column] = matrices[:, column, row] = _overlap(i, j, frames)
    return tuple(matrices)  # type: ignore[return-value]


@lru_cache(maxsize=100_000)
def _overlap(i: int, j: int, frames: int) -> tuple[float, float, float, float]:
    shift = np.arange(-i, j + 1)  # start of the first minus start of the second: where they touch
    overlap = np.clip(np.minimum(shift + i, j) - np.maximum(shift, 0), 0, None)
    ends = (shift == 0) * 1.0 + (shift + i == j) - (shift + i == 0) - (shift == j)
    # Number of pairs of origins (k, l) with k - l = shift, k < frames - i, l < frames - j.
    pairs = np.clip(np.minimum(frames - i, frames - j + shift) - np.maximum(shift, 0), 0, None)
    pairs = pairs / ((frames - i) * (frames - j))
    way, both = float(2 * pairs @ overlap**2), float(2 * pairs @ (overlap * ends))
    return way, both, float(0.5 * pairs @ ends**2), float(pairs @ overlap)


def choose_windows(lags: Array, msd: Array, hop_length: float, duration: float) -> Iterator[tuple[float, float]]:
    """Yield windows of the fit in ps, each to half the run.

    The first begins where the MSD exceeds half the squared hop length, the later ones each a third later, as long as
    that is within a third of the run: afterwards too few lags would be left to see a line.
    """
    reached = np.flatnonzero(msd > 0.5 * hop_length**2)
    start = float(lags[reached[0]]) if len(reached) else 0.0
    while 0 < start <= duration / 3:
        yield start, float(duration / 2)
        later = lags[lags >= start * 4 / 3]
        start = float(later[0]) if len(later) else 0.0


def fit_msd(
    lags: Array,
    msd: Array,
    window: tuple[float, float],
    frames: int,
    interval: float,
    walkers: float,
    dimensions: float = 3,
    hop_length: float = 0.0,
    points: int = 20,
) -> Fit | None:
    """Fit MSD = A + 2 d D tau within ``window`` by generalised least squares.

    :param lags: (m,) ps, multiples of ``interval``.
    :param msd: (m,) A^2, summed over all axes, mean over ``walkers`` independent walkers and all origins; it scatters
        like that of ``dimensions`` equal axes.
    :param hop_length: A; 0 for motion that has no hops.
    :param points: at most so many lags of the window are used, evenly spaced: more hold no further information.
    :returns: None if fewer than three lags lie in the window.
    """
    inside = np.flatnonzero((lags >= window[0] - 1e-9) & (lags <= window[1] + 1e-9) & (lags > 0))
    if len(inside) < 3:
        return None
    chosen = np.unique(np.geomspace(inside[0], inside[-1], min(points, len(inside))).round().astype(int))
    tau, values = lags[chosen], msd[chosen]
    steps = np.round(tau / interval).astype(np.int64)
    design = np.stack([np.ones_like(tau), tau], axis=1)
    offset, slope = np.linalg.lstsq(design, values, rcond=None)[0]
    for _ in range(4):
        variances = max(slope, 1e-12) * interval / dimensions, max(offset, 0.0) / dimensions
        covariance = brownian_covariance(steps, frames, *variances, hop_length**2) * dimensions / walkers
        weight = np.linalg.inv(covariance + 1e-12 * np.trace(covariance) * np.eye(len(tau)) / len(tau))
        parameters = np.linalg.inv(design.T @ weight @ design)
        estimator = parameters @ design.T @ weight
        offset, slope = estimator @ values
    residual = values - design @ [offset, slope]
    misfit = float(residual @ weight @ residual) / (len(tau) - 2)
    curved = np.column_stack([design, (tau - tau.mean()) ** 2])
    bend = np.linalg.inv(curved.T @ weight @ curved)
    curvature = float((bend @ curved.T @ weight @ values)[2]), float(np.sqrt(bend[2, 2]))
    ends = float(tau[0]), float(tau[-1])
    return Fit(float(offset), float(slope), parameters, ends, misfit, curvature, chosen, estimator[1])


def slope_variance(fit: Fit, lags: Array, frames: int, interval: float, dimensions: float, hop_length: float) -> float:
    """Return the variance, relative to its square, of the slope that a fit's weights give one walker like those fitted.

    :param hop_length: of that walker, A.
    """
    steps = np.round(lags[fit.chosen] / interval).astype(np.int64)
    variances = max(fit.slope, 1e-12) * interval / dimensions, max(fit.offset, 0.0) / dimensions
    covariance = brownian_covariance(steps, frames, *variances, hop_length**2) * dimensions
    return float(fit.weights @ covariance @ fit.weights) / fit.slope**2
