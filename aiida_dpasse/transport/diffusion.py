"""Tracer and collective diffusion of one system at one temperature, with uncertainties.

Both coefficients come from the same linear estimator of the slope, whose weights are derived from the tracer MSD
alone. The collective estimate is therefore linear in the data and unbiased, and its effective number of degrees of
freedom does not depend on its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from aiida_dpasse.transport.estimate import Estimate
from aiida_dpasse.transport.fit import CM2_PER_S, Fit, brownian_covariance, choose_windows, fit_msd, slope_variance
from aiida_dpasse.transport.moments import moments
from aiida_dpasse.transport.regime import Verdict, judge

Array = NDArray[np.float64]

#: Errors are enlarged if the chi-squared test gives the scatter of the replicas a smaller probability than this.
LEAST_CHANCE = 0.01
#: Once the MSD was sub-linear in one window, this many linear windows are skipped: a curvature below its error need not
#: have vanished.
MARGIN = 2


@dataclass(frozen=True)
class Statistics:
    """Displacement statistics of one run.

    The error estimates need the moments ``probes``, ``quartic`` and ``shared``; without them the ions are treated as
    independent.

    :param lags: (m,) ps.
    :param msd: tracer MSD per axis, (m, 3) A^2.
    :param collective: collective MSD per axis, (m, 3) A^2.
    :param frames: number of frames.
    :param interval: time between frames in ps.
    :param ions: number of mobile ions.
    :param volume: volume of the cell in A^3.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A.
    :param probes: lags of the fourth moments, (k,) ps.
    :param quartic: fourth moment of the displacements, (k,) A^4.
    :param shared: correlation between ions (k,), see `shared_motion`.
    :param cross: yz, xz and xy elements of the tracer tensor, (m, 3) A^2.
    :param collective_cross: yz, xz and xy elements of the collective tensor, (m, 3) A^2.
    """

    lags: Array
    msd: Array
    collective: Array
    frames: int
    interval: float
    ions: int
    volume: float
    framework: float = 0.0
    probes: Array | None = None
    quartic: Array | None = None
    shared: Array | None = None
    cross: Array | None = None
    collective_cross: Array | None = None

    @property
    def duration(self) -> float:
        """Length of the run in ps."""
        return (self.frames - 1) * self.interval

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Array],
        frames: int,
        interval: float,
        ions: int,
        volume: float,
        framework: float = 0.0,
    ) -> Statistics:
        """Build from the arrays that `moments` returns.

        :param arrays: by name; ``lag_ps``, ``msd_A2`` and ``collective_A2`` are required.
        :param frames: number of frames.
        :param interval: time between frames in ps.
        :param ions: number of mobile ions.
        :param volume: volume of the cell in A^3.
        :param framework: root mean square displacement of the other atoms from their crystal sites in A.
        """
        names = ('probe_ps', 'quartic_A4', 'shared', 'cross_A2', 'collective_cross_A2')
        probes, quartic, shared, *crosses = (arrays.get(name) for name in names)
        lags, msd, collective = arrays['lag_ps'], arrays['msd_A2'], arrays['collective_A2']
        return cls(lags, msd, collective, frames, interval, ions, volume, framework, probes, quartic, shared, *crosses)


@dataclass(frozen=True)
class Diffusion:
    """Diffusion coefficients at one temperature; None means undetermined.

    :param tracer: D* in cm^2/s.
    :param collective: D_sigma in cm^2/s.
    :param haven: Haven ratio D* / D_sigma.
    :param verdict: whether the motion is diffusive.
    :param fit: generalised least-squares fit of the tracer MSD.
    :param walkers: number of independent walkers per run that would determine D equally well.
    :param lags: (m,) ps.
    :param msd: tracer MSD summed over the axes, mean over the runs, (m,) A^2.
    :param msd_error: standard deviation of ``msd``, (m,) A^2.
    """

    tracer: Estimate | None
    collective: Estimate | None
    haven: Estimate | None
    verdict: Verdict
    fit: Fit | None
    walkers: float
    lags: Array
    msd: Array
    msd_error: Array

    @property
    def reported(self) -> Diffusion:
        """The result to report: without coefficients if the motion is not diffusive, where the slope is not 2 d D."""
        return self if self.verdict.diffusive else replace(self, tracer=None, collective=None, haven=None)


def take_statistics(
    positions: Array, interval: float, volume: float, charges: Array | None = None, framework: float = 0.0
) -> Statistics:
    """Return the statistics of one run, for lags up to half its length.

    :param positions: (frames, ions, 3) A, of the carriers, unwrapped, relative to the framework's centre of mass.
    :param interval: time between frames in ps.
    :param volume: volume of the cell in A^3.
    :param charges: (ions,) in elementary charges; equal by default.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A.
    :raises ValueError: if no ion carries a charge.
    """
    frames, ions, _ = np.shape(positions)
    return Statistics.from_arrays(moments(positions, interval, charges), frames, interval, ions, volume, framework)


def pool(runs: Sequence[Statistics], jump_distance: float, dimensions: int = 3) -> Diffusion:
    """Return the diffusion of one system at one temperature from the statistics of its independent runs.

    Runs are truncated to their common lags and averaged. If three or more runs scatter more than their errors allow,
    the errors are enlarged to match the scatter.

    :param runs: statistics of the runs, with the same ions and sampling interval.
    :param jump_distance: distance between neighbouring sites in A.
    :param dimensions: number of dimensions d in MSD = 2 d D tau.
    :raises ValueError: if ``runs`` is empty, or the runs differ in their ions or sampling interval.
    """
    if not runs:
        raise ValueError('There is no run to pool: give at least one.')
    if len({(run.ions, round(run.interval, 9)) for run in runs}) > 1:
        raise ValueError('The runs differ in their ions or their sampling interval: pool those that are alike.')
    shortest = min(runs, key=lambda run: len(run.lags))
    lags, count = shortest.lags, len(shortest.lags)
    tracers = np.array([run.msd[:count].sum(axis=1) for run in runs])
    wholes = np.array([run.collective[:count].sum(axis=1) for run in runs])
    msd = tracers.mean(axis=0)
    frames, interval, ions = shortest.frames, shortest.interval, float(shortest.ions)

    fit, settled, walkers, jump, axes = fit_settled(runs, lags, msd, jump_distance, dimensions)
    framework = max(run.framework for run in runs)
    verdict = judge(fit, lags, msd, walkers * len(runs), jump_distance, framework, settled)
    error = msd_error(lags, fit, msd, frames, interval, walkers * len(runs), axes, jump)
    nothing = Diffusion(None, None, None, verdict, fit, walkers, lags, msd, error)
    if fit is None or fit.slope <= 0:
        return nothing

    one = slope_variance(fit, lags, frames, interval, axes, jump)
    single, single_whole = one / walkers, slope_variance(fit, lags, frames, interval, axes, jump / walkers**0.5)
    tracer = _estimate(tracers[:, fit.chosen] @ fit.weights, single).widened(fit.inflation)
    collective = _estimate(wholes[:, fit.chosen] @ fit.weights, single_whole)
    found = replace(
        nothing,
        tracer=tracer.scaled(CM2_PER_S / (2 * dimensions)) if tracer.determined else None,
        collective=collective.scaled(CM2_PER_S / (2 * dimensions)) if collective.determined else None,
    )
    if found.collective is None or not verdict.diffusive:
        return found
    gaussian = slope_variance(fit, lags, frames, interval, axes, 0.0)
    hops = single - gaussian / walkers
    haven = haven_ratio(tracer, collective, ions, gaussian / len(runs), hops / len(runs))
    return replace(found, haven=haven if haven.determined else None)


def fit_settled(
    runs: Sequence[Statistics], lags: Array, msd: Array, jump_distance: float, dimensions: int
) -> tuple[Fit | None, bool, float, float, float]:
    """Fit the MSD in the first window from which on it is no longer sub-linear.

    While ions explore their cages, the MSD grows sub-linearly long before any of them leaves its cage. If no window
    qualifies, the fit of the last one is returned.

    :param runs: statistics of the runs.
    :param lags: (m,) ps.
    :param msd: mean over the runs, (m,) A^2.
    :param jump_distance: distance between neighbouring sites in A.
    :param dimensions: number of dimensions.
    :returns: the fit (None if no window can be fitted), whether the MSD is linear there, and the three numbers of
        `independence`: walkers, jump distance in A, and axes.
    """
    frames, interval, ions = min(run.frames for run in runs), runs[0].interval, float(runs[0].ions)
    found: tuple[Fit | None, float, float, float] = None, ions, jump_distance, dimensions
    sublinear, straight = False, 0
    for window in choose_windows(lags, msd, jump_distance, (frames - 1) * interval):
        known = ions, jump_distance, float(dimensions)
        first = fit_msd(lags, msd, window, frames, interval, ions * len(runs), dimensions, jump_distance)
        if first is None or (first.slope <= 0 and found[0] is not None):
            break
        if first.slope > 0:
            known = independence(runs, first, jump_distance, dimensions)
        walkers, jump, axes = known
        fit = fit_msd(lags, msd, window, frames, interval, walkers * len(runs), axes, jump)
        found = fit, *known
        curved = fit is not None and fit.sublinear
        sublinear, straight = sublinear or curved, 0 if curved else straight + 1
        if straight > (MARGIN if sublinear else 0):
            return found[0], True, *known
    return found[0], False, *found[1:]


def independence(
    runs: Sequence[Statistics], fit: Fit, jump_distance: float, dimensions: int
) -> tuple[float, float, float]:
    """Return the walkers, jump distance and axes of an equivalent ensemble of independent walkers.

    It determines D as well as all ions of a run do. All three numbers are evaluated at the lag where the fit window
    begins. Rattling is uncorrelated between ions, so the shared motion is normalised by the diffusive part of the MSD,
    slope times lag. The jump distance a explains the fourth moment: its excess over that of Gaussian displacements is
    rate times a^4, the growth of the second moment is rate times a^2. The number of axes is that of an isotropic walker
    with the same scatter, (Tr M)^2 / Tr M^2 of the second moments M: ions that move along one direction determine D
    less well than those that move along three.

    :param runs: statistics of the runs.
    :param fit: first fit of the MSD; its slope and window are used.
    :param jump_distance: A; returned, with independent ions and ``dimensions``, if a run lacks the fourth moments.
    :param dimensions: largest number of axes.
    :returns: number of walkers, jump distance in A, and effective number of axes.
    """
    ions = float(runs[0].ions)
    pooled: list[tuple[float, float]] = []
    trace, squares = 0.0, 0.0
    for run in runs:
        if run.probes is None or run.quartic is None or run.shared is None:
            return ions, jump_distance, float(dimensions)
        probe = int(np.argmin(np.abs(np.log(run.probes / fit.window[0]))))
        index = int(np.argmin(np.abs(run.lags - run.probes[probe])))
        axes = run.msd[index]
        # Tr M^2 of a symmetric M; off-diagonal elements count twice.
        cross = 0.0 if run.cross is None else 2 * float(np.sum(run.cross[index] ** 2))
        square = float(np.sum(axes**2)) + cross
        gaussian = float(axes.sum()) ** 2 + 2 * square
        way = fit.slope * float(run.probes[probe])
        pooled.append(
            (
                float(run.shared[probe]) * (float(axes.sum()) / way) ** 2,
                (float(run.quartic[probe]) - gaussian) / way,
            )
        )
        trace, squares = trace + float(axes.sum()) ** 2, squares + square
    shared, squared_jump = np.mean(pooled, axis=0)
    walkers = ions / (1 + min(max(float(shared), 0.0), ions - 1))
    return walkers, float(np.sqrt(max(squared_jump, 0.0))), min(trace / squares, float(dimensions))


def _estimate(slopes: Array, variance: float) -> Estimate:
    """Return the mean slope of the runs, each of relative ``variance``; excess scatter enlarges its error."""
    mean, others = float(np.mean(slopes)), len(slopes) - 1
    estimate = Estimate(mean, 2 * len(slopes) / variance)
    if others > 1:
        squares = float(np.sum((slopes - mean) ** 2)) / (variance * mean**2)
        if chi2.sf(squares, others) < LEAST_CHANCE:
            return estimate.widened(float(np.sqrt(squares / others)))
    return estimate


def haven_ratio(tracer: Estimate, collective: Estimate, ions: float, gaussian: float, hops: float) -> Estimate:
    """Return H = D* / D_sigma from one set of trajectories, corrected for bias.

    D* and D_sigma are correlated, since the centre-of-mass motion of the ions enters both. Their relative covariance is
    that of a Gaussian walker, ``gaussian``, times the fraction 1 / (N H) of D* due to that motion, plus the entire
    noise ``hops`` of the number of hops. The mean of 1 / chi^2 exceeds the inverse of the mean of chi^2 by the relative
    variance, which is subtracted.

    :param tracer: D*.
    :param collective: D_sigma, in the same unit.
    :param ions: number N of ions.
    :param gaussian: relative variance of D from the Gaussian motion of one walker in all runs.
    :param hops: relative variance of D due to the finite number of hops.
    """
    ratio = tracer.value / collective.value
    covariance = gaussian * min(1.0, 1 / (ions * ratio)) + hops
    whole = 2 / collective.degrees_of_freedom
    variance = max(whole + 2 / tracer.degrees_of_freedom - 2 * covariance, 1e-12)
    return Estimate(ratio * (1 - max(whole - covariance, 0.0)), 2 / variance, inverse=True)


def msd_error(
    lags: Array,
    fit: Fit | None,
    msd: Array,
    frames: int,
    interval: float,
    walkers: float,
    dimensions: float = 3,
    jump_distance: float = 0.0,
) -> Array:
    """Return the standard deviation (m,) A^2 of the MSD under the fitted model of hopping and rattling walkers.

    :param lags: (m,) ps.
    :param fit: fit of the MSD; None to use a straight line and the last value instead.
    :param msd: (m,) A^2.
    :param frames: number of frames.
    :param interval: time between frames in ps.
    :param walkers: number of independent walkers.
    :param dimensions: effective number of axes.
    :param jump_distance: A.
    """
    steps = np.round(lags / interval).astype(np.int64)
    slope = fit.slope if fit is not None else float(np.polyfit(lags, msd, 1)[0])
    offset = fit.offset if fit is not None else float(msd[-1])
    variances = max(slope, 0.0) * interval / dimensions, max(offset, 0.0) / dimensions
    # The covariance is costly and the error a smooth function of the lag: about 40 lags suffice for interpolation.
    known = np.unique(np.geomspace(1, max(int(steps.max()), 1), 40).round().astype(np.int64))
    one = [brownian_covariance(np.array([step]), frames, *variances, jump_distance**2)[0, 0] for step in known]
    error = np.interp(steps, np.append(0, known), np.append(0.0, np.sqrt(np.array(one) * dimensions / walkers)))
    return np.asarray(error)
