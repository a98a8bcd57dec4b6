"""From the statistics of all runs to diffusion, conductivity and activation energy."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.transport_runs import check_size, judge_runs, read_statistics
from aiida_dpasse.transport.arrhenius import FEWEST_TEMPERATURES, fit_arrhenius
from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, Statistics, pool
from aiida_dpasse.transport.ensemble import Ensemble, pool_configurations
from aiida_dpasse.transport.estimate import LARGEST_RELATIVE_ERROR, error_of, value_of
from aiida_dpasse.transport.maps import average_maps
from aiida_dpasse.transport.regime import LARGEST_FRAMEWORK_DISPLACEMENT

#: What the framework did, by the largest of all runs.
FRAMEWORK = ('displacement', 'drift')
#: Values that what configurations differ by belongs to, and their errors.
WITH_ERRORS = (
    ('diffusivity_cm2_s', 'error_cm2_s'),
    ('collective_diffusivity_cm2_s', 'collective_error_cm2_s'),
    ('conductivity_mS_cm', 'conductivity_error_mS_cm'),
    ('nernst_einstein_conductivity_mS_cm', 'nernst_einstein_conductivity_error_mS_cm'),
)
#: The row of a temperature at which no run ended well.
NOTHING: dict[str, Any] = {
    'diffusivity_cm2_s': None,
    'error_cm2_s': None,
    'conductivity_mS_cm': None,
    'nernst_einstein_conductivity_mS_cm': None,
    'haven_ratio': None,
    'runs': 0,
    'diffusive': False,
    'verdict': 'no run ended well',
    'reason': 'No run ended well: see the exit messages of the runs that failed.',
}


@calcfunction
def determine_transport(parameters: orm.Dict, planned: orm.Dict, **runs: orm.Data) -> dict[str, orm.Data]:
    """Return ``transport`` (by temperature), ``arrhenius`` (the fit, and sigma at `extrapolate_to`) and ``curves``.

    :param parameters: those of the conductivity chain.
    :param planned: under ``runs``, ``<label>_<t>_<r>`` of all runs that were started, and under ``large`` those of the
        larger cells.
    :param runs: outputs of `dpasse.transport`, ``statistics_<label>_<t>_<r>`` and ``results_<label>_<t>_<r>``, of those
        that ended well, and ``dynamics_<label>_<t>_<r>``, the results of `dpasse.md`. Those that ended otherwise are
        listed as ``runs_failed``, and as ``stopped`` if they crossed a limit.
    """
    given = {'hop_length': 2.5, 'transport': {}, **parameters.get_dict()}
    statistics, results, dynamics = (
        {key.removeprefix(kind): node for key, node in runs.items() if key.startswith(kind)}
        for kind in ('statistics_', 'results_', 'dynamics_')
    )
    dynamics = {key: node.get_dict() for key, node in dynamics.items()}
    rows: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    for index, temperature in enumerate(given['temperatures']):
        started = [key for key in planned['runs'] if key.split('_')[-2] == f'{index:02d}']
        keys = [key for key in started if key in statistics]
        failed = {'runs_failed': [key for key in started if key not in statistics]}
        if not keys:
            rows.append(judge_runs({**NOTHING, **failed, 'temperature_K': temperature}, started, dynamics))
            continue
        pooled = [read_statistics(statistics[key], results[key].get_dict()) for key in keys]
        found = pool(pooled, given['hop_length'])
        most = {f'framework_{name}_A': max(results[key][f'framework_{name}_A'] for key in keys) for name in FRAMEWORK}
        row = describe(found, pooled, temperature, given['transport'].get('charge', 1.0))
        split = split_configurations(keys, pooled, given['hop_length'])
        rows.append(judge_runs({**widen(row, split), **failed, **most}, started, dynamics))
        curves |= {
            f'lag_ps_{index:02d}': found.lags,
            f'msd_A2_{index:02d}': found.msd,
            f'msd_error_A2_{index:02d}': found.msd_error,
        }
        maps = average_maps(
            [{n: statistics[key].get_array(n) for n in statistics[key].get_arraynames()} for key in keys]
        )
        curves |= {f'{name}_{index:02d}': values for name, values in maps.items()}
    transport = {'ion': given['transport'].get('ion', 'Li'), 'temperatures': rows}
    if large := planned.get_dict().get('large'):
        transport['finite_size'] = check_size(given, planned['runs'], large, statistics, results, dynamics)
    outputs: dict[str, orm.Data] = {'transport': orm.Dict(transport)}
    if curves:
        outputs['curves'] = orm.ArrayData(curves)
    if given.get('extrapolate_to') is not None:
        outputs['arrhenius'] = orm.Dict(extrapolate(rows, given['extrapolate_to']))
    return outputs


def describe(found: Diffusion, runs: list[Statistics], temperature: float, charge: float) -> dict[str, Any]:
    """Return the row of one temperature; undetermined numbers are null.

    It is ``diffusive`` if the ions diffuse and the runs tell how fast.
    """
    found = found.told
    told, reason = found.tracer is not None, found.verdict.reason
    if found.verdict.diffusive and not told:
        reason = f'The ions diffuse, how fast is not known to {LARGEST_RELATIVE_ERROR:.0%}: run longer or add replicas.'
    volume, ions = float(np.mean([run.volume for run in runs])), runs[0].ions
    row: dict[str, Any] = {
        'temperature_K': temperature,
        'diffusivity_cm2_s': value_of(found.tracer),
        'error_cm2_s': error_of(found.tracer),
        'diffusive': told,
        'verdict': verdict_of(runs, told),
        'reason': reason,
        'msd_slope': found.verdict.slope,
        'hops': found.verdict.hops,
        'window_ps': None if found.fit is None else list(found.fit.window),
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
            known = value is not None and told
            row[f'{key}_mS_cm'] = conductivity(value or 0.0, ions, volume, temperature, charge) if known else None
    return row


def verdict_of(runs: list[Statistics], told: bool) -> str:
    """Return the row's verdict in two words at most."""
    if max(run.framework for run in runs) > LARGEST_FRAMEWORK_DISPLACEMENT:
        return 'melted'
    return 'diffusive' if told else 'not diffusive'


