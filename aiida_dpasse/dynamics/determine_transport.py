"""Diffusion, conductivity and activation energy from the statistics of all runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.dynamics.plan_conductivity import LARGE
from aiida_dpasse.dynamics.transport_runs import (
    check_size,
    error_of_program,
    judge_runs,
    read_statistics,
    record_of,
)
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.transport.arrhenius import FEWEST_TEMPERATURES, check_line, fit_arrhenius
from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, Statistics, pool
from aiida_dpasse.transport.ensemble import Ensemble, pool_configurations
from aiida_dpasse.transport.estimate import error_of, value_of
from aiida_dpasse.transport.maps import average_maps
from aiida_dpasse.transport.regime import LARGEST_FRAMEWORK_DISPLACEMENT

#: Displacement and drift of the framework; a row has the largest value of its runs.
FRAMEWORK = ('displacement', 'drift')
#: Values and their errors, to which the spread between configurations is added.
WITH_ERRORS = (
    ('diffusivity_cm2_s', 'error_cm2_s'),
    ('collective_diffusivity_cm2_s', 'collective_error_cm2_s'),
    ('conductivity_mS_cm', 'conductivity_error_mS_cm'),
    ('nernst_einstein_conductivity_mS_cm', 'nernst_einstein_conductivity_error_mS_cm'),
)
#: The row of a temperature at which no run succeeded.
NOTHING: dict[str, Any] = {
    'diffusivity_cm2_s': None,
    'error_cm2_s': None,
    'conductivity_mS_cm': None,
    'nernst_einstein_conductivity_mS_cm': None,
    'haven_ratio': None,
    'runs': 0,
    'diffusive': False,
    'verdict': 'no run ended well',
    'reason': 'All runs failed: see their exit messages.',
}


@calcfunction
def determine_transport(parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, orm.Data]:
    """Compute diffusion and conductivity at each temperature, and the Arrhenius fit.

    Runs without statistics are listed by their records in ``runs_failed``, and in ``stopped`` if they exceeded a limit.

    :param parameters: `ConductivityParameters`.
    :param runs: records of all planned runs by id; runs in a larger cell have a size.
    :param inputs: namespaces by the id of the run: ``statistics`` (ArrayData) and ``results`` (Dict) of
        `dpasse.transport` for the successful runs, and ``dynamics``, the results (Dict) of `dpasse.md`.
    :returns: ``transport``, a Dict with one row for each temperature (diffusivity in cm^2/s, conductivity in mS/cm)
        and, if requested, the finite-size comparison; ``curves``, an ArrayData with, for the temperature of index
        ``nn``, lag times (ps), MSD and its error (A^2) and van Hove maps, if any run succeeded; ``arrhenius``, a Dict
        with the fit and the conductivity at `extrapolate_to`, unless that is null.
    """
    settings = ConductivityParameters.model_validate(parameters.get_dict())
    statistics, results = inputs.get('statistics', {}), inputs.get('results', {})
    dynamics = {key: node.get_dict() for key, node in inputs.get('dynamics', {}).items()}
    planned = Runs.from_dict(runs.get_dict())
    rows: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    for index, temperature in enumerate(settings.temperatures):
        started = planned.select(what='md', temperature=temperature, size=None)
        good = [run for run in started if run.id in statistics]
        lost = [run for run in started if run.id not in statistics]
        failed = {'runs_failed': [record_of(run) for run in lost]}
        if not good:
            row = {**NOTHING, **failed, 'temperature_K': temperature}
            row['reason'] += error_of_program(lost, dynamics)
            rows.append(judge_runs(row, started, dynamics))
            continue
        pooled = [read_statistics(statistics[run.id], results[run.id].get_dict()) for run in good]
        found = pool(pooled)
        most = {
            f'framework_{name}_A': max(results[run.id][f'framework_{name}_A'] for run in good) for name in FRAMEWORK
        }
        row = describe(found, pooled, temperature, settings.transport.charge)
        split = split_configurations(good, pooled)
        rows.append(judge_runs({**widen(row, split), **failed, **most}, started, dynamics))
        curves |= {
            f'lag_ps_{index:02d}': found.lags,
            f'msd_A2_{index:02d}': found.msd,
            f'msd_error_A2_{index:02d}': found.msd_error,
        }
        maps = average_maps(
            [{n: statistics[run.id].get_array(n) for n in statistics[run.id].get_arraynames()} for run in good]
        )
        curves |= {f'{name}_{index:02d}': values for name, values in maps.items()}
    transport: dict[str, Any] = {'ion': settings.transport.ion, 'temperatures': rows}
    if (size := settings.finite_size) is not None:
        small, large = (planned.select(what='md', temperature=size.temperature, size=name) for name in (None, LARGE))
        transport['finite_size'] = check_size(small, large, statistics, results, dynamics)
    outputs: dict[str, orm.Data] = {'transport': orm.Dict(transport)}
    if curves:
        outputs['curves'] = orm.ArrayData(curves)
    if settings.extrapolate_to is not None:
        outputs['arrhenius'] = orm.Dict(extrapolate(rows, settings.extrapolate_to))
    return outputs


def describe(found: Diffusion, runs: list[Statistics], temperature: float, charge: float) -> dict[str, Any]:
    """Return the row of one temperature; undetermined numbers are null.

    A row is ``diffusive`` if the ions diffuse, which includes that the runs determine the coefficient.

    :param found: diffusion of the pooled runs.
    :param runs: statistics of each run.
    :param temperature: temperature in K.
    :param charge: charge of the mobile ion in elementary charges.
    :returns: diffusivities in cm^2/s, conductivities in mS/cm, volume in A^3, times in ps, and the verdict.
    """
    found = found.reported
    known = found.tracer is not None
    volume, ions = float(np.mean([run.volume for run in runs])), runs[0].ions
    row: dict[str, Any] = {
        'temperature_K': temperature,
        'diffusivity_cm2_s': value_of(found.tracer),
        'error_cm2_s': error_of(found.tracer),
        'diffusive': known,
        'verdict': verdict_of(runs, known),
        'reason': found.verdict.reason,
        'upper_bound_cm2_s': found.upper_bound,
        'estimate_cm2_s': value_of(found.estimate),
        'estimate_error_cm2_s': None if found.estimate is None else found.estimate.spread,
        'exchanges': [None if run.exchanges is None else run.exchanges.to_dict() for run in runs],
        'window_ps': None if found.window is None else list(found.window),
        'msd_line': None if found.line is None else list(found.line),
        'collective_diffusivity_cm2_s': value_of(found.collective),
        'collective_error_cm2_s': error_of(found.collective),
        'haven_ratio': value_of(found.haven),
        'haven_ratio_error': error_of(found.haven),
        'runs': len(runs),
        'ions': ions,
        'volume_A3': volume,
        'duration_ps': sum(run.duration for run in runs),
    }
    for name, estimate in (('nernst_einstein_conductivity', found.tracer), ('conductivity', found.collective)):
        for key, value in ((name, value_of(estimate)), (f'{name}_error', error_of(estimate))):
            determined = value is not None and known
            row[f'{key}_mS_cm'] = conductivity(value or 0.0, ions, volume, temperature, charge) if determined else None
    return row


def verdict_of(runs: list[Statistics], known: bool) -> str:
    """Return the verdict on a temperature: 'melted', 'diffusive' or 'not diffusive'.

    :param runs: statistics of each run.
    :param known: whether the tracer diffusion coefficient is determined.
    """
    if max(run.framework for run in runs) > LARGEST_FRAMEWORK_DISPLACEMENT:
        return 'melted'
    return 'diffusive' if known else 'not diffusive'


def split_configurations(runs: list[Run], found: list[Statistics]) -> Ensemble | None:
    """Return mean and spread of the tracer coefficients (cm^2/s) over configurations.

    :param runs: the record of each run; a configuration is a structure.
    :param found: the statistics of each run, in the same order.
    :returns: None if a coefficient is undetermined, if there is one configuration, or if no configuration has two runs.
    """
    values: dict[str | None, list[float]] = {}
    for run, statistics in zip(runs, found, strict=True):
        tracer = pool([statistics]).reported.tracer
        if tracer is None:
            return None
        values.setdefault(run.structure, []).append(tracer.value)
    if len(values) < 2 or all(len(group) < 2 for group in values.values()):
        return None
    return pool_configurations(list(values.values()))


def widen(row: dict[str, Any], split: Ensemble | None) -> dict[str, Any]:
    """Return ``row`` with the configurational spread added in quadrature to every error.

    Runs of one configuration share its disorder: treated as independent they would give too small an error.

    :param row: the row of one temperature.
    :param split: mean and spread over configurations (cm^2/s), or None, which leaves the row unchanged.
    :returns: the row with larger errors and ``configurations``, the parts of the error in cm^2/s.
    """
    if split is None:
        return row
    part = split.configurational / split.mean / np.sqrt(split.degrees_of_freedom + 1)
    wider = dict(row)
    for value, error in WITH_ERRORS:
        if row[value] is not None and row[error] is not None:
            wider[error] = float(np.hypot(row[error], part * row[value]))
    numbers = ('mean', 'error', 'thermal', 'configurational')
    wider['configurations'] = {f'{name}_cm2_s': getattr(split, name) for name in numbers}
    return wider


def extrapolate(rows: list[dict[str, Any]], temperature: float) -> dict[str, Any]:
    """Fit the Arrhenius line of conductivity times temperature and evaluate it at ``temperature``.

    The collective conductivity is fitted if it is determined at every diffusive temperature, otherwise the
    Nernst-Einstein conductivity.

    :param rows: the rows of all temperatures.
    :param temperature: temperature in K of the extrapolated conductivity.
    :returns: activation energy in eV, conductivity and its interval in mS/cm, line parameters, and checks of the line;
        numbers are null if fewer than `FEWEST_TEMPERATURES` temperatures are diffusive, and ``reason`` states why.
    """
    diffusive = [row for row in rows if row['diffusive']]
    collective = bool(diffusive) and all(row['conductivity_mS_cm'] is not None for row in diffusive)
    name = 'conductivity' if collective else 'nernst_einstein_conductivity'
    answer: dict[str, Any] = {
        'temperature_K': temperature,
        'conductivity_mS_cm': None,
        'interval_mS_cm': None,
        'kind': 'collective' if collective else 'nernst_einstein',
        'activation_energy_eV': None,
        'activation_energy_error_eV': None,
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
        others = ' '.join(f'{row["temperature_K"]:g} K: {row["reason"]}' for row in rows if not row['diffusive'])
        answer['reason'] = (
            f'The ions diffuse at {len(diffusive)} of {len(rows)} temperatures; the fit needs {FEWEST_TEMPERATURES}. '
            f'{others}'
        )
        return answer
    kelvins = np.array([row['temperature_K'] for row in diffusive], dtype=float)
    values = np.array([row[f'{name}_mS_cm'] for row in diffusive])
    errors = np.array([row[f'{name}_error_mS_cm'] for row in diffusive])
    fit = fit_arrhenius(kelvins, values * kelvins, errors * kelvins)
    value, low, high = (number / temperature for number in fit.interval(temperature))
    energy, energy_error = fit.activation_energy
    span = f'the {len(diffusive)} diffusive temperatures from {kelvins.min():g} to {kelvins.max():g} K'
    if collective:
        reason = f'From the collective conductivity at {span}.'
    else:
        reason = f'From the Nernst-Einstein conductivity at {span}: the collective one is undetermined at some of them.'
    checks = check_line(kelvins, values * kelvins, errors * kelvins, temperature)
    left_out = [
        {
            'left_out_K': other.left_out,
            'activation_energy_eV': other.activation_energy[0],
            'activation_energy_error_eV': other.activation_energy[1],
            'conductivity_mS_cm': other.value / temperature,
            'interval_mS_cm': [limit / temperature for limit in other.interval],
        }
        for other in checks.leave_one_out
    ]
    if checks.curvature is not None and checks.curvature.bent:
        reason += ' The line is curved: one activation energy does not describe all temperatures.'
    answer |= {
        'leave_one_out': left_out,
        **checks.curvature_numbers,
        'conductivity_mS_cm': value,
        'interval_mS_cm': [low, high],
        'activation_energy_eV': energy,
        'activation_energy_error_eV': energy_error,
        'intercept': fit.intercept,
        'slope_K': fit.slope,
        'covariance': fit.covariance.tolist(),
        'reduced_chi_squared': fit.reduced_chi_squared,
        'extrapolated': not bool(kelvins.min() <= temperature <= kelvins.max()),
        'reason': reason,
    }
    return answer
