"""Fit of a straight line to a mean square displacement by generalised least squares.

The model is MSD(tau) = A + 2 d D tau with the exact covariance of the MSD of a Brownian walker observed through
localised rattling of variance A (Bullerjahn, von Buelow and Hummer, J. Chem. Phys. 153, 024116, 2020; Michalet, Phys.
Rev. E 82, 041914, 2010). The noise of discrete hops is added: ions in a solid make few, large steps, and the number of
hops limits the precision of D. Neighbouring lags share most of their data, which ordinary least squares would treat as
independent.
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
    """Result of a generalised least-squares fit MSD = ``offset`` + ``slope`` tau.

    :param offset: A^2.
    :param slope: A^2/ps.
    :param covariance: (2, 2), of offset and slope.
    :param window: first and last lag fitted, ps.
    :param reduced_chi_squared: chi squared divided by the number of lags minus that of parameters.
    :param curvature: coefficient of a quadratic term in tau and its standard error, A^2/ps^2.
    :param chosen: (m,), indices of the lags fitted.
    :param weights: (m,), such that the slope is their product with the MSD at ``chosen``; applying them to other curves
        at the same lags fits these in the same way.
    """

    offset: float
    slope: float
    covariance: Array
    window: tuple[float, float]
    reduced_chi_squared: float
    curvature: tuple[float, float]
    chosen: NDArray[np.int64]
    weights: Array

    @property
    def points(self) -> int:
        """Number of lags fitted."""
        return len(self.chosen)

    @property
    def inflation(self) -> float:
        """Factor on the errors: above 1 if the reduced chi squared exceeds its 95 % range."""
        expected = 1 + 2 * np.sqrt(2 / max(self.points - 2, 1))
        return float(np.sqrt(self.reduced_chi_squared)) if self.reduced_chi_squared > expected else 1.0

    @property
    def sublinear(self) -> bool:
        """Whether the MSD is sub-linear by two standard errors or more, as while ions still explore their cages."""
        curvature, error = self.curvature
        return curvature < -2 * error


def brownian_covariance(
    lags: NDArray[np.int64], frames: int, step_variance: float, noise_variance: float, squared_jump: float = 0.0
) -> Array:
    """Return the covariance (m, m) of one walker's MSD along one axis, averaged over all origins, in A^4.

    The walker makes ``frames - 1`` Gaussian steps of variance ``step_variance``, and Gaussian noise blurs each
    position, so that MSD(n) = ``noise_variance`` + n ``step_variance``. For Gaussian displacements Cov(x^2, y^2) = 2
    Cov(x, y)^2, summed over all pairs of origins. A walker that moves by hops adds the fourth cumulant of the steps
    common to the two displacements: rate times a^4 per step, with a^2 = ``squared_jump`` and rate times a^2 the
    variance of a step, both summed over the axes. The sum over d axes is d times the value returned, whatever the
    directions of the hops.

    :param lags: (m,) lags in frames.
    :param frames: number of frames.
    :param step_variance: A^2 per frame and axis.
    :param noise_variance: offset of the MSD per axis, A^2.
    :param squared_jump: squared jump distance, A^2; 0 for motion without hops.
    """
    way, both, noise, hops = _overlaps(tuple(int(lag) for lag in lags), frames)
    gaussian = step_variance**2 * way + step_variance * noise_variance * both + noise_variance**2 * noise
    return np.asarray(gaussian + step_variance * squared_jump * hops)


@lru_cache(maxsize=32)
def _overlaps(lags: tuple[int, ...], frames: int) -> tuple[Array, Array, Array, Array]:
    """Return the four matrices (m, m) that compose the covariance and do not depend on the variances."""
    matrices = np.zeros((4, len(lags), len(lags)))
    for row, i in enumerate(lags):
        for column, j in enumerate(lags[row:], row):
            matrices[:, row, column] = matrices[:, column, row] = _overlap(i, j, frames)
    return tuple(matrices)  # type: ignore[return-value]


@lru_cache(maxsize=100_000)
def _overlap(i: int, j: int, frames: int) -> tuple[float, float, float, float]:
    shift = np.arange(-i, j + 1)  # start of the first minus start of the second, where they touch
    overlap = np.clip(np.minimum(shift + i, j) - np.maximum(shift, 0), 0, None)
    ends = (shift == 0) * 1.0 + (shift + i == j) - (shift + i == 0) - (shift == j)
    # Number of pairs of origins (k, l) with k - l = shift, k < frames - i and l < frames - j.
    pairs = np.clip(np.minimum(frames - i, frames - j + shift) - np.maximum(shift, 0), 0, None)
    pairs = pairs / ((frames - i) * (frames - j))
    way, both = float(2 * pairs @ overlap**2), float(2 * pairs @ (overlap * ends))
    return way, both, float(0.5 * pairs @ ends**2), float(pairs @ overlap)


def choose_windows(lags: Array, msd: Array, jump_distance: float, duration: float) -> Iterator[tuple[float, float]]:
    """Yield candidate windows of the fit in ps, all of which end at half the run.

    The first begins where the MSD exceeds half the squared jump distance; each further one begins at 4/3 of the
    previous start, up to a third of the run, beyond which too few lags remain to test for linearity.

    :param lags: (m,) ps.
    :param msd: (m,) A^2.
    :param jump_distance: distance between neighbouring sites in A.
    :param duration: length of the run in ps.
    """
    reached = np.flatnonzero(msd > 0.5 * jump_distance**2)
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
    jump_distance: float = 0.0,
    points: int = 20,
) -> Fit | None:
    """Fit MSD = A + 2 d D tau within ``window`` by generalised least squares.

    :param lags: (m,) ps, multiples of ``interval``.
    :param msd: (m,) A^2, summed over all axes, mean over the walkers and all origins.
    :param window: first and last lag, ps.
    :param frames: number of frames.
    :param interval: time between frames in ps.
    :param walkers: number of independent walkers.
    :param dimensions: number of equal axes with the same scatter; need not be an integer.
    :param jump_distance: A; 0 for motion without hops.
    :param points: at most this many lags of the window are fitted, evenly spaced in their logarithm; more add no
        information.
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
        covariance = brownian_covariance(steps, frames, *variances, jump_distance**2) * dimensions / walkers
        weight = np.linalg.inv(covariance + 1e-12 * np.trace(covariance) * np.eye(len(tau)) / len(tau))
        parameters = np.linalg.inv(design.T @ weight @ design)
        estimator = parameters @ design.T @ weight
        offset, slope = estimator @ values
    residual = values - design @ [offset, slope]
    reduced_chi_squared = float(residual @ weight @ residual) / (len(tau) - 2)
    curved = np.column_stack([design, (tau - tau.mean()) ** 2])
    inverse = np.linalg.inv(curved.T @ weight @ curved)
    curvature = float((inverse @ curved.T @ weight @ values)[2]), float(np.sqrt(inverse[2, 2]))
    ends = float(tau[0]), float(tau[-1])
    return Fit(float(offset), float(slope), parameters, ends, reduced_chi_squared, curvature, chosen, estimator[1])


def slope_variance(
    fit: Fit, lags: Array, frames: int, interval: float, dimensions: float, jump_distance: float
) -> float:
    """Return the relative variance of the slope for a single walker, with the weights of a given fit.

    :param fit: the fit.
    :param lags: (m,) ps.
    :param frames: number of frames.
    :param interval: time between frames in ps.
    :param dimensions: effective number of axes.
    :param jump_distance: jump distance of the walker, A.
    """
    steps = np.round(lags[fit.chosen] / interval).astype(np.int64)
    variances = max(fit.slope, 1e-12) * interval / dimensions, max(fit.offset, 0.0) / dimensions
    covariance = brownian_covariance(steps, frames, *variances, jump_distance**2) * dimensions
    return float(fit.weights @ covariance @ fit.weights) / fit.slope**2
