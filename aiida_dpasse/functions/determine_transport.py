"""From the statistics of all runs to diffusion, conductivity and activation energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.transport.arrhenius import FEWEST_TEMPERATURES, fit_arrhenius
from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, Statistics, pool

#: What the framework did, by the largest of all runs.
FRAMEWORK = ('displacement', 'drift')
#: The row of a temperature at which no run ended well.
NOTHING: dict[str, Any] = {
    'diffusivity_cm2_s': None,
    'error_cm2_s': None,
    'conductivity_mS_cm': None,
    'nernst_einstein_conductivity_mS_cm': None,
    'haven_ratio': None,
    'runs': 0,
    'diffusive': False,
    'reason': 'No run ended well: see the exit messages of the runs that failed.',
}


@calcfunction
def determine_transport(parameters: orm.Dict, planned: orm.Dict, **runs: orm.Data) -> dict[str, orm.Data]:
    """Return ``transport`` (by temperature), ``arrhenius`` (the fit, and sigma at `extrapolate_to`) and ``curves``.

    :param parameters: those of the conductivity chain.
    :param planned: under ``runs``, ``<label>_<t>_<r>`` of all runs that were started.
    :param runs: outputs of `dpasse.transport`, ``statistics_<label>_<t>_<r>`` and ``results_<label>_<t>_<r>``, of those
        that ended well; the others are listed as ``runs_failed``.
    """
    given = {'hop_length': 2.5, 'transport': {}, **parameters.get_dict()}
    statistics = {key.removeprefix('statistics_'): node for key, node in runs.items() if key.startswith('statistics_')}
    results = {key.removeprefix('results_'): node for key, node in runs.items() if key.startswith('results_')}
    rows: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    for index, temperature in enumerate(given['temperatures']):
        started = [key for key in planned['runs'] if key.split('_')[-2] == f'{index:02d}']
        keys = [key for key in started if key in statistics]
        failed = {'runs_failed': [key for key in started if key not in statistics]}
        if not keys:
            rows.append({**NOTHING, **failed, 'temperature_K': temperature})
            continue
        pooled = [read_statistics(statistics[key], results[key].get_dict()) for key in keys]
        found = pool(pooled, given['hop_length'])
        most = {f'framework_{name}_A': max(results[key][f'framework_{name}_A'] for key in keys) for name in FRAMEWORK}
        row = describe(found, pooled, temperature, given['transport'].get('charge', 1.0))
        rows.append({**row, **failed, **most})
        curves |= {
            f'lag_ps_{index:02d}': found.lags,
            f'msd_A2_{index:02d}': found.msd,
            f'msd_error_A2_{index:02d}': found.msd_error,
        }
    outputs = {'transport': orm.Dict({'ion': given['transport'].get('ion', 'Li'), 'temperatures': rows})}
    if curves:
        outputs['curves'] = orm.ArrayData(curves)
    if given.get('extrapolate_to') is not None:
        outputs['arrhenius'] = orm.Dict(extrapolate(rows, given['extrapolate_to']))
    return outputs


def read_statistics(node: orm.ArrayData, result: Mapping[str, Any]) -> Statistics:
    """Return the statistics of one run."""
    return Statistics(
        lags=node.get_array('lag_ps'),
        msd=node.get_array('msd_A2'),
        collective=node.get_array('collective_A2'),
        frames=result['frames'],
        interval=result['interval_ps'],
        ions=result['ions'],
        volume=result['volume_A3'],
        framework=result['framework_displacement_A'],
    )


def describe(found: Diffusion, runs: list[Statistics], temperature: float, charge: float) -> dict[str, Any]:
    """Return the row of one temperature; undetermined numbers are null."""
    volume, ions = float(np.mean([run.volume for run in runs])), runs[0].ions
    row: dict[str, Any] = {
        'temperature_K': temperature,
        'diffusivity_cm2_s': found.tracer,
        'error_cm2_s': found.tracer_error,
        'diffusive': found.verdict.diffusive,
        'reason': found.verdict.reason,
        'msd_slope': found.verdict.slope,
        'hops': found.verdict.hops,
        'window_ps': None if found.fit is None else list(found.fit.window),
        'collective_diffusivity_cm2_s': found.collective,
        'collective_error_cm2_s': found.collective_error,
        'haven_ratio': found.haven,
        'haven_ratio_error': found.haven_error,
        'runs': len(runs),
        'ions': ions,
        'volume_A3': volume,
        'duration_ps': sum(run.duration for run in runs),
    }
    for name, diffusivity, error in (
        ('nernst_einstein_conductivity', found.tracer, found.tracer_error),
        ('conductivity', found.collective, found.collective_error),
    ):
        for key, value in ((name, diffusivity), (f'{name}_error', error)):
            known = value is not None and found.verdict.diffusive
            row[f'{key}_mS_cm'] = conductivity(value or 0.0, ions, volume, temperature, charge) if known else None
    return row


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