def split_configurations(keys: list[str], runs: list[Statistics], hop_length: float) -> Ensemble | None:
    """Return mean and spread of the tracer coefficients of several configurations, None if the runs do not tell them.

    :param keys: ``<label>_<t>_<r>`` of each run; a label is a configuration.
    """
    values: dict[str, list[float]] = {}
    for key, run in zip(keys, runs, strict=True):
        tracer = pool([run], hop_length).told.tracer
        if tracer is None:
            return None
        values.setdefault(key.rsplit('_', 2)[0], []).append(tracer.value)
    if len(values) < 2 or all(len(group) < 2 for group in values.values()):
        return None
    return pool_configurations(list(values.values()))


def widen(row: dict[str, Any], split: Ensemble | None) -> dict[str, Any]:
    """Return ``row`` with what configurations differ by in every error, and ``configurations`` that tells it.

    Runs of one configuration share its disorder: taken for independent they would tell too small an error.
    """
    if split is None:
        return row
    part = split.configurational / split.mean / np.sqrt(split.freedom + 1)
    wider = dict(row)
    for value, error in WITH_ERRORS:
        if row[value] is not None and row[error] is not None:
            wider[error] = float(np.hypot(row[error], part * row[value]))
    numbers = ('mean', 'error', 'thermal', 'configurational')
    wider['configurations'] = {f'{name}_cm2_s': getattr(split, name) for name in numbers}
    return wider


def extrapolate(rows: list[dict[str, Any]], temperature: float) -> dict[str, Any]:
    """Return activation energy and conductivity at ``temperature``, null with the reason if they are undetermined.

    The collective conductivity is taken if it is determined at every diffusive temperature, else Nernst-Einstein's.
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
        'temperatures_used_K': [row['temperature_K'] for row in diffusive],
    }
    if len({row['temperature_K'] for row in diffusive}) < FEWEST_TEMPERATURES:
        others = ' '.join(f'{row["temperature_K"]:g} K: {row["reason"]}' for row in rows if not row['diffusive'])
        answer['reason'] = (
            f'{len(diffusive)} of {len(rows)} temperatures are diffusive and {FEWEST_TEMPERATURES} are needed. {others}'
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
        reason = f'From {span}; the collective conductivity is not determined at each: no correlations are counted.'
    answer |= {
        'conductivity_mS_cm': value,
        'interval_mS_cm': [low, high],
        'activation_energy_eV': energy,
        'activation_energy_error_eV': energy_error,
        'intercept': fit.intercept,
        'slope_K': fit.slope,
        'covariance': fit.covariance.tolist(),
        'misfit': fit.misfit,
        'extrapolated': not bool(kelvins.min() <= temperature <= kelvins.max()),
        'reason': reason,
    }
    return answer
