"""The Arrhenius line of the rows of all temperatures, and the conductivity that it gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_dpasse.dynamics.transport_row import variance_of
from aiida_dpasse.transport.arrhenius import FEWEST_TEMPERATURES, LineChecks, curvature
from aiida_dpasse.transport.ensemble_line import EnsembleLine, Series, fit_ensemble, leave_out


def extrapolate(rows: list[dict[str, Any]], temperature: float) -> dict[str, Any]:
    """Fit the Arrhenius line of conductivity times temperature and evaluate it at ``temperature``.

    The collective conductivity is fitted if it is determined at every diffusive temperature, otherwise the
    Nernst-Einstein conductivity.

    :param rows: the rows of all temperatures.
    :param temperature: temperature in K of the extrapolated conductivity.
    :returns: activation energy in eV, conductivity and its interval in mS/cm, line parameters, checks of the line, and
        the parts of the error as in the rows; numbers are null if fewer than `FEWEST_TEMPERATURES` temperatures are
        diffusive, and ``reason`` states why.
    """
    diffusive = [row for row in rows if row['diffusive']]
    collective = bool(diffusive) and all(row['conductivity_mS_cm'] is not None for row in diffusive)
    answer: dict[str, Any] = {
        'temperature_K': temperature,
        'conductivity_mS_cm': None,
        'interval_mS_cm': None,
        'kind': 'collective' if collective else 'nernst_einstein',
        'activation_energy_eV': None,
        'activation_energy_error_eV': None,
        **variance_of(None),
        'activation_energy_variance_eV': None,
        'intercept': None,
        'slope_K': None,
        'covariance': None,
        'extrapolated': None,
        'leave_one_out': [],
        'bend_K2': None,
        'bend_error_K2': None,
        'bent': None,
        'temperatures_used_K': [row['temperature_K'] for row in diffusive],
    }
    if len({row['temperature_K'] for row in diffusive}) < FEWEST_TEMPERATURES:
        others = (f'{row["temperature_K"]:g} K: {row["reason"]}' for row in rows if not row['diffusive'])
        found = f'The ions diffuse at {len(diffusive)} of {len(rows)} temperatures'
        answer['reason'] = ' '.join([f'{found}; the fit needs {FEWEST_TEMPERATURES}.', *others])
        return answer
    points = points_of(diffusive, collective)
    fit = fit_ensemble(**points)
    kelvins = points['temperatures']
    span = f'the {len(diffusive)} diffusive temperatures from {kelvins.min():g} to {kelvins.max():g} K'
    if collective:
        reason = f'From the collective conductivity at {span}.'
    else:
        reason = f'From the Nernst-Einstein conductivity at {span}: the collective one is undetermined at some of them.'
    enough = len(np.unique(kelvins)) > FEWEST_TEMPERATURES
    bend = curvature(kelvins, points['values'], points['errors']) if enough else None
    if bend is not None and bend.bent:
        reason += ' The line is curved: one activation energy does not describe all temperatures.'
    answer |= {
        'leave_one_out': [
            {'left_out_K': left, **numbers_of(other, temperature)} for left, other in leave_out(**points).items()
        ],
        **LineChecks([], bend).curvature_numbers,
        **numbers_of(fit, temperature),
        **variance_of(fit.at(temperature)),
        'activation_energy_variance_eV': fit.energy.parts,
        'intercept': fit.intercept,
        'slope_K': fit.slope,
        'covariance': fit.covariance.tolist(),
        'reduced_chi_squared': fit.reduced_chi_squared,
        'extrapolated': not bool(kelvins.min() <= temperature <= kelvins.max()),
        'reason': reason,
    }
    return answer


def points_of(rows: list[dict[str, Any]], collective: bool) -> dict[str, Any]:
    """Return the arguments of `fit_ensemble`, with y the product of conductivity and temperature.

    The lines of single potentials and structures are those of the collective conductivity if each of them determines
    it, otherwise those of the Nernst-Einstein conductivity.

    :param rows: the rows of the diffusive temperatures.
    :param collective: whether y is the collective conductivity.
    """
    kelvins = np.array([row['temperature_K'] for row in rows], dtype=float)
    groups = [(row['temperature_K'], group) for row in rows for group in row.get('groups', ())]
    tracer = not collective or any(group['conductivity_mS_cm'] is None for _, group in groups)
    name = 'nernst_einstein_conductivity' if tracer else 'conductivity'
    found: dict[tuple[Any, Any], list[tuple[float, float, float]]] = {}
    for kelvin, group in groups:
        if (value := group[f'{name}_mS_cm']) is not None:
            point = (kelvin, value * kelvin, group[f'{name}_error_mS_cm'] * kelvin)
            found.setdefault((group['potential'], group['structure']), []).append(point)

    def pooled(key: str, variance: str) -> tuple[Any, Any]:
        values = kelvins * np.array([row[f'{key}_mS_cm'] for row in rows])
        return values, values * np.array([row[variance]['thermal'] for row in rows])

    of_tracer = pooled('nernst_einstein_conductivity', 'variance')
    values, errors = pooled('conductivity', 'collective_variance') if collective else of_tracer
    return {
        'temperatures': kelvins,
        'values': values,
        'errors': errors,
        'series': [Series(*labels, *zip(*points, strict=True)) for labels, points in found.items()],
        'tracer': of_tracer if collective and tracer else None,
    }


def numbers_of(fit: EnsembleLine, temperature: float) -> dict[str, Any]:
    """Return activation energy (eV) and conductivity (mS/cm) of a line, with half the 68 % interval and its limits.

    :param fit: line of sigma T.
    :param temperature: temperature in K of the conductivity.
    """
    value, low, high = (number / temperature for number in fit.interval(temperature))
    energy, lowest, highest = fit.energy_interval()
    return {
        'activation_energy_eV': energy,
        'activation_energy_error_eV': (highest - lowest) / 2,
        'conductivity_mS_cm': value,
        'interval_mS_cm': [low, high],
    }
