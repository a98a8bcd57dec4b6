"""Arrhenius fits: activation energy, and extrapolation in temperature with its full uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from aiida_dpasse.transport.conductivity import BOLTZMANN_EV

#: Fewest distinct temperatures for a fit: with two the error of the line is unknown.
FEWEST_TEMPERATURES = 3
#: Smallest variance of ln y that is taken from a scatter: published numbers have fewer digits than this.
ROUNDING = 1e-20


@dataclass(frozen=True)
class Arrhenius:
    """Least-squares fit of ln (y / T^m) = ``intercept`` + ``slope`` / T.

    :param intercept: ln of the prefactor A.
    :param slope: -Ea / k_B in K.
    :param covariance: (2, 2), of intercept and slope.
    :param reduced_chi_squared: chi squared divided by the number of points minus that of parameters; None if the values
        have no errors.
    :param exponent: m.
    :param degrees_of_freedom: of the covariance, if it is estimated from the scatter of values without errors; infinite
        if the errors are known.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64]
    reduced_chi_squared: float | None
    exponent: float = 0.0
    degrees_of_freedom: float = np.inf

    @property
    def activation_energy(self) -> tuple[float, float]:
        """Activation energy and its standard deviation in eV."""
        return -self.slope * BOLTZMANN_EV, float(np.sqrt(self.covariance[1, 1])) * BOLTZMANN_EV

    def energy_interval(self, level: float) -> tuple[float, float]:
        """Return the confidence interval of the activation energy in eV.

        :param level: coverage, for example 0.95.
        """
        value, error = self.activation_energy
        width = error * float(student.ppf(0.5 + level / 2, self.degrees_of_freedom))
        return value - width, value + width

    def at(self, temperature: float) -> tuple[float, float]:
        """Return ln y and its standard deviation.

        :param temperature: K.
        """
        basis = np.array([1.0, 1.0 / temperature])
        value = float(basis @ [self.intercept, self.slope]) + self.exponent * float(np.log(temperature))
        return value, float(np.sqrt(basis @ self.covariance @ basis))

    def interval(self, temperature: float) -> tuple[float, float, float]:
        """Return y and its 16 % and 84 % quantiles, assuming that the errors of ln y are normally distributed.

        :param temperature: K.
        """
        value, error = self.at(temperature)
        error *= one_sigma(self.degrees_of_freedom)
        return float(np.exp(value)), float(np.exp(value - error)), float(np.exp(value + error))


@dataclass(frozen=True)
class Curvature:
    """Curvature of an Arrhenius plot: the coefficient of the quadratic term in 1/T and its standard error, in K^2.

    :param degrees_of_freedom: of the error, as in :class:`Arrhenius`.
    """

    coefficient: float
    error: float
    degrees_of_freedom: float = np.inf

    @property
    def significance(self) -> float:
        """Absolute value of the coefficient in units of its standard error."""
        return abs(self.coefficient) / self.error

    @property
    def bent(self) -> bool:
        """Whether the curvature exceeds two standard errors: no single activation energy fits all temperatures.

        If the error is estimated from the scatter, the threshold has the same false-positive rate, 4.6 %.
        """
        return self.significance > float(student.isf(norm.sf(2), self.degrees_of_freedom))


@dataclass(frozen=True)
class LeftOut:
    """Arrhenius fit without one temperature.

    :param left_out: the omitted temperature in K.
    :param activation_energy: value and standard deviation in eV.
    :param value: y at the temperature extrapolated to.
    :param interval: 16 % and 84 % quantiles of ``value``.
    """

    left_out: float
    activation_energy: tuple[float, float]
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LineChecks:
    """Checks of an Arrhenius fit: its sensitivity to single temperatures, and its curvature.

    :param leave_one_out: one fit per omitted temperature; empty if there are too few temperatures.
    :param curvature: None if there are too few temperatures.
    """

    leave_one_out: list[LeftOut]
    curvature: Curvature | None

    @property
    def curvature_numbers(self) -> dict[str, Any]:
        """The curvature as reported in results: ``bend_K2``, ``bend_error_K2`` and ``bent``, each None if unknown."""
        if (found := self.curvature) is None:
            return {'bend_K2': None, 'bend_error_K2': None, 'bent': None}
        return {'bend_K2': found.coefficient, 'bend_error_K2': found.error, 'bent': found.bent}


def check_line(temperatures: Any, values: Any, errors: Any, extrapolate_to: float, exponent: float = 0.0) -> LineChecks:
    """Return the leave-one-out fits and the curvature of an Arrhenius plot.

    :param temperatures: (n,) K.
    :param values: y (n,), positive.
    :param errors: standard deviations of y (n,), positive, or None.
    :param extrapolate_to: temperature in K at which each leave-one-out fit is evaluated.
    :param exponent: m, as in :func:`fit_arrhenius`.
    :raises ValueError: if a number is not positive.
    """
    others = []
    for left, fit in leave_one_out(temperatures, values, errors, exponent).items():
        value, low, high = fit.interval(extrapolate_to)
        others.append(LeftOut(left, fit.activation_energy, value, (low, high)))
    enough = len(np.unique(temperatures)) > FEWEST_TEMPERATURES
    return LineChecks(others, curvature(temperatures, values, errors, exponent) if enough else None)


