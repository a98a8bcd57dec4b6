"""Tracer and collective diffusion of one system at one temperature, and how well each is known.

Both are slopes of the same linear estimator, whose weights come from the tracers alone: the collective estimate is
linear in what was seen, so it has no bias, and its freedom does not depend on its own value.
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

#: Replicas scatter more than their errors allow if chance would do so in fewer cases than this.
LEAST_CHANCE = 0.01
#: Once the MSD was seen to bend, so many windows are passed over after those in which it does: a bend that is no longer
#: seen is not gone.
MARGIN = 2


@dataclass(frozen=True)
class Statistics:
    """What one run gives: ``lags`` (m,) ps, ``msd`` and ``collective`` (m, 3) A^2 per axis, and what is behind them.

    ``frames`` positions, ``interval`` ps apart, of ``ions`` ions in ``volume`` A^3; ``framework`` is the root mean
    square displacement of the other atoms from the crystal's sites, in A. The errors rest on the fourth moment
    ``quartic`` (k,) A^4 and on ``shared`` (k,), see `shared_motion`, at the lags ``probes`` (k,) ps; without them ions
    are taken for independent. ``cross`` and ``collective_cross`` (m, 3) A^2 are yz, xz and xy of the tensors.
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
        """Return the statistics whose ``arrays`` are those of `moments`, or their first three."""
        names = ('probe_ps', 'quartic_A4', 'shared', 'cross_A2', 'collective_cross_A2')
        probes, quartic, shared, *crosses = (arrays.get(name) for name in names)
        lags, msd, collective = arrays['lag_ps'], arrays['msd_A2'], arrays['collective_A2']
        return cls(lags, msd, collective, frames, interval, ions, volume, framework, probes, quartic, shared, *crosses)


@dataclass(frozen=True)
class Diffusion:
    """Result for one temperature; None stands for undetermined.

    ``tracer`` and ``collective`` are estimates in cm^2/s, ``haven`` of their ratio; ``msd`` and its error ``msd_error``
    (m,) A^2 stand at ``lags`` (m,) ps. ``walkers`` is the number of independent ones that would know D as well.
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
    def told(self) -> Diffusion:
        """This, without the coefficients that slopes of ions that do not diffuse would be taken for."""
        return self if self.verdict.diffusive else replace(self, tracer=None, collective=None, haven=None)


def take_statistics(
    positions: Array, interval: float, volume: float, charges: Array | None = None, framework: float = 0.0
) -> Statistics:
    """Return the statistics of one run up to half its length; the arguments are those of `moments`, volume in A^3."""
    frames, ions, _ = np.shape(positions)
    return Statistics.from_arrays(moments(positions, interval, charges), frames, interval, ions, volume, framework)


def pool(runs: Sequence[Statistics], hop_length: float, dimensions: int = 3) -> Diffusion:
    """Return the diffusion of one system at one temperature from the statistics of its independent runs.

    Runs are cut to the lags that all have and averaged. Where three or more runs scatter more than their errors allow,
    the errors are widened to the scatter.

    :param hop_length: distance between neighbouring sites in A.
    :raises ValueError: if there is no run, or the runs were not sampled alike.
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

    fit, settled, walkers, hop, axes = fit_settled(runs, lags, msd, hop_length, dimensions)
    framework = max(run.framework for run in runs)
    verdict = judge(fit, lags, msd, walkers * len(runs), hop_length, framework, settled)
    error = msd_error(lags, fit, msd, frames, interval, walkers * len(runs), axes, hop)
    nothing = Diffusion(None, None, None, verdict, fit, walkers, lags, msd, error)
    if fit is None or fit.slope <= 0:
        return nothing

    one = slope_variance(fit, lags, frames, interval, axes, hop)
    single, single_whole = one / walkers, slope_variance(fit, lags, frames, interval, axes, hop / walkers**0.5)
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
    runs: Sequence[Statistics], lags: Array, msd: Array, hop_length: float, dimensions: int
) -> tuple[Fit | None, bool, float, float, float]:
    """Return the fit of the first window from which on the MSD does not bend down, whether there is one, and what
    `independence` tells there.

    An ion that fills its cage makes the MSD grow long before any ion leaves its cage, but not by a line. If it bends in
    too many of the windows the last is returned; None if no window can be fitted.
    """
    frames, interval, ions = min(run.frames for run in runs), runs[0].interval, float(runs[0].ions)
    found: tuple[Fit | None, float, float, float] = None, ions, hop_length, dimensions
    bent, straight = False, 0
    for window in choose_windows(lags, msd, hop_length, (frames - 1) * interval):
        known = ions, hop_length, float(dimensions)
        first = fit_msd(lags, msd, window, frames, interval, ions * len(runs), dimensions, hop_length)
        if first is None or (first.slope <= 0 and found[0] is not None):
            break
        if first.slope > 0:
            known = independence(runs, first, hop_length, dimensions)
        walkers, hop, axes = known
        fit = fit_msd(lags, msd, window, frames, interval, walkers * len(runs), axes, hop)
        found = fit, *known
        bends = fit is not None and fit.bends_down
        bent, straight = bent or bends, 0 if bends else straight + 1
        if straight > (MARGIN if bent else 0):
            return found[0], True, *known
    return found[0], False, *found[1:]


