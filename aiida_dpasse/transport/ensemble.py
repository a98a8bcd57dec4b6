"""Variance of a mean over potentials and configurations.

A coefficient is computed with several potentials, trained alike, and in several configurations of site disorder. With d
the potential and c the configuration of group i, its logarithm is

    y_i = mu + m_d + k_c + e_i,

where m, k and e have zero mean: the random effects of the potential and of the configuration, and the thermal error,
whose variance is known from the trajectory. The variances of m and k follow from the reductions in sum of squares by
one factor beyond the other, which are not biased by unequal numbers of groups (Henderson's method 3; Searle, Casella
and McCulloch, Variance Components, Wiley 1992, chapter 5), with the thermal variances as known. y may have several
components, for example intercept and slope of a line; the variances are then matrices. If each configuration has a
potential of its own, only the sum of the two variances is known.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

Array = NDArray[np.float64]

#: Name of an interval that leaves out the variance between potentials.
POTENTIAL_ONLY = 'of this potential only'
#: Coverage of an interval of one standard deviation.
ONE_SIGMA = float(norm.cdf(1) - norm.cdf(-1))


@dataclass(frozen=True)
class Component:
    """Part of the variance of the mean that is due to one factor.

    :param variance: (p, p), unbiased, so that it may be negative.
    :param square: (p, p), the mean square from which it follows by subtraction of the thermal part.
    :param degrees_of_freedom: of ``square``.
    """

    variance: Array
    square: Array
    degrees_of_freedom: int


@dataclass(frozen=True)
class Uncertainty:
    """Variance of the mean of one quantity and its parts.

    :param thermal: variance due to the finite length of the runs.
    :param model: variance due to the potential; None for a single one.
    :param configurational: variance due to the disorder; None for a single configuration.
    :param joint: variance due to both, if they cannot be separated; the two parts are then None.
    :param scatter: unbiased estimate of the total; None if only the thermal part is known.
    :param degrees_of_freedom: of ``scatter`` (Satterthwaite, Biometrics Bull. 2, 110, 1946).
    """

    thermal: float
    model: float | None = None
    configurational: float | None = None
    joint: float | None = None
    scatter: float | None = None
    degrees_of_freedom: float = np.inf

    @property
    def counts(self) -> list[str]:
        """Names of the parts that an interval includes."""
        return [name for name, part in self.parts.items() if part is not None]

    @property
    def parts(self) -> dict[str, float | None]:
        """Standard deviations of the mean by name, None if unknown: ``thermal``, ``configurational`` and ``model``, and
        ``configurational_and_model`` if they cannot be separated.
        """
        parts = {'thermal': self.thermal, 'configurational': self.configurational, 'model': self.model}
        if self.joint is not None:
            parts['configurational_and_model'] = self.joint
        return {name: None if part is None else float(np.sqrt(part)) for name, part in parts.items()}

    def half_width(self, level: float = ONE_SIGMA) -> float:
        """Return half the confidence interval of the mean.

        The wider of two: that of Student's distribution with the scatter between potentials and configurations, and
        that of the normal distribution with the thermal error alone, since two potentials can agree by chance.

        :param level: coverage, between 0 and 1.
        """
        known = float(norm.ppf(0.5 + level / 2) * np.sqrt(self.thermal))
        if self.scatter is None or self.scatter <= 0:
            return known
        return max(known, float(student.ppf(0.5 + level / 2, self.degrees_of_freedom) * np.sqrt(self.scatter)))


@dataclass(frozen=True)
class Effects:
    """Mean over the groups, and the contributions of the factors to its variance.

    :param mean: (p,).
    :param thermal: thermal covariance of ``mean``, (p, p).
    :param model: None if there is one potential.
    :param configurational: None if there is one configuration.
    :param joint: of potential and configuration, if each configuration has a potential of its own; the others are then
        None.
    """

    mean: Array
    thermal: Array
    model: Component | None
    configurational: Component | None
    joint: Component | None = None

    @property
    def components(self) -> dict[str, Component]:
        """The known contributions by name."""
        parts = {'model': self.model, 'configurational': self.configurational, 'joint': self.joint}
        return {name: part for name, part in parts.items() if part is not None}

    def uncertainty(self, thermal: Any, functional: Any) -> Uncertainty:
        """Return the variance of a linear function of the mean.

        :param thermal: thermal covariance of the mean, (p, p).
        :param functional: coefficients of the function, (p,).
        """
        x = np.asarray(functional, dtype=float)
        noise = float(x @ np.asarray(thermal) @ x)
        known = {
            name: (float(x @ part.variance @ x), float(x @ part.square @ x) ** 2 / part.degrees_of_freedom)
            for name, part in self.components.items()
        }
        if not known:
            return Uncertainty(noise)
        total, spread = noise + sum(part for part, _ in known.values()), sum(square for _, square in known.values())
        freedom = max(total**2 / spread, 1.0) if spread > 0 else np.inf
        parts = {name: max(part, 0.0) for name, (part, _) in known.items()}
        return Uncertainty(noise, **parts, scatter=total, degrees_of_freedom=freedom)

    def covariance(self, thermal: Any) -> Array:
        """Return the covariance of the mean, with negative estimates of a variance set to zero.

        :param thermal: thermal covariance of the mean, (p, p).
        """
        total = np.asarray(thermal, dtype=float)
        root = np.linalg.cholesky(total)
        inverse = np.linalg.inv(root)
        for part in self.components.values():
            values, vectors = np.linalg.eigh(inverse @ part.variance @ inverse.T)
            axes = root @ vectors
            total = total + (axes * np.maximum(values, 0)) @ axes.T
        return total


def split_variance(
    values: Any, covariances: Any, potentials: Sequence[Hashable], configurations: Sequence[Hashable]
) -> Effects:
    """Return mean and variance components of groups, each of one potential and one configuration.

    All groups have the same weight. Weights from estimated variances would give better means and, with two or three
    potentials, intervals that are too short.

    :param values: (n, p).
    :param covariances: thermal covariance of each, (n, p, p).
    :param potentials: the potential of each group.
    :param configurations: the configuration of each group.
    :raises ValueError: if there is no group, or the numbers of values, errors and labels differ.
    """
    y, noise = (np.asarray(array, dtype=float) for array in (values, covariances))
    if not len(y) == len(noise) == len(potentials) == len(configurations) > 0:
        raise ValueError(f'{len(y)} groups are given: give at least one, each with an error and two labels.')
    drivers, cells = indicators(potentials), indicators(configurations)
    model, configurational = component(y, noise, drivers, cells), component(y, noise, cells, drivers)
    joint = None
    if model is None and configurational is None:
        joint = component(y, noise, drivers, np.ones((len(y), 1)))
    return Effects(y.mean(axis=0), noise.sum(axis=0) / len(y) ** 2, model, configurational, joint)


def component(values: Array, noise: Array, factor: Array, other: Array) -> Component | None:
    """Return the contribution of one factor to the variance of the mean, or None if it cannot be estimated.

    :param values: (n, p).
    :param noise: thermal covariance of each, (n, p, p).
    :param factor: indicators of the factor, (n, levels).
    :param other: indicators of the other factor.
    """
    reduced, full = projection(other), projection(np.hstack([other, factor]))
    form = full - reduced
    rank = round(float(np.trace(form)))
    if rank == 0:
        return None
    scale = float(np.sum(factor.mean(axis=0) ** 2) / np.trace(factor.T @ form @ factor))
    square = scale * values.T @ form @ values
    expected = scale * np.einsum('n,nij->ij', np.diag(form), noise)
    return Component(square - expected, square, rank)


def projection(design: Array) -> Array:
    """Return the projection onto the columns of ``design``, (n, n)."""
    return design @ np.linalg.pinv(design)


def indicators(labels: Sequence[Hashable]) -> Array:
    """Return the matrix with a column for each distinct label that is 1 in the rows with this label."""
    levels = list(dict.fromkeys(labels))
    return np.array([[float(label == level) for level in levels] for label in labels])


@dataclass(frozen=True)
class Repeats:
    """Mean over potentials trained alike.

    :param mean: mean over the potentials.
    :param error: standard error of ``mean``.
    :param spread: standard deviation between the potentials beyond the errors of their values; None for a single one.
    """

    mean: float
    error: float
    spread: float | None


def pool_repeats(values: Sequence[float], errors: Sequence[float]) -> Repeats:
    """Return the mean over potentials that differ only by the seed of their training.

    The variance of the values is the variance between the potentials plus the mean square of their errors (a one-way
    random-effects model with known variance within). The error of the mean is never below the contribution of the
    errors of the values: two potentials can agree by chance.

    :param values: (n,), one per potential.
    :param errors: (n,), standard errors of ``values``.
    :raises ValueError: if ``values`` is empty, or the numbers of values and errors differ.

    >>> pool_repeats([1.0, 3.0], [0.1, 0.1]).mean
    2.0
    """
    x, e = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    n = len(x)
    if n == 0 or len(e) != n:
        raise ValueError(f'{n} values and {len(e)} errors are given: give at least one, and an error for each.')
    effects = split_variance(x[:, None], (e**2)[:, None, None], range(n), [None] * n)
    found = effects.uncertainty(effects.thermal, [1.0])
    error = float(np.sqrt(max(found.thermal, found.scatter or 0.0)))
    return Repeats(float(x.mean()), error, None if found.model is None else float(np.sqrt(n * found.model)))
