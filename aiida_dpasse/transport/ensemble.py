"""Pooling over replicas and over configurations of disorder, with the variance split between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Ensemble:
    """Mean of configurations and its standard deviation; ``thermal`` and ``configurational`` are standard deviations.

    ``thermal`` is that of one replica about its configuration's mean, ``configurational`` that of the true means of
    configurations about that of all. ``freedom`` is that of Student's t for intervals of the mean.
    """

    mean: float
    error: float
    thermal: float
    configurational: float
    configurational_variance_error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds that hold the mean over all configurations in the fraction ``level`` of all cases."""
        half = float(student.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half


def pool_configurations(values: Sequence[Sequence[float]]) -> Ensemble:
    """Return the mean over configurations from the replicas of each, by a one-way model of random effects.

    y_cr = mean + b_c + e_cr. Both variances come from the mean squares within and between (Searle, Casella and
    McCulloch, Variance Components, 1992, chapter 3; for unequal numbers of replicas Henderson's method 1). The mean is
    that of the configurations' means, each of which counts alike, so its error holds both parts whatever they are.

    :param values: by configuration, those of its replicas; at least two configurations.
    :raises ValueError: if there are fewer than two configurations, one is empty, or none has two replicas.
    """
    groups = [np.asarray(group, dtype=float) for group in values]
    if len(groups) < 2 or min(len(group) for group in groups) == 0:
        raise ValueError(f'{len(groups)} configurations are given: give at least two, each with a replica.')
    sizes = np.array([len(group) for group in groups], dtype=float)
    total, count = sizes.sum(), len(groups)
    if total == count:
        raise ValueError('No configuration has two replicas: the thermal part of the variance cannot be told.')
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
    """Mean of potentials that were trained alike and its standard deviation; ``spread`` is what the potentials differ
    by beyond the errors of their values, a standard deviation, None of a single one."""

    mean: float
    error: float
    spread: float | None


def pool_repeats(values: Sequence[float], errors: Sequence[float]) -> Repeats:
    """Return the mean over potentials that differ by the seed of their training only.

    The variance of the values is that of the potentials plus the mean square of their errors (a one-way model of
    random effects whose variance within is known). The error of the mean is never below what the errors of the values
    leave: two potentials can agree by chance.

    :raises ValueError: if there is no value, or not one error for each.

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
