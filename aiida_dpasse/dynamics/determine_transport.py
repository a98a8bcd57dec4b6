"""Diffusion, conductivity and activation energy from the statistics of all runs."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.dynamics.plan_conductivity import LARGE
from aiida_dpasse.dynamics.transport_line import extrapolate
from aiida_dpasse.dynamics.transport_row import describe
from aiida_dpasse.dynamics.transport_runs import (
    check_size,
    error_of_program,
    judge_runs,
    read_statistics,
    record_of,
)
from aiida_dpasse.runs import Runs
from aiida_dpasse.transport.maps import average_maps

#: Displacement and drift of the framework; a row has the largest value of its runs.
FRAMEWORK = ('displacement', 'drift')
#: The row of a temperature at which no run succeeded.
NOTHING: dict[str, Any] = {
    'diffusivity_cm2_s': None,
    'error_cm2_s': None,
    'conductivity_mS_cm': None,
    'nernst_einstein_conductivity_mS_cm': None,
    'haven_ratio': None,
    'variance': None,
    'counts': [],
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
        read = [(run, read_statistics(statistics[run.id], results[run.id].get_dict())) for run in good]
        found, row = describe(read, temperature, settings.transport.charge)
        most = {
            f'framework_{name}_A': max(results[run.id][f'framework_{name}_A'] for run in good) for name in FRAMEWORK
        }
        rows.append(judge_runs({**row, **failed, **most}, started, dynamics))
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
