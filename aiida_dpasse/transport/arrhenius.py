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
    """ln (y / T^m) = ``intercept`` + ``slope`` / T, with the (2, 2) ``covariance`` of both.

    ``misfit`` is chi^2 per degree of freedom, ``exponent`` is m.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    misfit: float
    exponent: float = 0.0

    @property
    def activation_energy(self) -> tuple[float, float]:
        """Activation energy and its standard deviation in eV."""
        return -self.slope * BOLTZMANN_EV, float(np.sqrt(self.covariance[1, 1])) * BOLTZMANN_EV

    def at(self, temperature: float) -> tuple[float, float]:
        """Return ln y at ``temperature`` K and its standard deviation."""
        basis = np.array([1.0, 1.0 / temperature])
        value = float(basis @ [self.intercept, self.slope]) + self.exponent * float(np.log(temperature))
        return value, float(np.sqrt(basis @ self.covariance @ basis))

    def interval(self, temperature: float) -> tuple[float, float, float]:
        """Return y at ``temperature`` and its quantiles at 16 % and 84 %, all from ln y."""
        value, error = self.at(temperature)
        return float(np.exp(value)), float(np.exp(value - error)), float(np.exp(value + error))


@dataclass(frozen=True)
class Bend:
    """Coefficient of a quadratic term in 1/T and its error, in K^2, and how many errors it is from none."""

    coefficient: float
    error: float

    @property
    def significance(self) -> float:
        """Return the ratio of the coefficient's size to its error."""
        return abs(self.coefficient) / self.error

    @property
    def bent(self) -> bool:
        """Whether one activation energy does not describe all temperatures, at two standard errors."""
        return self.significance > 2


@dataclass(frozen=True)
class LeftOut:
    """The fit without one temperature in K: activation energy and its standard deviation in eV, the value at the
    temperature that is extrapolated to, and its quantiles at 16 % and 84 %."""

    left_out: float
    activation_energy: tuple[float, float]
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LineChecks:
    """Whether a line hangs on one temperature, and whether it bends; the bend is None with too few temperatures."""

    leave_one_out: list[LeftOut]
    bend: Bend | None

    @property
    def bend_numbers(self) -> dict[str, Any]:
        """The bend under the names of results: ``bend_K2``, ``bend_error_K2`` and ``bent``."""
        if self.bend is None:
            return {'bend_K2': None, 'bend_error_K2': None, 'bent': None}
        return {'bend_K2': self.bend.coefficient, 'bend_error_K2': self.bend.error, 'bent': self.bend.bent}


def check_line(temperatures: Any, values: Any, errors: Any, extrapolate_to: float, exponent: float = 0.0) -> LineChecks:
    """Return the checks of an Arrhenius fit; arguments and errors as in :func:`fit_arrhenius`.

    :param extrapolate_to: temperature in K of the values that the fits without one temperature give.
    """
    others = []
    for left, fit in leave_one_out(temperatures, values, errors, exponent).items():
        value, low, high = fit.interval(extrapolate_to)
        others.append(LeftOut(left, fit.activation_energy, value, (low, high)))
    enough = len(np.unique(temperatures)) > FEWEST_TEMPERATURES
    return LineChecks(others, bend(temperatures, values, errors, exponent) if enough else None)


def fit_arrhenius(temperatures: Any, values: Any, errors: Any, exponent: float = 0.0) -> Arrhenius:
    """Fit y = A T^m exp(-Ea / k_B T), linear in ln (y / T^m) against 1/T, by weighted least squares.

    Fit D, or sigma T; for sigma itself m is -1 (DPA-SSE, section 2.5). Where the points scatter more than their errors
    allow, the covariance is scaled by chi^2 per degree of freedom; it is never scaled down, since few points may agree
    by chance.

    :param temperatures: (n,) K, n of at least `FEWEST_TEMPERATURES` distinct values.
    :param values: y (n,), positive.
    :param errors: standard deviations of y (n,), positive.
    :param exponent: m.
    :raises ValueError: if there are too few temperatures, or a number is not positive.
    """
    t, logarithms, weights = _check(temperatures, values, errors, exponent, FEWEST_TEMPERATURES)
    parameters, covariance, misfit = _solve(np.stack([np.ones_like(t), 1 / t], axis=1), logarithms, weights)
    return Arrhenius(float(parameters[0]), float(parameters[1]), covariance * max(1.0, misfit), misfit, exponent)


def leave_one_out(temperatures: Any, values: Any, errors: Any, exponent: float = 0.0) -> dict[float, Arrhenius]:
    """Return, by the temperature that was left out, the fit of all others; empty if they would be too few.

    An extrapolation that hangs on one temperature is seen by it. Arguments and errors as in :func:`fit_arrhenius`.
    """
    t, y, e = (np.asarray(array, dtype=float) for array in (temperatures, values, errors))
    fits = {}
    for left in np.unique(t):
        kept = t != left
        if len(np.unique(t[kept])) >= FEWEST_TEMPERATURES:
            fits[float(left)] = fit_arrhenius(t[kept], y[kept], e[kept], exponent)
    return fits


def bend(temperatures: Any, values: Any, errors: Any, exponent: float = 0.0) -> Bend:
    """Return the quadratic term of ln (y / T^m) in 1/T about its mean; arguments as in :func:`fit_arrhenius`.

    :raises ValueError: if there are fewer than four temperatures, or a number is not positive.
    """
    t, logarithms, weights = _check(temperatures, values, errors, exponent, FEWEST_TEMPERATURES + 1)
    x = 1 / t - np.mean(1 / t)
    # Scaled, so that the normal equations can be solved.
    scale = float(np.abs(x).max())
    parameters, covariance, _ = _solve(
        np.stack([np.ones_like(x), x / scale, (x / scale) ** 2], axis=1), logarithms, weights
    )
    return Bend(float(parameters[2]) / scale**2, float(np.sqrt(covariance[2, 2])) / scale**2)


def _check(temperatures: Any, values: Any, errors: Any, exponent: float, fewest: int) -> tuple[Any, Any, Any]:
    """Return temperatures, logarithms of y / T^m and their weights."""
    t, y, e = (np.asarray(array, dtype=float) for array in (temperatures, values, errors))
    if (count := len(np.unique(t))) < fewest:
        raise ValueError(f'{count} temperatures are too few for an Arrhenius fit: give {fewest}.')
    # Not a number is not positive either.
    if not all(np.all(array > 0) and np.all(np.isfinite(array)) for array in (t, y, e)):
        raise ValueError('Temperatures, values and errors should be positive: leave the others out.')
    return t, np.log(y) - exponent * np.log(t), (y / e) ** 2


def _solve(design: Any, observed: Any, weights: Any) -> tuple[Any, Any, float]:
    """Return parameters, covariance and chi^2 per degree of freedom of weighted least squares."""
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    parameters = covariance @ design.T @ (weights * observed)
    residual = observed - design @ parameters
    count, free = design.shape
    return parameters, covariance, float(np.sum(weights * residual**2) / max(count - free, 1))
