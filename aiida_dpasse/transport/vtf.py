"""Vogel-Tammann-Fulcher fits, and whether they describe a curved Arrhenius plot better than one activation energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from aiida_dpasse.transport.arrhenius import ROUNDING, LinearFit, one_sigma, prepare, solve
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV

#: Fewest distinct temperatures for a comparison of the models.
FEWEST_TEMPERATURES = 5
#: T0 is below this fraction of the lowest temperature, where the fit would diverge.
HIGHEST = 0.98
#: Difference of the information criteria above which the data support the VTF equation (Burnham and Anderson, Model
#: Selection and Multimodel Inference, 2002, section 2.6).
DECISIVE = 4.0


@dataclass(frozen=True)
class VTF:
    """Fit of ln (y / T^m) = ``intercept`` - ``b`` / (T - ``t0``), and its comparison with the Arrhenius equation.

    :param intercept: ln of the prefactor A.
    :param b: B in K.
    :param t0: T0 in K; 0 if no positive value fits better, which is the Arrhenius equation.
    :param covariance: (3, 3), of intercept, B and T0; None if T0 is 0, the end of its range.
    :param evidence: Akaike's criterion of the Arrhenius equation minus that of the VTF equation: positive if the
        VTF equation is better. None if there are too few points for the correction.
    :param exponent: m.
    :param degrees_of_freedom: as in :class:`~aiida_dpasse.transport.arrhenius.Arrhenius`.
    """

    intercept: float
    b: float
    t0: float
    covariance: NDArray[np.float64] | None
    evidence: float | None
    exponent: float
    degrees_of_freedom: float

    @property
    def preferred(self) -> bool:
        """Whether the data support the VTF against the Arrhenius equation."""
        return self.evidence is not None and self.evidence > DECISIVE

    @property
    def pseudo_energy(self) -> float:
        """B k_B in eV."""
        return self.b * BOLTZMANN_EV

    def interval(self, temperature: float) -> tuple[float, float, float] | None:
        """Return y and its 16 % and 84 % quantiles; None at or below T0, or if the covariance is undetermined.

        :param temperature: K.
        """
        if temperature <= self.t0 or self.covariance is None:
            return None
        distance = temperature - self.t0
        value = self.intercept - self.b / distance + self.exponent * np.log(temperature)
        basis = np.array([1.0, -1 / distance, -self.b / distance**2])
        error = float(np.sqrt(basis @ self.covariance @ basis)) * one_sigma(self.degrees_of_freedom)
        return float(np.exp(value)), float(np.exp(value - error)), float(np.exp(value + error))


def fit_vtf(temperatures: Any, values: Any, errors: Any = None, exponent: float = 0.0) -> VTF:
    """Fit y = A T^m exp(-B / (T - T0)) by least squares in ln (y / T^m), with 0 <= T0 below the lowest temperature.

    The criterion is that of Akaike, 2 k - 2 ln L. If the errors are unknown, the variance is a further parameter, and
    the correction for few points is added (Hurvich and Tsai, Biometrika 76, 297, 1989). If the points scatter about the
    better curve by more than their errors, chi squared is divided by its reduced value.

    Parameters as in :func:`fit_arrhenius`.

    :raises ValueError: if there are fewer than `FEWEST_TEMPERATURES` temperatures, or a number is not positive.
    """
    t, logarithms, weights = prepare(temperatures, values, errors, exponent, FEWEST_TEMPERATURES)

    def at(t0: float) -> LinearFit:
        return solve(np.stack([np.ones_like(t), 1 / (t - t0)], axis=1), logarithms, weights)

    grid = np.linspace(0, HIGHEST * t.min(), 100)
    best = int(np.argmin([at(t0).chi_squared for t0 in grid]))
    bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    t0 = float(minimize_scalar(lambda x: at(x).chi_squared, bounds=bounds, method='bounded').x)
    line = at(0.0)
    if line.chi_squared <= at(t0).chi_squared:
        t0 = 0.0
    fit = at(t0)
    intercept, slope = map(float, fit.parameters)
    evidence = _evidence(line.chi_squared, fit.chi_squared, len(t), weights is not None)
    freedom = max(len(t) - 3, 1)
    covariance = None
    if t0 > 0:
        # Linearised at the minimum, with T0 as a third parameter.
        w = np.ones_like(t) if weights is None else weights
        design = np.stack([np.ones_like(t), -1 / (t - t0), slope / (t - t0) ** 2], axis=1)
        spread = fit.chi_squared / freedom
        spread = max(spread, ROUNDING) if weights is None else max(1.0, spread)
        scale = np.abs(design).max(axis=0)
        scaled = np.linalg.pinv((design / scale).T @ (w[:, None] * (design / scale)))
        covariance = spread * scaled / np.outer(scale, scale)
    known = np.inf if weights is not None else float(freedom)
    return VTF(intercept, -slope, t0, covariance, evidence, exponent, known)


def _evidence(line: float, curve: float, count: int, known: bool) -> float | None:
    """Return the criterion of the line (2 parameters) minus that of the curve (3), from their chi squared."""
    if known:
        return (line - curve) / max(1.0, curve / max(count - 3, 1)) - 2
    if count < 6:
        return None
    penalties = [2 * k + 2 * k * (k + 1) / (count - k - 1) for k in (3, 4)]
    floor = count * ROUNDING
    return float(count * np.log(max(line, floor) / max(curve, floor)) + penalties[0] - penalties[1])
