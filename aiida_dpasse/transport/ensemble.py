"""Pooling over replicas and over configurations of site disorder, with the variance split between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Ensemble:
    """Mean over configurations and its uncertainty.

    :param mean: mean over the configurations.
    :param error: standard error of ``mean``.
    :param thermal: standard deviation of a replica about the mean of its configuration.
    :param configurational: standard deviation of the configurations' true means.
    :param configurational_variance_error: standard error of the square of ``configurational``.
    :param degrees_of_freedom: degrees of freedom of Student's t for intervals of the mean.
    """

    mean: float
    error: float
    thermal: float
    configurational: float
    configurational_variance_error: float
    degrees_of_freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval of the mean over all configurations.

        :param level: coverage, between 0 and 1.
        """
        half = float(student.ppf(0.5 + level / 2, self.degrees_of_freedom)) * self.error
        return self.mean - half, self.mean + half


def pool_configurations(values: Sequence[Sequence[float]]) -> Ensemble:
    """Return the mean over configurations from the replicas of each, by a one-way random-effects model.

    y_cr = mean + b_c + e_cr. Both variance components follow from the mean squares within and between configurations
    (Searle, Casella and McCulloch, Variance Components, 1992, chapter 3; Henderson's method 1 for unequal numbers of
    replicas). Each configuration has equal weight in the mean, so its error includes both components, whatever their
    size.

    :param values: the replicas of each of at least two configurations.
    :raises ValueError: if there are fewer than two configurations, one is empty, or none has two replicas.
    """
    groups = [np.asarray(group, dtype=float) for group in values]
    if len(groups) < 2 or min(len(group) for group in groups) == 0:
        raise ValueError(f'{len(groups)} configurations are given: give at least two, each with a replica.')
    sizes = np.array([len(group) for group in groups], dtype=float)
    total, count = sizes.sum(), len(groups)
    if total == count:
        raise ValueError('No configuration has two replicas: the thermal part of the variance is undetermined.')
    means = np.array([group.mean() for group in groups])
    within = float(sum(np.sum((group - group.mean()) ** 2) for group in groups) / (total - count))
    grand = float(np.sum(sizes * means) / total)
    between = float(np.sum(sizes * (means - grand) ** 2) / (count - 1))
    replicas = float((total - np.sum(sizes**2) / total) / (count - 1))
    component = (between - within) / replicas
    spread = float(np.sqrt(2 * between**2 / (count - 1) + 2 * within**2 / (total - count))) / replicas
    error = float(np.std(means, ddof=1) / np.sqrt(count))
    return Ensemble(
        float(means.mean()), error, float(np.sqrt(within)), float(np.sqrt(max(component, 0.0))), spread, count - 1.0
    )


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
    within = float(np.mean(e**2))
    if n == 1:
        return Repeats(float(x[0]), float(e[0]), None)
    total = float(np.var(x, ddof=1))
    return Repeats(float(x.mean()), float(np.sqrt(max(total, within) / n)), float(np.sqrt(max(total - within, 0.0))))