def fit_arrhenius(temperatures: Any, values: Any, errors: Any = None, exponent: float = 0.0) -> Arrhenius:
    """Fit y = A T^m exp(-Ea / k_B T), linear in ln (y / T^m) against 1/T, by least squares.

    Fit D, or sigma T; for sigma itself m is -1 (DPA-SSE, section 2.5). If the reduced chi squared exceeds 1, the
    covariance is multiplied by it; it is never scaled down, since a few points can agree by chance. Without errors all
    points have the same weight, and the covariance is estimated from their scatter about the line.

    :param temperatures: (n,) K, at least `FEWEST_TEMPERATURES` of them distinct.
    :param values: y (n,), positive.
    :param errors: standard deviations of y (n,), positive, or None if they are unknown.
    :param exponent: m.
    :raises ValueError: if there are too few temperatures, or a number is not positive.
    """
    t, logarithms, weights = prepare(temperatures, values, errors, exponent, FEWEST_TEMPERATURES)
    line = solve(np.stack([np.ones_like(t), 1 / t], axis=1), logarithms, weights)
    intercept, slope = map(float, line.parameters)
    chi2 = None if weights is None else line.reduced_chi_squared
    return Arrhenius(intercept, slope, line.covariance, chi2, exponent, line.degrees_of_freedom)


def leave_one_out(temperatures: Any, values: Any, errors: Any, exponent: float = 0.0) -> dict[float, Arrhenius]:
    """Return the fits that each omit one temperature, keyed by that temperature; empty if too few would remain.

    They reveal whether an extrapolation depends on a single temperature. Parameters as in :func:`fit_arrhenius`.

    :raises ValueError: if a number is not positive.
    """
    t, y = (np.asarray(array, dtype=float) for array in (temperatures, values))
    e = None if errors is None else np.asarray(errors, dtype=float)
    fits = {}
    for left in np.unique(t):
        kept = t != left
        if len(np.unique(t[kept])) >= FEWEST_TEMPERATURES:
            fits[float(left)] = fit_arrhenius(t[kept], y[kept], None if e is None else e[kept], exponent)
    return fits


def curvature(temperatures: Any, values: Any, errors: Any, exponent: float = 0.0) -> Curvature:
    """Return the curvature of an Arrhenius plot: the quadratic term of ln (y / T^m) in 1/T about its mean.

    Parameters as in :func:`fit_arrhenius`.

    :raises ValueError: if there are fewer than four distinct temperatures, or a number is not positive.
    """
    t, logarithms, weights = prepare(temperatures, values, errors, exponent, FEWEST_TEMPERATURES + 1)
    x = 1 / t - np.mean(1 / t)
    # Scaled to order one, or the normal equations would be ill-conditioned.
    scale = float(np.abs(x).max())
    found = solve(np.stack([np.ones_like(x), x / scale, (x / scale) ** 2], axis=1), logarithms, weights, grow=False)
    error = float(np.sqrt(found.covariance[2, 2])) / scale**2
    return Curvature(float(found.parameters[2]) / scale**2, error, found.degrees_of_freedom)


@dataclass(frozen=True)
class LinearFit:
    """Linear least-squares fit.

    :param parameters: (k,).
    :param covariance: (k, k).
    :param chi_squared: weighted sum of the squared residuals, with unit weights if the errors are unknown.
    :param reduced_chi_squared: divided by the number of points minus that of parameters.
    :param degrees_of_freedom: of the covariance; infinite if the errors are known.
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi_squared: float
    reduced_chi_squared: float
    degrees_of_freedom: float


def prepare(temperatures: Any, values: Any, errors: Any, exponent: float, fewest: int) -> tuple[Any, Any, Any]:
    """Return temperatures, logarithms of y / T^m and their weights, which are None without errors.

    Parameters as in :func:`fit_arrhenius`.

    :param fewest: number of distinct temperatures needed.
    :raises ValueError: if there are fewer, or a number is not positive.
    """
    t, y = (np.asarray(array, dtype=float) for array in (temperatures, values))
    e = np.ones_like(y) if errors is None else np.asarray(errors, dtype=float)
    if (count := len(np.unique(t))) < fewest:
        raise ValueError(f'{count} temperatures are too few for an Arrhenius fit: give {fewest}.')
    # Written so that NaN fails as well.
    if not all(np.all(array > 0) and np.all(np.isfinite(array)) for array in (t, y, e)):
        raise ValueError('Temperatures, values and errors should be positive: leave the others out.')
    return t, np.log(y) - exponent * np.log(t), None if errors is None else (y / e) ** 2


def solve(design: Any, observed: Any, weights: Any, grow: bool = True) -> LinearFit:
    """Return a linear least-squares fit.

    :param design: (n, k).
    :param observed: (n,).
    :param weights: (n,), or None if the errors are unknown: the variance is then that of the residuals.
    :param grow: whether the covariance is multiplied by a reduced chi squared above 1.
    """
    count, free = design.shape
    w = np.ones(count) if weights is None else weights
    covariance = np.linalg.inv(design.T @ (w[:, None] * design))
    parameters = covariance @ design.T @ (w * observed)
    chi2 = float(np.sum(w * (observed - design @ parameters) ** 2))
    freedom = max(count - free, 1)
    reduced = chi2 / freedom
    if weights is None:
        return LinearFit(parameters, covariance * max(reduced, ROUNDING), chi2, reduced, float(freedom))
    return LinearFit(parameters, covariance * (max(1.0, reduced) if grow else 1.0), chi2, reduced, np.inf)


def one_sigma(degrees_of_freedom: float) -> float:
    """Return the half width of a 68 % interval in standard errors: Student's quantile, 1 for known errors.

    :param degrees_of_freedom: of the standard error.
    """
    return float(student.isf(norm.sf(1), degrees_of_freedom))
