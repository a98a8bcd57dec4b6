"""A positive coefficient and how well it is known.

A diffusion coefficient is a mean of squares, so its estimate is distributed as chi^2 about the truth: skewed, the more
so the fewer independent squares there are. Their effective number, the freedom, is known before the value is looked at;
whether a coefficient is told rests on it alone. Were it to rest on the ratio of error to value, too large values would
pass more often than too small ones, and those that passed would be biased. The freedom of a sum of correlated squares
is that of the chi^2 of the same relative variance (Satterthwaite, Biometrics Bull. 2, 110, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

#: A coefficient with a larger relative error than this says nothing.
LARGEST_RELATIVE_ERROR = 0.25


@dataclass(frozen=True)
class Estimate:
    """``value`` of mean truth, with the ``freedom`` of its chi^2; ``inverse`` if it is the denominator that varies."""

    value: float
    freedom: float
    inverse: bool = False

    @property
    def relative_error(self) -> float:
        """Relative standard deviation of the truth, given what was seen: that of an inverse gamma distribution."""
        return float(np.sqrt(2 / (self.freedom - 4))) if self.freedom > 4 else float('inf')

    @property
    def error(self) -> float:
        """Return one standard deviation, in the unit of the value."""
        return self.value * self.relative_error

    @property
    def determined(self) -> bool:
        """Whether the data tell the value to within `LARGEST_RELATIVE_ERROR`."""
        return self.relative_error <= LARGEST_RELATIVE_ERROR

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds that hold the truth in the fraction ``level`` of all cases, with equal tails."""
        low, high = (float(chi2.ppf(part, self.freedom)) / self.freedom for part in (0.5 - level / 2, 0.5 + level / 2))
        return (self.value * low, self.value * high) if self.inverse else (self.value / high, self.value / low)

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of ``factor`` times what this one estimates."""
        return Estimate(self.value * factor, self.freedom, self.inverse)

    def widened(self, factor: float) -> Estimate:
        """Return the estimate with an error ``factor`` times as large."""
        return Estimate(self.value, self.freedom / factor**2, self.inverse)


def value_of(estimate: Estimate | None) -> float | None:
    """Return the value, None if there is no estimate."""
    return None if estimate is None else estimate.value


def error_of(estimate: Estimate | None) -> float | None:
    """Return the standard deviation, None if there is no estimate."""
    return None if estimate is None else estimate.error
