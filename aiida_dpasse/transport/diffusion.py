"""Diffusion coefficients and their errors from mean square displacements.

The fit is a generalised least squares of MSD(tau) = A + 2 d D tau with the exact covariance of the MSD of a Brownian
walker that is seen through a localised rattling of variance A (Bullerjahn, von Buelow and Hummer, J. Chem. Phys. 153,
024116, 2020; Michalet, Phys. Rev. E 82, 041914, 2010), to which the noise of hops is added: ions in a solid make few,
large steps, and D cannot be known better than their number. The standard error is calibrated: neighbouring lags share
most of their data, which an ordinary fit takes for independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.regime import Verdict, judge

Array = NDArray[np.float64]

#: A^2/ps in cm^2/s.
CM2_PER_S = 1e-4
#: A collective coefficient with a larger relative error than this says nothing.
LARGEST_RELATIVE_ERROR = 0.3


@dataclass(frozen=True)
class Statistics:
    """What one run gives: ``lags`` (m,) ps, ``msd`` and ``collective`` (m, 3) A^2 per axis, and what is behind them.

    ``frames`` positions, ``interval`` ps apart, of ``ions`` ions in ``volume`` A^3; ``framework`` is the root mean
    square displacement of the other atoms from the crystal's sites, in A.
    """

    lags: Array
    msd: Array
    collective: Array
    frames: int
    interval: float
    ions: int
    volume: float
    framework: float = 0.0

    @property
    def duration(self) -> float:
        """Length of the run in ps."""
        return (self.frames - 1) * self.interval


@dataclass(frozen=True)
class Fit:
    """MSD = ``offset`` + ``slope`` tau with covariance (2, 2), the window in ps, and chi^2 per degree of freedom."""

    offset: float
    slope: float
    covariance: Array
    window: tuple[float, float]
    misfit: float
    curvature: tuple[float, float]
    points: int

    @property
    def inflation(self) -> float:
        """Factor on the errors: more than 1 where chi^2 exceeds what chance gives in 19 cases of 20."""
        expected = 1 + 2 * np.sqrt(2 / max(self.points - 2, 1))
        return float(np.sqrt(self.misfit)) if self.misfit > expected else 1.0

    def diffusivity(self, dimensions: int = 3) -> tuple[float, float]:
        """Return D and its standard error in cm^2/s."""
        factor = CM2_PER_S / (2 * dimensions)
        return self.slope * factor, float(np.sqrt(self.covariance[1, 1])) * factor


@dataclass(frozen=True)
class Diffusion:
    """Result for one temperature; None stands for undetermined. D in cm^2/s, errors are one standard deviation."""

    tracer: float | None
    tracer_error: float | None
    collective: float | None
    collective_error: float | None
    haven: float | None
    haven_error: float | None
    verdict: Verdict
    fit: Fit | None
    lags: Array
    msd: Array
    msd_error: Array


def brownian_covariance(
    lags: NDArray[np.int64], frames: int, step_variance: float, noise_variance: float, squared_hop: float = 0.0
) -> NDArray[np.float64]:
    """Return the covariance (m, m) of one walker's MSD along one axis, averaged over all origins.

    The walker makes ``frames - 1`` Gaussian steps of variance ``step_variance``; each position is blurred by Gaussian
    noise, so that MSD(n) = ``noise_variance`` + n ``step_variance``. For Gaussian displacements
    Cov(x^2, y^2) = 2 Cov(x, y)^2, summed over all pairs of origins. A walker that gets on by hops adds the fourth
    cumulant of the steps that two displacements share: rate times a^4 for each, with a^2 = ``squared_hop`` and rate
    times a^2 the variance of all steps. Over all axes it sums to d times the value returned, wherever hops point to.

    :param lags: (m,) lags in frames.
    """
    count = len(lags)
    covariance = np.zeros((count, count))
    for row in range(count):
        for column in range(row, count):
            i, j = int(lags[row]), int(lags[column])
            shift = np.arange(-(i - 1) - 1, j + 1)  # start of the first minus start of the second: where they touch
            overlap = np.clip(np.minimum(shift + i, j) - np.maximum(shift, 0), 0, None)
            ends = (shift == 0) * 1.0 + (shift + i == j) - (shift + i == 0) - (shift == j)
            correlation = step_variance * overlap + 0.5 * noise_variance * ends
            # Number of pairs of origins (k, l) with k - l = shift, k < frames - i, l < frames - j.
            pairs = np.minimum(frames - i, frames - j + shift) - np.maximum(shift, 0)
            total = np.sum(np.clip(pairs, 0, None) * (2 * correlation**2 + step_variance * squared_hop * overlap))
            covariance[row, column] = covariance[column, row] = total / ((frames - i) * (frames - j))
    return covariance


def choose_window(lags: Array, msd: Array, hop_length: float, duration: float) -> tuple[float, float] | None:
    """Return the window of the fit in ps: from where the MSD exceeds half the squared hop length to half the run.

    None if the MSD does not grow so far before a third of the run: too few lags would be left to see a line.
    """
    reached = np.flatnonzero(msd > 0.5 * hop_length**2)
    if not len(reached) or lags[reached[0]] > duration / 3 or lags[reached[0]] == 0:
        return None
    return float(lags[reached[0]]), float(duration / 2)


def fit_msd(
    lags: Array,
    msd: Array,
    window: tuple[float, float],
    frames: int,
    interval: float,
    walkers: int,
    dimensions: int = 3,
    hop_length: float = 0.0,
    model: Fit | None = None,
    points: int = 20,
) -> Fit | None:
    """Fit MSD = A + 2 d D tau within ``window`` by generalised least squares.

    :param lags: (m,) ps, multiples of ``interval``.
    :param msd: (m,) A^2, summed over ``dimensions`` axes, mean over ``walkers`` independent walkers and all origins.
    :param hop_length: A; 0 for motion that has no hops.
    :param model: fit whose slope and offset give the covariance; by default they are found together. For a few walkers
        only: with a covariance from their own noisy slope, small values would come with small errors.
    :param points: at most so many lags of the window are used, evenly spaced: more hold no further information.
    :returns: None if fewer than three lags lie in the window.
    """
    inside = np.flatnonzero((lags >= window[0] - 1e-9) & (lags <= window[1] + 1e-9) & (lags > 0))
    if len(inside) < 3:
        return None
    chosen = np.unique(np.linspace(inside[0], inside[-1], min(points, len(inside))).round().astype(int))
    tau, values = lags[chosen], msd[chosen]
    steps = np.round(tau / interval).astype(np.int64)
    design = np.stack([np.ones_like(tau), tau], axis=1)
    offset, slope = (model.offset, model.slope) if model else np.linalg.lstsq(design, values, rcond=None)[0]
    for _ in range(1 if model else 4):
        variances = max(slope, 1e-12) * interval / dimensions, max(offset, 0.0) / dimensions
        covariance = brownian_covariance(steps, frames, *variances, hop_length**2) * dimensions / walkers
        weight = np.linalg.inv(covariance + 1e-12 * np.trace(covariance) * np.eye(len(tau)) / len(tau))
        parameters = np.linalg.inv(design.T @ weight @ design)
        offset, slope = parameters @ design.T @ weight @ values
    if model and slope > model.slope:
        parameters, weight = parameters * (slope / model.slope) ** 2, weight * (model.slope / slope) ** 2
    residual = values - design @ [offset, slope]
    misfit = float(residual @ weight @ residual) / (len(tau) - 2)
    curved = np.column_stack([design, (tau - tau.mean()) ** 2])
    bend = np.linalg.inv(curved.T @ weight @ curved)
    curvature = float((bend @ curved.T @ weight @ values)[2]), float(np.sqrt(bend[2, 2]))
    return Fit(float(offset), float(slope), parameters, (float(tau[0]), float(tau[-1])), misfit, curvature, len(tau))


def pool(runs: Sequence[Statistics], hop_length: float, dimensions: int = 3) -> Diffusion:
    """Return the diffusion of one system at one temperature from the statistics of its independent runs.

    Runs are cut to the lags that all have and averaged. The error of D is the larger of the fit's own and of the
    scatter among three or more runs, so that correlations among the ions, which the fit does not know, are not lost.
    The collective coefficient has one walker per run; it is given only if known to within `LARGEST_RELATIVE_ERROR`.

    :param hop_length: distance between neighbouring sites in A.
    :raises ValueError: if there is no run, or the runs were not sampled alike.
    """
    if not runs:
        raise ValueError('There is no run to pool: give at least one.')
    if len({(run.ions, round(run.interval, 9)) for run in runs}) > 1:
        raise ValueError('The runs differ in their ions or their sampling interval: pool those that are alike.')
    shortest = min(runs, key=lambda run: len(run.lags))
    lags, count = shortest.lags, len(shortest.lags)
    msd = np.mean([run.msd[:count].sum(axis=1) for run in runs], axis=0)
    collective = np.mean([run.collective[:count].sum(axis=1) for run in runs], axis=0)
    frames, interval, ions = shortest.frames, shortest.interval, shortest.ions

    window = choose_window(lags, msd, hop_length, shortest.duration)
    walkers = ions * len(runs)
    fit = None if window is None else fit_msd(lags, msd, window, frames, interval, walkers, dimensions, hop_length)
    verdict = judge(fit, lags, msd, walkers, hop_length, max(run.framework for run in runs))
    error = msd_error(lags, fit, msd, frames, interval, walkers, dimensions, hop_length)
    if fit is None:
        return Diffusion(None, None, None, None, None, None, verdict, None, lags, msd, error)

    tracer, tracer_error = fit.diffusivity(dimensions)
    singles = [
        fit_msd(lags, run.msd[:count].sum(axis=1), fit.window, frames, interval, ions, dimensions, hop_length, fit)
        for run in runs
    ]
    values = [single.diffusivity(dimensions)[0] for single in singles if single is not None]
    if len(values) > 2:
        tracer_error = max(tracer_error, float(np.std(values, ddof=1) / np.sqrt(len(values))))
    tracer_error *= fit.inflation
    determined = None
    # A hop moves the collective coordinate, normalised by N, by its length over the root of N.
    step = hop_length / np.sqrt(ions)
    whole = None
    if fit.slope > 0:
        whole = fit_msd(lags, collective, fit.window, frames, interval, len(runs), dimensions, step, fit)
    if whole is not None and whole.slope > 0:
        value, spread = whole.diffusivity(dimensions)
        spread *= whole.inflation
        determined = (value, spread) if spread < LARGEST_RELATIVE_ERROR * value else None
    haven = haven_error = None
    if determined is not None and verdict.diffusive:
        haven = tracer / determined[0]
        haven_error = haven * float(np.hypot(tracer_error / tracer, determined[1] / determined[0]))
    d_sigma, d_sigma_error = determined or (None, None)
    return Diffusion(tracer, tracer_error, d_sigma, d_sigma_error, haven, haven_error, verdict, fit, lags, msd, error)


def msd_error(
    lags: Array,
    fit: Fit | None,
    msd: Array,
    frames: int,
    interval: float,
    walkers: int,
    dimensions: int = 3,
    hop_length: float = 0.0,
) -> Array:
    """Return the standard deviation (m,) A^2 of the MSD if the walkers hop and rattle with the MSD seen."""
    steps = np.round(lags / interval).astype(np.int64)
    error = np.zeros(len(lags))
    slope = fit.slope if fit is not None else float(np.polyfit(lags, msd, 1)[0])
    offset = fit.offset if fit is not None else float(msd[-1])
    variances = max(slope, 0.0) * interval / dimensions, max(offset, 0.0) / dimensions
    for index, step in enumerate(steps):
        if step > 0:
            variance = brownian_covariance(np.array([step]), frames, *variances, hop_length**2)[0, 0]
            error[index] = np.sqrt(variance * dimensions / walkers)
    return error
