"""A positive coefficient and its uncertainty.

A diffusion coefficient is a mean of squares, so its estimate follows a scaled chi^2 distribution about the true value,
the more skewed the fewer independent squares contribute. Their effective number, the degrees of freedom, is known
independently of the value, and it alone decides whether a coefficient is reported. A criterion on the ratio of error
to value would accept overestimates more often than underestimates, and so bias the accepted values. The effective
degrees of freedom of a sum of correlated squares are those of the chi^2 with the same relative variance (Satterthwaite,
Biometrics Bull. 2, 110, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

#: A coefficient with a larger relative error counts as undetermined.
LARGEST_RELATIVE_ERROR = 0.25


@dataclass(frozen=True)
class Estimate:
    """Estimate of a positive quantity.

    :param value: the estimate, with the true value as its mean.
    :param degrees_of_freedom: effective degrees of freedom of its chi^2 distribution.
    :param inverse: whether the denominator, not the numerator, follows the chi^2 distribution.
    """

    value: float
    degrees_of_freedom: float
    inverse: bool = False

    @property
    def relative_error(self) -> float:
        """Relative standard deviation of the true value given the data: that of an inverse gamma distribution."""
        return float(np.sqrt(2 / (self.degrees_of_freedom - 4))) if self.degrees_of_freedom > 4 else float('inf')

    @property
    def error(self) -> float:
        """Standard deviation, in the unit of the value."""
        return self.value * self.relative_error

    @property
    def determined(self) -> bool:
        """Whether the relative error is at most `LARGEST_RELATIVE_ERROR`."""
        return self.relative_error <= LARGEST_RELATIVE_ERROR

    def interval(self, level: float) -> tuple[float, float]:
        """Return the equal-tailed confidence interval of the true value.

        :param level: coverage, between 0 and 1.
        """
        parts = np.array([0.5 - level / 2, 0.5 + level / 2])
        low, high = (chi2.ppf(parts, self.degrees_of_freedom) / self.degrees_of_freedom).tolist()
        return (self.value * low, self.value * high) if self.inverse else (self.value / high, self.value / low)

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of ``factor`` times the quantity, with the same relative error.

        :param factor: positive, for example a conversion of units.
        """
        return Estimate(self.value * factor, self.degrees_of_freedom, self.inverse)

    def widened(self, factor: float) -> Estimate:
        """Return the estimate with fewer degrees of freedom, for an error about ``factor`` times as large.

        :param factor: the degrees of freedom are divided by its square.
        """
        return Estimate(self.value, self.degrees_of_freedom / factor**2, self.inverse)


def value_of(estimate: Estimate | None) -> float | None:
    """Return the value, or None if the estimate is None."""
    return None if estimate is None else estimate.value


def error_of(estimate: Estimate | None) -> float | None:
    """Return the standard deviation, or None if the estimate is None."""
    return None if estimate is None else estimate.error
