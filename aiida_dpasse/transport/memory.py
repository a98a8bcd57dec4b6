"""Zero-frequency limit of the power spectrum of ions with memory: the diffusion coefficient and its variance.

Where the motion is overdamped and reversible, as that of ions that hop between sites, jump back, and rattle in cages,
the velocity autocorrelation is a sum of negative exponentials (Kawasaki, Prog. Theor. Phys. 39, 1133, 1968), and the
spectrum that of free diffusion plus bounded motions that relax:

    D(f) = D + sum_j B_j g(f, tau_j),    B_j >= 0,

with g the spectrum of a position of unit variance that forgets itself within tau_j, which vanishes at zero frequency;
tau = 0 is white noise. B_j may be negative for times below `INERTIA`, where the velocity itself is remembered. The
periodogram of many ions is fitted by its likelihood (Whittle, J. R. Stat. Soc. B 15, 125, 1953) with no, one, two or
three relaxation times from a logarithmic grid, and the results are averaged with the weights of the Bayesian
information criterion, in which the log-likelihood is divided by the overdispersion of the data.

The estimate is a linear combination of the binned spectra, so that its value for each ion is known: the scatter between
ions gives the variance, with all that the finite number of hops contributes; the scatter between frequencies, compared
with that between ions, gives the number of ions that move together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The longest relaxation time is the length of the run over this number: longer memory is not resolved.
LONGEST = 8.0
#: Times in ps below which ions may remember their velocity, so that D(f) decreases with the frequency.
INERTIA = 0.5
#: Relaxation times to an octave.
TIMES_PER_OCTAVE = 4
#: Iterations of the reweighted fit.
ITERATIONS = 8


@dataclass(frozen=True)
class Spectrum:
    """Power spectra of one run, as returned by `power`.

    :param step: time of a displacement, ps.
    :param order: first and last order of each bin, (b, 2).
    :param each: D(f) of each ion, (b, ions) A^2/ps.
    :param tracer: tensor of D(f) in Voigt order, mean over the ions, (b, 6) A^2/ps.
    :param collective: tensor of the collective D(f), (b, 6) A^2/ps.
    :param species: species of each ion, (ions,); only ions of one species are expected to be alike.
    :param half_order: first and last order of each bin of half the run, (h, 2).
    :param halves: D(f) of each ion in both halves of the run, (2, h, ions) A^2/ps.
    """

    step: float
    order: NDArray[np.int64]
    each: Array
    tracer: Array
    collective: Array
    species: NDArray[np.int64]
    half_order: NDArray[np.int64]
    halves: Array

    @property
    def steps(self) -> int:
        """Number of displacements."""
        return int(self.order[-1, 1])

    @property
    def ions(self) -> int:
        """Number of ions."""
        return int(self.each.shape[1])

    @property
    def counts(self) -> Array:
        """Number of frequencies in each bin, (b,)."""
        return _counts(self.order)

    @property
    def mean(self) -> Array:
        """D(f), mean over ions and axes, (b,) A^2/ps."""
        return np.asarray(self.each.mean(axis=1))


def _counts(order: NDArray[np.int64]) -> Array:
    """Return the number of frequencies in each bin."""
    return np.asarray(np.diff(order, axis=1)[:, 0] + 1.0)


def shapes(order: NDArray[np.int64], step: float, times: Array) -> Array:
    """Return g(f, tau), mean over the frequencies of each bin, (b, times) 1/ps.

    :param order: first and last order of each bin, (b, 2).
    :param step: time of a displacement, ps.
    :param times: relaxation times tau in ps.
    """
    steps = int(order[-1, 1])
    cosine = np.cos(np.pi * np.arange(1, steps + 1) / (steps + 1))[:, None]
    memory = np.exp(-step / np.maximum(times, 1e-9 * step))
    each = (1 - cosine) / (1 - 2 * memory * cosine + memory**2) * (1 - memory**2) / step
    return np.asarray(np.add.reduceat(each, order[:, 0] - 1, axis=0) / _counts(order)[:, None])


@dataclass(frozen=True)
class Limit:
    """Limit of D(f) at zero frequency.

    :param value: A^2/ps; within its error it may be negative.
    :param scatter: variance of ``value`` for given weights.
    :param between: variance of ``value`` between models.
    :param gaussian: what ``scatter`` would be for Gaussian motion of independent ions along three axes.
    :param together: number of ions that move as one, at least 1.
    :param weights: for each run (b,): ``value`` is the sum of their products with the means of the binned spectra.
    :param fitted: D(f) of the fit for each run, (b,) A^2/ps.
    :param times: relaxation times, (t,) ps.
    :param amplitudes: mean square amplitude of the motion with each relaxation time, (t,) A^2 an axis.
    """

    value: float
    scatter: float
    between: float
    gaussian: float
    together: float
    weights: list[Array]
    fitted: list[Array]
    times: Array
    amplitudes: Array

    @property
    def variance(self) -> float:
        """Variance of the value."""
        return self.scatter + self.between

    @property
    def dispersion(self) -> float:
        """Factor by which the data scatter more than independent ions in Gaussian motion would."""
        return self.scatter / self.gaussian

    @property
    def offset(self) -> float:
        """Mean square displacement of an axis at long times, beyond 2 D tau, in A^2."""
        return 2 * float(self.amplitudes.sum())

    def displacement(self, lags: Array) -> Array:
        """Return the mean square displacement along one axis, (m,) A^2.

        :param lags: (m,) ps.
        """
        decay = np.exp(-lags[:, None] / np.maximum(self.times, 1e-9))
        return np.asarray(2 * (self.value * lags + (1 - decay) @ self.amplitudes))


@dataclass(frozen=True)
class _Models:
    """Fits of models with the same number of relaxations: ``coefficients`` (m, 1 + k), ``fitted`` (m, b), ..."""

    coefficients: Array
    fitted: Array
    weights: Array
    likelihood: Array
    chosen: NDArray[np.int64]


def zero_frequency(runs: Sequence[Spectrum]) -> Limit:
    """Return the limit of the tracer's spectrum at zero frequency from all runs.

    :param runs: spectra of independent runs.
    :raises ValueError: if there is no run, or no ion moves.
    """
    if not runs:
        raise ValueError('There is no run: give at least one.')
    data = np.concatenate([run.mean for run in runs])
    if not data.max() > 0:
        raise ValueError('No ion moves: the frames are copies of each other.')
    step, longest = min(run.step for run in runs), max(run.steps * run.step for run in runs)
    count = max(2, int(TIMES_PER_OCTAVE * np.log2(max(2 * longest / step / LONGEST, 2))))
    times = np.append(0.0, np.geomspace(0.5 * step, max(longest / LONGEST, step), count))
    # Half the degrees of freedom of each bin: for Gaussian motion its spectrum follows a gamma distribution.
    half = np.concatenate([1.5 * run.ions * run.counts for run in runs])
    columns = np.concatenate([shapes(run.order, run.step, times) for run in runs])
    bounded = times >= INERTIA
    singles = np.arange(len(times))[:, None]
    pairs = np.array([(i, j) for j in range(len(times)) for i in range(j)])
    found = [_fit(data, half, columns, bounded, chosen) for chosen in (np.empty((1, 0), dtype=int), singles, pairs)]
    best = found[-1].chosen[np.argsort(found[-1].likelihood)[-3:]]
    threes = {tuple(sorted({*pair, one})) for pair in best.tolist() for one in range(len(times))}
    threes_of_three = np.array([three for three in sorted(threes) if len(three) == 3])
    found.append(_fit(data, half, columns, bounded, threes_of_three))
    limit = _average(runs, found, times, data, half, 1.0)
    # Overdispersed data discriminate less between models than the likelihood says.
    return _average(runs, found, times, data, half, limit.dispersion)


def _fit(data: Array, half: Array, columns: Array, bounded: NDArray[np.bool_], chosen: NDArray[np.int64]) -> _Models:
    """Fit every model of ``chosen`` (m, k), columns of ``columns`` (b, times), by iteratively reweighted least squares.

    A model in which a ``bounded`` relaxation has a negative amplitude has no likelihood: it is one of the smaller
    models.
    """
    models, bins = len(chosen), len(data)
    design = np.concatenate([np.ones((models, bins, 1)), np.moveaxis(columns[:, chosen], 0, 1)], axis=2)
    fitted = np.broadcast_to(np.maximum(data, 1e-3 * data.max()), (models, bins)).copy()
    floor = 1e-3 * max(float(data.min()), 1e-6 * float(data.max()))
    for _ in range(ITERATIONS):
        weighted = design * (half / fitted**2)[..., None]
        normal = np.einsum('mbi,mbj->mij', weighted, design)
        ridge = 1e-10 * np.einsum('mii->mi', normal)[..., None] * np.eye(design.shape[2])
        estimator = np.linalg.solve(normal + ridge, np.moveaxis(weighted, 1, 2))
        coefficients = estimator @ data
        fitted = np.maximum(np.einsum('mbi,mi->mb', design, coefficients), floor)
    likelihood = -np.sum(half * (np.log(fitted) + data / fitted), axis=1)
    likelihood[((coefficients[:, 1:] < 0) & bounded[chosen]).any(axis=1)] = -np.inf
    return _Models(coefficients, fitted, estimator[:, 0], likelihood, chosen)


def _average(
    runs: Sequence[Spectrum], found: list[_Models], times: Array, data: Array, half: Array, dispersion: float
) -> Limit:
    """Return the mean over the models with the weights of the Bayesian information criterion."""
    # A relaxation has an amplitude and a time; the models of one size share their prior probability.
    scores = [
        models.likelihood / dispersion - models.chosen.shape[1] * np.log(len(data)) - np.log(len(models.chosen))
        for models in found
    ]
    share = np.exp(np.concatenate(scores) - max(score.max() for score in scores))
    share /= share.sum()
    values = np.concatenate([models.coefficients[:, 0] for models in found])
    weights = share @ np.concatenate([models.weights for models in found])
    fitted = share @ np.concatenate([models.fitted for models in found])
    value = float(weights @ data)
    amplitudes, start = np.zeros(len(times)), 0
    for models in found:
        part = share[start : start + len(models.chosen), None] * models.coefficients[:, 1:]
        np.add.at(amplitudes, models.chosen, part)
        start += len(models.chosen)

    ends = np.cumsum([len(run.order) for run in runs])[:-1]
    of_runs = np.split(weights, ends)
    spread = [_variance_of_mean(run.each, run.species) for run in runs]
    ions = sum(_scatter_of_ions(run, part) for part, run in zip(of_runs, runs, strict=True))
    gaussian = float(np.sum(weights**2 * fitted**2 / half))
    # Ratio of the scatter between frequencies to that between ions, over the bins that contribute to the error.
    variances = np.concatenate(spread)
    share_of_error = np.abs(weights) * np.sqrt(variances)
    ratios = (data - fitted) ** 2 / np.where(variances > 0, variances, np.inf)
    together = float(share_of_error @ ratios / share_of_error.sum()) if share_of_error.any() else 1.0
    together = float(np.clip(together, 1.0, max(run.ions for run in runs)))
    return Limit(
        value=value,
        scatter=max(ions, gaussian) * together,
        between=float(share @ (values - value) ** 2),
        gaussian=gaussian,
        together=together,
        weights=of_runs,
        fitted=np.split(fitted, ends),
        times=times,
        amplitudes=amplitudes,
    )


def _scatter_of_ions(run: Spectrum, weights: Array) -> float:
    """Return the variance of the mean over ions of the weighted spectrum.

    It follows from the scatter between ions, unless that is more than twice what the scatter of each ion between the
    halves of the run explains: then the ions differ for the whole run, which is no uncertainty of their mean. A
    frequency of half the run takes the weights of two of the whole.
    """
    between = float(_variance_of_mean((weights @ run.each)[None], run.species)[0])
    if len(run.half_order) == 0:
        return between
    ordinates = np.repeat(weights / run.counts, run.counts.astype(int))
    steps = int(run.half_order[-1, 1])
    paired = ordinates[: 2 * steps].reshape(steps, 2).sum(axis=1)
    first, second = np.add.reduceat(paired, run.half_order[:, 0] - 1) @ run.halves
    within = float(np.sum((first - second) ** 2)) / (2 * run.ions) ** 2
    return within if between > 2 * within else between


def _variance_of_mean(rows: Array, species: NDArray[np.int64]) -> Array:
    """Return the variance of the mean over ions of each row (b, ions), from the scatter between ions of one species.

    The scatter of a single ion is unknown, and counts as 0.
    """
    groups = [rows[:, species == one] for one in np.unique(species)]
    squares = [group.shape[1] * np.var(group, axis=1, ddof=1) for group in groups if group.shape[1] > 1]
    return np.asarray(np.sum([np.zeros(len(rows)), *squares], axis=0) / rows.shape[1] ** 2)
