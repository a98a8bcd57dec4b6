"""Tracer and collective diffusion of one system at one temperature, with uncertainties.

Both coefficients are the same linear combination of power spectra, whose weights are derived from the tracer spectrum
alone. The collective estimate is therefore linear in the data and unbiased, and its effective number of degrees of
freedom does not depend on its value.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from aiida_dpasse.transport.cages import Exchanges, find_cages
from aiida_dpasse.transport.estimate import Estimate
from aiida_dpasse.transport.memory import Limit, Spectrum, zero_frequency
from aiida_dpasse.transport.moments import moments
from aiida_dpasse.transport.regime import Verdict, judge

Array = NDArray[np.float64]

#: A^2/ps in cm^2/s.
CM2_PER_S = 1e-4
#: Errors are enlarged if the chi-squared test gives the scatter of the replicas a smaller probability than this.
LEAST_CHANCE = 0.01
#: The MSD counts as linear where it differs from its asymptote by less than this part.
LINEAR = 0.05


@dataclass(frozen=True)
class Statistics:
    """Displacement statistics of one run.

    :param lags: (m,) ps.
    :param msd: tracer MSD per axis, (m, 3) A^2.
    :param collective: collective MSD per axis, (m, 3) A^2.
    :param spectrum: power spectra of the displacements.
    :param frames: number of frames.
    :param interval: time between frames in ps.
    :param volume: volume of the cell in A^3.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A, the largest mean
        over a twentieth of the run.
    :param exchanges: hops and exchanges between cages, if they were counted.
    """

    lags: Array
    msd: Array
    collective: Array
    spectrum: Spectrum
    frames: int
    interval: float
    volume: float
    framework: float = 0.0
    exchanges: Exchanges | None = None

    @property
    def ions(self) -> int:
        """Number of mobile ions."""
        return self.spectrum.ions

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
        volume: float,
        framework: float = 0.0,
        exchanges: Exchanges | None = None,
    ) -> Statistics:
        """Build from the arrays that `moments` returns.

        :param arrays: by name.
        :param frames: number of frames.
        :param interval: time between frames in ps.
        :param volume: volume of the cell in A^3.
        :param framework: root mean square displacement of the other atoms from their crystal sites in A.
        :param exchanges: hops and exchanges between cages, if they were counted.
        """
        spectrum = Spectrum(
            step=float(arrays['step_ps']),
            order=arrays['order'].astype(np.int64),
            each=arrays['power_A2_ps'],
            tracer=arrays['tracer_power_A2_ps'],
            collective=arrays['collective_power_A2_ps'],
            species=arrays['species'].astype(np.int64),
            half_order=arrays['half_order'].astype(np.int64),
            halves=arrays['half_power_A2_ps'],
        )
        lags, msd, collective = arrays['lag_ps'], arrays['msd_A2'], arrays['collective_A2']
        return cls(lags, msd, collective, spectrum, frames, interval, volume, framework, exchanges)


@dataclass(frozen=True)
class Diffusion:
    """Diffusion coefficients at one temperature; None means undetermined.

    :param estimate: D* in cm^2/s whether determined or not, None if no ion moves.
    :param tracer: D* in cm^2/s.
    :param collective: D_sigma in cm^2/s.
    :param haven: Haven ratio D* / D_sigma.
    :param verdict: whether the motion is diffusive.
    :param limit: zero-frequency limit of the tracer spectrum, None if no ion moves.
    :param walkers: number of independent ions per run that would determine D equally well.
    :param lags: (m,) ps.
    :param msd: tracer MSD summed over the axes, mean over the runs, (m,) A^2.
    :param msd_error: standard deviation of ``msd``, (m,) A^2.
    """

    estimate: Estimate | None
    tracer: Estimate | None
    collective: Estimate | None
    haven: Estimate | None
    verdict: Verdict
    limit: Limit | None
    walkers: float
    lags: Array
    msd: Array
    msd_error: Array

    @property
    def reported(self) -> Diffusion:
        """The result to report: without coefficients if the motion is not diffusive."""
        return self if self.verdict.diffusive else replace(self, tracer=None, collective=None, haven=None)

    @property
    def upper_bound(self) -> float | None:
        """Upper 95 % confidence bound of D* in cm^2/s where D* is undetermined, else None.

        It is None as well if the framework moves, or if the displacements grow faster than by diffusion.
        """
        if self.estimate is None or self.reported.tracer is not None or not self.verdict.bounded:
            return None
        counted = self.verdict.upper_bound
        return self.estimate.upper_bound(0.95) if counted is None else counted * CM2_PER_S

    @property
    def line(self) -> tuple[float, float] | None:
        """Offset in A^2 and slope in A^2/ps of the line that the MSD approaches, None if no ion moves."""
        return None if self.limit is None else (3 * self.limit.offset, 6 * self.limit.value)

    @property
    def window(self) -> tuple[float, float] | None:
        """First and last lag in ps between which the fitted MSD is within `LINEAR` of its line.

        None if it never is, or if the motion is not diffusive.
        """
        if self.limit is None or not self.verdict.diffusive or len(self.lags) < 3:
            return None
        lags = self.lags[1:]
        line = 2 * self.limit.value * lags + self.limit.offset
        apart = np.abs(self.limit.displacement(lags) - line) > LINEAR * np.abs(line)
        first = int(np.flatnonzero(apart)[-1]) + 1 if apart.any() else 0
        return (float(lags[first]), float(lags[-1])) if first < len(lags) - 1 else None


def take_statistics(
    positions: Array,
    interval: float,
    volume: float,
    charges: Array | None = None,
    framework: float = 0.0,
    species: Sequence[str] | None = None,
    cell: Array | None = None,
) -> Statistics:
    """Return the statistics of one run, for lags up to half its length.

    :param positions: (frames, ions, 3) A, of the carriers, unwrapped, relative to the framework's centre of mass.
    :param interval: time between frames in ps.
    :param volume: volume of the cell in A^3.
    :param charges: (ions,) in elementary charges; equal by default.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A.
    :param species: (ions,) by default ions of one charge are of one species.
    :param cell: mean lattice vectors as rows, (3, 3) A, of a crystal, whose sites and cages are learnt.
    :raises ValueError: if no ion carries a charge, or there are fewer than two frames.
    """
    arrays = moments(positions, interval, charges, species)
    exchanges = None if cell is None else find_cages(positions, cell, interval)[0]
    return Statistics.from_arrays(arrays, len(positions), interval, volume, framework, exchanges)


def pool(runs: Sequence[Statistics], groups: Sequence[Hashable] | None = None, path: bool = False) -> Diffusion:
    """Return the diffusion of one system at one temperature from the statistics of its independent runs.

    The MSD is truncated to the common lags and averaged. If three or more runs scatter more than their errors allow,
    the errors are enlarged to match the scatter.

    :param runs: statistics of the runs, with the same ions and sampling interval.
    :param groups: the group of each run, for example its potential; scatter between groups does not enlarge the errors.
    :param path: whether the hops of the ions have to form a path through the crystal, see `judge`.
    :raises ValueError: if ``runs`` is empty, or the runs differ in their ions or sampling interval.
    """
    if not runs:
        raise ValueError('There is no run to pool: give at least one.')
    if len({(run.ions, round(run.interval, 9)) for run in runs}) > 1:
        raise ValueError('The runs differ in their ions or their sampling interval: pool those that are alike.')
    lags = min((run.lags for run in runs), key=len)
    msd = np.mean([run.msd[: len(lags)].sum(axis=1) for run in runs], axis=0)
    framework = max(run.framework for run in runs)
    spectra, ions = [run.spectrum for run in runs], runs[0].ions
    if not any(spectrum.mean.max() > 0 for spectrum in spectra):
        verdict = judge(None, None, [], framework)
        return Diffusion(None, None, None, None, verdict, None, ions, lags, msd, np.zeros_like(msd))

    limit = zero_frequency(spectra)
    labels = [None] * len(runs) if groups is None else list(groups)
    tracers = [spectrum.mean for spectrum in spectra]
    estimate = Estimate(limit.value, limit.variance**0.5).widened(
        inflation(limit, tracers, limit.fitted, limit.scatter, labels)
    )
    exchanges = [run.exchanges for run in runs if run.exchanges is not None]
    verdict = judge(estimate, limit, spectra, framework, exchanges if len(exchanges) == len(runs) else (), path)

    axes = effective_axes(spectra, limit)
    gaussian = limit.gaussian * 3 / axes
    hops = max(limit.scatter / limit.together - gaussian, 0.0)
    error = msd_error(msd, min(run.frames for run in runs), ions * len(runs), axes, limit.scatter / gaussian)
    walkers = ions / limit.together
    tracer = estimate.scaled(CM2_PER_S)
    nothing = Diffusion(tracer, None, None, None, verdict, limit, walkers, lags, msd, error)
    if not estimate.determined:
        return nothing

    # One walker's variance of the Gaussian motion, in all runs, relative to D^2.
    walker, hops, between = (part / limit.value**2 for part in (ions * gaussian, hops, limit.between))
    wholes = [spectrum.collective[:, :3].mean(axis=1) for spectrum in spectra]
    value = float(sum(part @ whole for part, whole in zip(limit.weights, wholes, strict=True)))
    relative = walker + hops + between
    shapes = [fitted * value / limit.value for fitted in limit.fitted]
    collective = Estimate(value, abs(value) * relative**0.5)
    collective = collective.widened(inflation(limit, wholes, shapes, value**2 * relative, labels)).scaled(CM2_PER_S)
    if not (collective.determined and verdict.diffusive):
        return replace(nothing, tracer=tracer, collective=collective if collective.determined else None)
    haven = haven_ratio(tracer, collective, ions, walker, hops + between)
    return replace(nothing, tracer=tracer, collective=collective, haven=haven if haven.determined else None)


def inflation(
    limit: Limit, spectra: Sequence[Array], expected: Sequence[Array], variance: float, groups: Sequence[Hashable]
) -> float:
    """Return the factor, at least 1, by which the scatter of three or more replicas exceeds the error of their mean.

    It exceeds 1 only if the scatter is improbable (`LEAST_CHANCE`).

    :param limit: the weights.
    :param spectra: binned spectrum of each run, (b,).
    :param expected: fitted spectrum of each run, (b,).
    :param variance: variance of the mean over all runs.
    :param groups: the group of each run; the scatter is that about the mean of the group.
    """
    labels = list(dict.fromkeys(groups))
    others = len(spectra) - len(labels)
    if others < 2:
        return 1.0
    member = np.array([labels.index(label) for label in groups])
    share = np.array([max(float(weights.sum()), 1e-9) for weights in limit.weights])
    excess = np.array(
        [
            float(weights @ (spectrum - fitted))
            for weights, spectrum, fitted in zip(limit.weights, spectra, expected, strict=True)
        ]
    )
    if len(labels) > 1:
        excess = excess - share * (np.bincount(member, excess) / np.bincount(member, share))[member]
    squares = float(np.sum(excess**2 / share)) / variance
    return float(np.sqrt(squares / others)) if chi2.sf(squares, others) < LEAST_CHANCE else 1.0


def effective_axes(spectra: Sequence[Spectrum], limit: Limit) -> float:
    """Return the number of axes of an isotropic walker that scatters as much, (Tr M)^2 / Tr M^2.

    M is the tensor of D with negative elements of its diagonal set to zero. Ions that move along one direction
    determine D less well than those that move along three.

    :param spectra: spectra of the runs.
    :param limit: the weights.
    """
    elements = np.sum([part @ one.tracer for part, one in zip(limit.weights, spectra, strict=True)], axis=0)
    diagonal = np.clip(elements[:3], 0, None)
    squares = float(np.sum(diagonal**2) + 2 * np.sum(elements[3:] ** 2))
    return float(np.clip(diagonal.sum() ** 2 / squares, 1, 3)) if squares > 0 else 3.0


def haven_ratio(tracer: Estimate, collective: Estimate, ions: float, gaussian: float, hops: float) -> Estimate:
    """Return H = D* / D_sigma from one set of trajectories, corrected for bias.

    D* and D_sigma are correlated, since the centre-of-mass motion of the ions enters both. Their relative covariance is
    that of a Gaussian walker, ``gaussian``, times the fraction 1 / (N H) of D* due to that motion, plus the entire
    noise ``hops`` that both share. The mean of 1 / chi^2 exceeds the inverse of the mean of chi^2 by the relative
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
    value = ratio * (1 - max(whole - covariance, 0.0))
    return Estimate(value, value * variance**0.5, inverse=True)


def msd_error(msd: Array, frames: int, ions: float, axes: float, dispersion: float) -> Array:
    """Return the standard deviation (m,) A^2 of the MSD of walkers (Qian, Sheetz and Elson, Biophys. J. 60, 910, 1991).

    :param msd: (m,) A^2, at lags of 0, 1, 2, ... frames, over all origins.
    :param frames: number of frames.
    :param ions: number of ions in all runs.
    :param axes: effective number of axes.
    :param dispersion: factor by which the data scatter more than independent ions in Gaussian motion would.
    """
    lag = np.arange(1, len(msd), dtype=float)
    origins = frames - lag
    overlapping = (4 * lag**2 * origins + 2 * origins + lag - lag**3) / (6 * lag * origins**2)
    few = 1 + (origins**3 - 4 * lag * origins**2 + 4 * lag - origins) / (6 * lag**2 * origins)
    relative = np.where(lag <= origins, overlapping, few) * 2 / axes / ions * dispersion
    return np.append(0.0, np.sqrt(np.maximum(relative, 0.0))) * msd
