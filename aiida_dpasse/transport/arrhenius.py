"""Activation energy, and extrapolation with all of its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.conductivity import BOLTZMANN_EV

#: Temperatures below which a line has no error worth the name.
FEWEST_TEMPERATURES = 3


@dataclass(frozen=True)
class Arrhenius:
    """ln y = ``intercept`` + ``slope`` / T, with the (2, 2) ``covariance`` of both; ``misfit`` is chi^2 per freedom."""

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    misfit: float

    @property
    def activation_energy(self) -> tuple[float, float]:
        """Activation energy and its standard deviation in eV."""
        return -self.slope * BOLTZMANN_EV, float(np.sqrt(self.covariance[1, 1])) * BOLTZMANN_EV

    def at(self, temperature: float) -> tuple[float, float]:
        """Return ln y at ``temperature`` K and its standard deviation."""
        basis = np.array([1.0, 1.0 / temperature])
        return float(basis @ [self.intercept, self.slope]), float(np.sqrt(basis @ self.covariance @ basis))

    def interval(self, temperature: float) -> tuple[float, float, float]:
        """Return y at ``temperature`` and its quantiles at 16 % and 84 %, all from ln y."""
        value, error = self.at(temperature)
        return float(np.exp(value)), float(np.exp(value - error)), float(np.exp(value + error))


def fit_arrhenius(temperatures: Any, values: Any, errors: Any) -> Arrhenius:
    """Fit ln y against 1/T by weighted least squares.

    Fit D, or sigma T; never sigma, whose prefactor depends on temperature (DPA-SSE, section 2.5, with m = -1). Where
    the points scatter more than their errors allow, the covariance is scaled by chi^2 per degree of freedom; it is
    never scaled down, since few points may agree by chance.

    :param temperatures: (n,) K, n of at least `FEWEST_TEMPERATURES` distinct values.
    :param values: y (n,), positive.
    :param errors: standard deviations of y (n,), positive.
    :raises ValueError: if there are too few temperatures, or a number is not positive.
    """
    t, y, e = (np.asarray(array, dtype=float) for array in (temperatures, values, errors))
    if (count := len(np.unique(t))) < FEWEST_TEMPERATURES:
        raise ValueError(f'{count} temperatures are too few for an Arrhenius fit: give {FEWEST_TEMPERATURES}.')
    if min(t.min(), y.min(), e.min()) <= 0:
        raise ValueError('Temperatures, values and errors should be positive: leave the others out.')
    weights = (y / e) ** 2
    design = np.stack([np.ones_like(t), 1 / t], axis=1)
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    parameters = covariance @ design.T @ (weights * np.log(y))
    residual = np.log(y) - design @ parameters
    misfit = float(np.sum(weights * residual**2) / max(len(t) - 2, 1))
    return Arrhenius(float(parameters[0]), float(parameters[1]), covariance * max(1.0, misfit), misfit)
