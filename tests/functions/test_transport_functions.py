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


GOOD = {'verdict': 'kept its limits', 'stopped_at': None, 'reason': None, 'density_g_cm3': 1.8, 'density_drift': -0.01}
MOLTEN = {**GOOD, 'verdict': 'melted', 'stopped_at': 500, 'reason': 'the framework is 2.6 A from its sites'}


def test_a_run_that_was_stopped_is_told_and_its_temperature_left_out(aiida_profile):
    rates = [rate_at(kelvin) for kelvin in (600.0, 750.0, 900.0, 1000.0)]
    planned = [f'cell_{t:02d}_{r:02d}' for t in range(4) for r in range(2)]
    given = {f'dynamics_{key}': orm.Dict(GOOD) for key in planned}
    given['dynamics_cell_03_01'] = orm.Dict(MOLTEN)
    given['dynamics_cell_00_00'] = orm.Dict({**GOOD, 'density_drift': 0.04, 'equilibrated': False})
    for index, key in enumerate(planned):
        if key != 'cell_03_01':
            given[f'statistics_{key}'], given[f'results_{key}'] = run(rates[index // 2], index)
    settings = orm.Dict(SETTINGS | {'temperatures': [600.0, 750.0, 900.0, 1000.0]})
    outputs = determine_transport(settings, orm.Dict({'runs': planned}), **given)
    rows = outputs['transport']['temperatures']
    assert [row['verdict'] for row in rows] == ['diffusive'] * 3 + ['melted']
    last = rows[3]
    assert last['reason'] == 'cell_03_01 melted at step 500, one of 2 runs: the framework is 2.6 A from its sites.'
    assert last['stopped'] == [
        {'run': 'cell_03_01', 'verdict': 'melted', 'step': 500, 'reason': 'the framework is 2.6 A from its sites'}
    ]
    # The other replica went on, and is not told: it was lucky.
    assert (last['runs'], last['diffusive'], last['diffusivity_cm2_s']) == (1, False, None)
    assert last['nernst_einstein_conductivity_mS_cm'] is None
    assert last['density_g_cm3'] == pytest.approx(1.8)
    assert outputs['arrhenius']['temperatures_used_K'] == [600, 750, 900]
    assert outputs['arrhenius']['conductivity_mS_cm'] is not None
    assert rows[0]['reason'].endswith('The density still changed by 4.0% as production began: equilibrate longer.')
    assert rows[0]['density_drift'] == 0.04


def test_all_runs_of_a_temperature_were_stopped(aiida_profile):
    planned = orm.Dict({'runs': ['cell_00_00', 'cell_00_01']})
    stopped = {'dynamics_cell_00_00': orm.Dict(MOLTEN), 'dynamics_cell_00_01': orm.Dict({**MOLTEN, 'stopped_at': 90})}
    outputs = determine_transport(orm.Dict(SETTINGS | {'temperatures': [900.0]}), planned, **stopped)
    [row] = outputs['transport']['temperatures']
    assert (row['runs'], row['verdict'], len(row['stopped'])) == (0, 'melted', 2)
    assert row['reason'].startswith('cell_00_00 melted at step 500, as 1 more of 2 runs: ')


@pytest.mark.parametrize(('rate', 'agrees'), [(0.1, True), (0.2, False), (0.0, False)])
def test_a_larger_cell_tells_the_same_or_not(aiida_profile, rate, agrees):
    runs, large = ['cell_00_00', 'cell_00_01'], ['cell_large_00_00', 'cell_large_00_01']
    given = {}
    for index, key in enumerate([*runs, *large]):
        given[f'statistics_{key}'], given[f'results_{key}'] = run(rate if 'large' in key else 0.1, index)
    planned = orm.Dict({'runs': runs, 'large': large})
    settings = orm.Dict(SETTINGS | {'temperatures': [900.0], 'extrapolate_to': None})
    outputs = determine_transport(settings, planned, **given)
    # The larger cells are compared, not pooled.
    assert [row['runs'] for row in outputs['transport']['temperatures']] == [2]
    found = outputs['transport']['finite_size']
    assert (found['temperature_K'], found['agrees']) == (900, agrees)
    if rate:
        small, other = found['diffusivity_cm2_s']
        assert found['difference'] == pytest.approx(other / small - 1)
        assert abs(found['difference'] - (rate / 0.1 - 1)) < 4 * found['difference_error']
        assert ('no effect of the size is seen' if agrees else 'the cell is too small') in found['reason']
    else:
        assert 'Of the cells with 24 and 24 ions only that with 24 diffuses' in found['reason']


def test_a_larger_cell_that_melted_tells_nothing(aiida_profile):
    given = {'dynamics_cell_large_00_00': orm.Dict(MOLTEN)}
    given['statistics_cell_00_00'], given['results_cell_00_00'] = run(0.1, 1)
    planned = orm.Dict({'runs': ['cell_00_00'], 'large': ['cell_large_00_00']})
    outputs = determine_transport(orm.Dict(SETTINGS | {'temperatures': [900.0]}), planned, **given)
    found = outputs['transport']['finite_size']
    assert found['agrees'] is None
    assert found['reason'].startswith('cell_large_00_00 melted: the framework')
    [row] = outputs['transport']['temperatures']
    assert row['stopped'] == []


def test_the_plan_compares_cells(aiida_profile):
    cell = orm.StructureData(cell=np.eye(3).tolist())
    trust = {'limit': 0.5, 'rows': 3, 'high': 5.0, 'interval': 50, 'max_candidates': 7}
    size = {'supercell': [2, 2, 2], 'temperature': 750.0, 'replicas': 3}
    settings = SETTINGS | {'md': {**SETTINGS['md'], 'watch': {'framework_displacement': 2.0}}}
    settings |= {'trust': trust, 'finite_size': size}
    alone = plan_conductivity(orm.Dict(settings), cell=cell)
    assert alone['md_cell_00_00']['watch'] == {'mobile': ['Li'], 'framework_displacement': 2.0}
    assert 'selection' not in alone
    assert alone['supercell_large'].get_dict() == {'supercell': [2, 2, 2]}
    assert alone['runs']['large'] == [f'cell_large_01_{replica:02d}' for replica in range(3)]
    assert alone['md_cell_large_01_02']['temperature'] == 750
    seeds = [node['seed'] for key, node in alone.items() if key.startswith('md_')]
    assert len(set(seeds)) == len(seeds) == 9


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
        'watch': None,
        'temperature': 900.0,
        'seed': derive_seed(3, 'md', 'b_c', 2, 1),
    }
    assert len({plan[key]['seed'] for key in keys}) == 12
    assert plan['transport'].get_dict() == {'ion': 'Li', 'charge': 1.0, 'timestep': 2.0}
    assert plan['supercell'].get_dict() == {'supercell': [1, 1, 1]}


def test_configurations_that_differ_widen_every_error(aiida_profile):
    """Two configurations of one crystal, one of which lets its ions hop twice as often."""
    rates = {'a': 2.0, 'b': 4.0}
    planned = [f'{label}_00_{replica:02d}' for label in rates for replica in range(2)]
    given = {}
    for index, key in enumerate(planned):
        given[f'statistics_{key}'], given[f'results_{key}'] = run(rates[key[0]], index)
    settings = orm.Dict(SETTINGS | {'temperatures': [600.0], 'extrapolate_to': None})
    [row] = determine_transport(settings, orm.Dict({'runs': planned}), **given)['transport']['temperatures']
    parts = row['configurations']
    truths = [rate * LENGTH**2 / (6 * INTERVAL) * 1e-4 for rate in rates.values()]
    assert parts['mean_cm2_s'] == pytest.approx(np.mean(truths), rel=0.15)
    # Two values, so their spread is the difference over the square root of two.
    assert parts['configurational_cm2_s'] == pytest.approx((truths[1] - truths[0]) / np.sqrt(2), rel=0.3)
    assert parts['thermal_cm2_s'] < 0.5 * parts['configurational_cm2_s']
    assert row['error_cm2_s'] > 0.9 * parts['configurational_cm2_s'] / np.sqrt(2)
    factor = row['nernst_einstein_conductivity_mS_cm'] / row['diffusivity_cm2_s']
    assert row['nernst_einstein_conductivity_error_mS_cm'] == pytest.approx(factor * row['error_cm2_s'])
    # Replicas of one configuration are no such thing.
    renamed = {key: key.replace('b_00_0', 'a_00_1') for key in planned}
    alike = {f'{name}_{renamed[key]}': given[f'{name}_{key}'] for name in ('statistics', 'results') for key in planned}
    runs = orm.Dict({'runs': list(renamed.values())})
    assert 'configurations' not in determine_transport(settings, runs, **alike)['transport']['temperatures'][0]