def independence(
    runs: Sequence[Statistics], fit: Fit, hop_length: float, dimensions: int
) -> tuple[float, float, float]:
    """Return how many independent walkers know D as well as all ions of a run, the length of their hops in A, and the
    number of their axes.

    All are taken where the window of the fit begins. Ions that only rattle there share nothing, so the share is that
    of the way that the ions make. The hop length is what explains the fourth moment: rate times a^4 is what it exceeds
    that of Gaussian displacements, rate times a^2 the growth of the second. The axes are those, equal among
    themselves, whose displacements scatter as much, (Tr M)^2 / Tr M^2 of the second moments M: ions that move along
    one direction know less than those that move along three. Falls back to independent ions, ``hop_length`` and
    ``dimensions`` if a run lacks the moments.
    """
    ions = float(runs[0].ions)
    pooled: list[tuple[float, float]] = []
    trace, squares = 0.0, 0.0
    for run in runs:
        if run.probes is None or run.quartic is None or run.shared is None:
            return ions, hop_length, float(dimensions)
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
    shared, squared_hop = np.mean(pooled, axis=0)
    walkers = ions / (1 + min(max(float(shared), 0.0), ions - 1))
    return walkers, float(np.sqrt(max(squared_hop, 0.0))), min(trace / squares, float(dimensions))


def _estimate(slopes: Array, variance: float) -> Estimate:
    """Return the mean of the runs' slopes, each of relative ``variance``, widened where they scatter too much."""
    mean, others = float(np.mean(slopes)), len(slopes) - 1
    estimate = Estimate(mean, 2 * len(slopes) / variance)
    if others > 1:
        squares = float(np.sum((slopes - mean) ** 2)) / (variance * mean**2)
        if chi2.sf(squares, others) < LEAST_CHANCE:
            return estimate.widened(float(np.sqrt(squares / others)))
    return estimate


def haven_ratio(tracer: Estimate, collective: Estimate, ions: float, gaussian: float, hops: float) -> Estimate:
    """Return H = D* / D_sigma without bias, from one set of trajectories.

    D* and D_sigma are seen on the same ions: the motion of the whole is part of both. Their relative covariance is that
    of a Gaussian walker, ``gaussian``, times the part 1 / (N H) of D* that is the motion of the whole, and all of the
    noise of the number of ``hops``. The mean of 1 / chi^2 exceeds one over its mean by the relative variance, which is
    taken off.
    """
    ratio = tracer.value / collective.value
    covariance = gaussian * min(1.0, 1 / (ions * ratio)) + hops
    whole = 2 / collective.freedom
    variance = max(whole + 2 / tracer.freedom - 2 * covariance, 1e-12)
    return Estimate(ratio * (1 - max(whole - covariance, 0.0)), 2 / variance, inverse=True)


def msd_error(
    lags: Array,
    fit: Fit | None,
    msd: Array,
    frames: int,
    interval: float,
    walkers: float,
    dimensions: float = 3,
    hop_length: float = 0.0,
) -> Array:
    """Return the standard deviation (m,) A^2 of the MSD if the walkers hop and rattle with the MSD seen."""
    steps = np.round(lags / interval).astype(np.int64)
    slope = fit.slope if fit is not None else float(np.polyfit(lags, msd, 1)[0])
    offset = fit.offset if fit is not None else float(msd[-1])
    variances = max(slope, 0.0) * interval / dimensions, max(offset, 0.0) / dimensions
    # The error is a smooth function of the lag: some forty of them tell it.
    known = np.unique(np.geomspace(1, max(int(steps.max()), 1), 40).round().astype(np.int64))
    one = [brownian_covariance(np.array([step]), frames, *variances, hop_length**2)[0, 0] for step in known]
    error = np.interp(steps, np.append(0, known), np.append(0.0, np.sqrt(np.array(one) * dimensions / walkers)))
    return np.asarray(error)
