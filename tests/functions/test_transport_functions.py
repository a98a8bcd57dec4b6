"""From statistics to a conductivity: exact lines, honest blanks, and every run named."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.functions.determine_transport import determine_transport
from aiida_dpasse.functions.plan_conductivity import plan_conductivity
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV, conductivity
from aiida_dpasse.transport.displacement import collective_square_displacement, mean_square_displacement

LENGTH, INTERVAL, IONS, VOLUME = 2.5, 0.05, 24, 1000.0
SETTINGS = {
    'supercell': [1, 1, 1],
    'temperatures': [600.0, 750.0, 900.0],
    'replicas': 2,
    'md': {'ensemble': 'nvt', 'timestep': 2.0, 'steps': 10, 'trajectory_interval': 5},
    'transport': {'ion': 'Li', 'charge': 1.0},
    'hop_length': LENGTH,
    'extrapolate_to': 300.0,
    'seed': 3,
}


def run(rate: float, seed: int, framework: float = 0.4) -> tuple[orm.ArrayData, orm.Dict]:
    """Return the outputs of a transport job of ions that hop ``rate`` times a frame."""
    rng = np.random.default_rng(seed)
    frames = 301
    forward, backward = rng.poisson(rate / 6, size=(2, frames, IONS, 3))
    positions = np.cumsum(LENGTH * (forward - backward), axis=0)
    positions = positions + rng.normal(scale=0.2, size=positions.shape)
    count = frames // 2 + 1
    arrays = {
        'lag_ps': np.arange(count) * INTERVAL,
        'msd_A2': mean_square_displacement(positions)[:count],
        'collective_A2': collective_square_displacement(positions, np.ones(IONS))[:count],
    }
    results = {'frames': frames, 'interval_ps': INTERVAL, 'ions': IONS, 'volume_A3': VOLUME}
    return orm.ArrayData(arrays), orm.Dict({**results, 'framework_drift_A': 0.1, 'framework_displacement_A': framework})


def determine(rates, lost=(), **changes):
    """Pool two runs a temperature with these hops a frame, but for those that are ``lost``."""
    planned = [f'cell_{t:02d}_{r:02d}' for t in range(len(rates)) for r in range(2)]
    given = {}
    for index, key in enumerate(planned):
        if key not in lost:
            given[f'statistics_{key}'], given[f'results_{key}'] = run(rates[index // 2], index)
    return determine_transport(orm.Dict(SETTINGS | changes), orm.Dict({'runs': planned}), **given)


def rate_at(temperature: float) -> float:
    """Hops a frame with an activation energy of 0.25 eV."""
    return float(2.0 * np.exp(-0.25 / (BOLTZMANN_EV * temperature)))


def test_a_known_activation_energy_comes_back(aiida_profile):
    outputs = determine([rate_at(temperature) for temperature in SETTINGS['temperatures']])
    rows, fit = outputs['transport']['temperatures'], outputs['arrhenius'].get_dict()
    for row in rows:
        truth = rate_at(row['temperature_K']) * LENGTH**2 / (6 * INTERVAL) * 1e-4
        assert row['diffusive'], row['reason']
        assert abs(row['diffusivity_cm2_s'] - truth) < 3.5 * row['error_cm2_s']
        factor = conductivity(1.0, IONS, VOLUME, row['temperature_K'])
        assert row['nernst_einstein_conductivity_mS_cm'] == pytest.approx(factor * row['diffusivity_cm2_s'])
        assert row['nernst_einstein_conductivity_error_mS_cm'] == pytest.approx(factor * row['error_cm2_s'])
        assert (row['runs'], row['runs_failed']) == (2, [])
    assert abs(fit['activation_energy_eV'] - 0.25) < 3 * fit['activation_energy_error_eV']
    assert 0.005 < fit['activation_energy_error_eV'] < 0.05
    low, high = fit['interval_mS_cm']
    assert low < fit['conductivity_mS_cm'] < high
    assert fit['extrapolated'] is True
    assert fit['temperature_K'] == 300
    truth = conductivity(rate_at(300) * LENGTH**2 / (6 * INTERVAL) * 1e-4, IONS, VOLUME, 300.0)
    assert abs(np.log(fit['conductivity_mS_cm'] / truth)) < 3 * np.log(high / low) / 2
    assert fit['kind'] == 'nernst_einstein'
    assert 'the collective conductivity is not determined at each' in fit['reason']
    curves = outputs['curves']
    assert {f'{name}_{index:02d}' for name in ('lag_ps', 'msd_A2', 'msd_error_A2') for index in range(3)} == set(
        curves.get_arraynames()
    )


def test_ions_at_rest_are_undetermined_with_a_reason(aiida_profile):
    outputs = determine([0.05, 0.0, 0.1])
    rows, fit = outputs['transport']['temperatures'], outputs['arrhenius'].get_dict()
    assert [row['diffusive'] for row in rows] == [True, False, True]
    assert rows[1]['diffusivity_cm2_s'] is None
    assert rows[1]['nernst_einstein_conductivity_mS_cm'] is None
    assert (fit['conductivity_mS_cm'], fit['activation_energy_eV'], fit['interval_mS_cm']) == (None, None, None)
    assert fit['reason'].startswith('2 of 3 temperatures are diffusive and 3 are needed. 750 K: ')
    assert fit['temperatures_used_K'] == [600, 900]


def test_one_molten_run_spoils_its_temperature(aiida_profile):
    given = {}
    for replica, framework in enumerate((0.5, 4.0)):
        key = f'cell_00_{replica:02d}'
        given[f'statistics_{key}'], given[f'results_{key}'] = run(0.1, replica, framework)
    planned = orm.Dict({'runs': ['cell_00_00', 'cell_00_01']})
    [row] = determine_transport(orm.Dict(SETTINGS | {'temperatures': [900.0]}), planned, **given)['transport'][
        'temperatures'
    ]
    assert not row['diffusive']
    assert row['framework_displacement_A'] == 4.0
    assert row['nernst_einstein_conductivity_mS_cm'] is None
    assert row['reason'].startswith('The framework itself moved by 4 A')


def test_lost_runs_are_named(aiida_profile):
    outputs = determine([0.05, 0.07, 0.1], lost=('cell_00_01', 'cell_01_00', 'cell_01_01'))
    rows = outputs['transport']['temperatures']
    assert [row['runs'] for row in rows] == [1, 0, 2]
    assert [row['runs_failed'] for row in rows] == [['cell_00_01'], ['cell_01_00', 'cell_01_01'], []]
    assert rows[1]['reason'].startswith('No run ended well')
    assert rows[1]['diffusivity_cm2_s'] is None
    assert 'msd_A2_01' not in outputs['curves'].get_arraynames()
    assert outputs['arrhenius']['conductivity_mS_cm'] is None


def test_without_an_extrapolation_no_line_is_fitted(aiida_profile):
    outputs = determine([0.1], temperatures=[800.0], extrapolate_to=None)
    assert set(outputs) == {'transport', 'curves'}


def test_the_collective_conductivity_is_taken_where_it_is_determined(aiida_profile):
    planned = [f'cell_{t:02d}_{r:02d}' for t in range(3) for r in range(4)]
    given = {}
    for index, key in enumerate(planned):
        given[f'statistics_{key}'], given[f'results_{key}'] = run(0.2 + 0.05 * (index // 4), 50 + index)
    outputs = determine_transport(orm.Dict(SETTINGS), orm.Dict({'runs': planned}), **given)
    assert outputs['arrhenius']['kind'] == 'collective'
    for row in outputs['transport']['temperatures']:
        assert abs(row['haven_ratio'] - 1) < 3.5 * row['haven_ratio_error']
        assert row['conductivity_mS_cm'] is not None


def test_every_run_has_its_place_and_its_own_seed(aiida_profile):
    structures = {label: orm.StructureData(cell=np.eye(3).tolist()) for label in ('a', 'b_c')}
    plan = plan_conductivity(orm.Dict(SETTINGS), **structures)
    keys = [key for key in plan if key.startswith('md_')]
    assert len(keys) == 12
    assert plan['runs']['runs'] == [key.removeprefix('md_') for key in keys]
    assert plan['md_b_c_02_01'].get_dict() == {
        **SETTINGS['md'],
        'temperature': 900.0,
        'seed': derive_seed(3, 'md', 'b_c', 2, 1),
    }
    assert len({plan[key]['seed'] for key in keys}) == 12
    assert plan['transport'].get_dict() == {'ion': 'Li', 'charge': 1.0, 'timestep': 2.0}
    assert plan['supercell'].get_dict() == {'supercell': [1, 1, 1]}
