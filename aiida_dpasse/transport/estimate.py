"""A coefficient and its uncertainty.

A diffusion coefficient is a mean of squares, so its estimate follows a scaled chi^2 distribution about the true value,
the more skewed the fewer independent squares contribute. Their effective number, the degrees of freedom, is that of the
chi^2 with the same relative variance (Satterthwaite, Biometrics Bull. 2, 110, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

#: A coefficient with a larger relative error counts as undetermined.
LARGEST_RELATIVE_ERROR = 0.5


@dataclass(frozen=True)
class Estimate:
    """Estimate of a positive quantity; within its error the value itself may be negative.

    :param value: the estimate, with the true value as its mean.
    :param spread: standard deviation of the estimate.
    :param inverse: whether the denominator, not the numerator, follows the chi^2 distribution.
    """

    value: float
    spread: float
    inverse: bool = False

    @property
    def degrees_of_freedom(self) -> float:
        """Effective degrees of freedom of the chi^2 distribution."""
        return 2 * (self.value / self.spread) ** 2 if self.value > 0 else 0.0

    @property
    def relative_error(self) -> float:
        """Relative standard deviation of the true value given the data: that of an inverse gamma distribution."""
        return float(np.sqrt(2 / (self.degrees_of_freedom - 4))) if self.degrees_of_freedom > 4 else float('inf')

    @property
    def error(self) -> float:
        """Standard deviation, in the unit of the value; that of the estimate where the value is undetermined."""
        return self.value * self.relative_error if self.determined else self.spread

    @property
    def determined(self) -> bool:
        """Whether the relative error is at most `LARGEST_RELATIVE_ERROR`."""
        return self.relative_error <= LARGEST_RELATIVE_ERROR

    def interval(self, level: float) -> tuple[float, float]:
        """Return the equal-tailed confidence interval of the true value: normal, from 0 on, where it is undetermined.

        :param level: coverage, between 0 and 1.
        """
        if not self.determined:
            half = float(norm.ppf(0.5 + level / 2)) * self.spread
            return max(self.value - half, 0.0), max(self.value, 0.0) + half
        parts = np.array([0.5 - level / 2, 0.5 + level / 2])
        low, high = (chi2.ppf(parts, self.degrees_of_freedom) / self.degrees_of_freedom).tolist()
        return (self.value * low, self.value * high) if self.inverse else (self.value / high, self.value / low)

    def upper_bound(self, level: float = 0.95) -> float:
        """Return the one-sided upper confidence bound of the true value; a negative estimate counts as zero.

        :param level: coverage, between 0 and 1.
        """
        return max(self.value, 0.0) + float(norm.ppf(level)) * self.spread

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of ``factor`` times the quantity, with the same relative error.

        :param factor: positive, for example a conversion of units.
        """
        return Estimate(self.value * factor, self.spread * factor, self.inverse)

    def widened(self, factor: float) -> Estimate:
        """Return the estimate with a spread ``factor`` times as large.

        :param factor: at least 1.
        """
        return Estimate(self.value, self.spread * factor, self.inverse)


def value_of(estimate: Estimate | None) -> float | None:
    """Return the value, or None if the estimate is None."""
    return None if estimate is None else estimate.value


def error_of(estimate: Estimate | None) -> float | None:
    """Return the standard deviation, or None if the estimate is None."""
    return None if estimate is None else estimate.error
