"""Arrhenius line of several potentials and configurations.

Potentials differ in prefactor and activation energy, so their errors at different temperatures are correlated, and so
are those of configurations. Each potential and configuration therefore has its own line, and intercept and slope are
the random effects of :mod:`ensemble`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from aiida_dpasse.transport.arrhenius import FEWEST_TEMPERATURES, Arrhenius, fit_arrhenius, prepare, solve
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV
from aiida_dpasse.transport.ensemble import ONE_SIGMA, Effects, Uncertainty, split_variance

Array = NDArray[np.float64]

#: Thermal errors are enlarged if the chi-squared test gives the deviations from the line a smaller probability.
LEAST_CHANCE = 0.01


@dataclass(frozen=True)
class Series:
    """Values of one potential in one configuration.

    :param potential: label of the potential.
    :param configuration: label of the configuration.
    :param temperatures: (m,) K.
    :param values: y (m,), positive.
    :param errors: thermal standard deviations of y, (m,).
    """

    potential: Hashable
    configuration: Hashable
    temperatures: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float]


@dataclass(frozen=True)
class EnsembleLine:
    """ln y = ``intercept`` + ``slope`` / T, averaged over potentials and configurations.

    :param intercept: ln of the prefactor.
    :param slope: -Ea / k_B in K.
    :param thermal: (2, 2), thermal covariance of intercept and slope.
    :param effects: variance between potentials and between configurations; None if there is one of each.
    :param reduced_chi_squared: of the fit to the values pooled at each temperature.
    """

    intercept: float
    slope: float
    thermal: Array
    effects: Effects | None
    reduced_chi_squared: float | None

    @property
    def covariance(self) -> Array:
        """Covariance of intercept and slope, (2, 2), with all known parts."""
        return self.thermal if self.effects is None else self.effects.covariance(self.thermal)

    def uncertainty(self, functional: Any) -> Uncertainty:
        """Return the variance of a linear function of intercept and slope.

        :param functional: coefficients of the function, (2,).
        """
        if self.effects is None:
            x = np.asarray(functional, dtype=float)
            return Uncertainty(float(x @ self.thermal @ x))
        return self.effects.uncertainty(self.thermal, functional)

    def at(self, temperature: float) -> Uncertainty:
        """Return the variance of ln y at ``temperature`` in K."""
        return self.uncertainty([1.0, 1 / temperature])

    def interval(self, temperature: float, level: float = ONE_SIGMA) -> tuple[float, float, float]:
        """Return y and the limits of its confidence interval.

        :param temperature: K.
        :param level: coverage.
        """
        value, half = self.intercept + self.slope / temperature, self.at(temperature).half_width(level)
        return float(np.exp(value)), float(np.exp(value - half)), float(np.exp(value + half))

    def energy_interval(self, level: float = ONE_SIGMA) -> tuple[float, float, float]:
        """Return the activation energy and the limits of its confidence interval in eV.

        :param level: coverage.
        """
        value, half = -self.slope * BOLTZMANN_EV, self.energy.half_width(level)
        return value, value - half, value + half

    @property
    def energy(self) -> Uncertainty:
        """Variance of the activation energy in eV^2."""
        return self.uncertainty([0.0, BOLTZMANN_EV])


def fit_ensemble(
    temperatures: Any, values: Any, errors: Any, series: Sequence[Series] = (), tracer: tuple[Any, Any] | None = None
) -> EnsembleLine:
    """Fit the line of ln y against 1/T and determine its variance between potentials and configurations.

    With one potential and one configuration it is the weighted line of :func:`fit_arrhenius`; otherwise the mean of the
    weighted lines of all series. If the series are of another quantity than y, such as the tracer conductivity where
    single runs do not determine the collective one, the mean line is that of y plus the difference between the mean
    line of the series and the line of their pooled values; both quantities are then assumed to vary alike.

    :param temperatures: (n,) K, at least three of them distinct.
    :param values: y (n,), pooled over all runs of a temperature, positive.
    :param errors: thermal standard deviations of y, (n,), positive.
    :param series: values of each potential and configuration; other temperatures than those given are left out.
    :param tracer: values and thermal errors, pooled like ``values``, of the quantity of ``series``, if it is not y.
    :raises ValueError: if there are too few temperatures, or a number is not positive.
    """
    pooled = fit_arrhenius(temperatures, values, errors)
    effects = effects_of(series, temperatures)
    if effects is None:
        return EnsembleLine(pooled.intercept, pooled.slope, pooled.covariance, None, pooled.reduced_chi_squared)
    growth, kept = growth_of(pooled, len(np.asarray(temperatures)))
    if tracer is None:
        intercept, slope = effects.mean
        thermal = effects.thermal * kept
    else:
        other = fit_arrhenius(temperatures, *tracer)
        intercept = effects.mean[0] + pooled.intercept - other.intercept
        slope = effects.mean[1] + pooled.slope - other.slope
        thermal = pooled.covariance / growth * kept
    return EnsembleLine(float(intercept), float(slope), thermal, effects, pooled.reduced_chi_squared)


def leave_out(
    temperatures: Any, values: Any, errors: Any, series: Sequence[Series] = (), tracer: tuple[Any, Any] | None = None
) -> dict[float, EnsembleLine]:
    """Return the fits that each omit one temperature, keyed by it; empty if too few would remain.

    Parameters as in :func:`fit_ensemble`.
    """
    t, y, e = (np.asarray(array, dtype=float) for array in (temperatures, values, errors))
    fits = {}
    for left in np.unique(t):
        kept = t != left
        if len(np.unique(t[kept])) >= FEWEST_TEMPERATURES:
            other = None if tracer is None else tuple(np.asarray(array)[kept] for array in tracer)
            fits[float(left)] = fit_ensemble(t[kept], y[kept], e[kept], series, other)
    return fits


def effects_of(series: Sequence[Series], temperatures: Any) -> Effects | None:
    """Return the random effects on intercept and slope; None if the lines are those of one potential and configuration.

    :param series: values of each potential and configuration.
    :param temperatures: K; other temperatures are left out, and so are series with fewer than two.
    """
    lines, covariances, labels = [], [], []
    for one in series:
        t, y, e = (np.asarray(array, dtype=float) for array in (one.temperatures, one.values, one.errors))
        inside = np.isin(t, temperatures)
        if len(np.unique(t[inside])) < 2:
            continue
        t, logarithms, weights = prepare(t[inside], y[inside], e[inside], exponent=0.0, fewest=2)
        line = solve(np.stack([np.ones_like(t), 1 / t], axis=1), logarithms, weights, grow=False)
        lines.append(line.parameters)
        covariances.append(line.covariance)
        labels.append((one.potential, one.configuration))
    if not lines:
        return None
    found = split_variance(lines, covariances, *zip(*labels, strict=True))
    return found if found.components else None


def growth_of(fit: Arrhenius, points: int) -> tuple[float, float]:
    """Return the factor in the covariance of ``fit``, and that which is kept: 1 unless the deviations are improbable.

    :param fit: line of the pooled values.
    :param points: their number.
    """
    reduced = fit.reduced_chi_squared or 0.0
    growth, freedom = max(1.0, reduced), max(points - 2, 1)
    return growth, growth if chi2.sf(reduced * freedom, freedom) < LEAST_CHANCE else 1.0
