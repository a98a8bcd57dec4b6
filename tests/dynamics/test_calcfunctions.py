"""From statistics to a conductivity: exact lines, honest blanks, and every run named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.cli.arrhenius import describe
from aiida_dpasse.cli.columns import Measurements
from aiida_dpasse.dynamics.determine_transport import determine_transport
from aiida_dpasse.dynamics.plan_conductivity import check_committee, plan_conductivity
from aiida_dpasse.dynamics.transport_line import extrapolate
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV, conductivity
from aiida_dpasse.transport.moments import moments

LENGTH, INTERVAL, IONS, VOLUME = 2.5, 0.05, 24, 1000.0
SETTINGS = {
    'supercell': [1, 1, 1],
    'temperatures': [600.0, 750.0, 900.0],
    'replicas': 2,
    'md': {'ensemble': 'nvt', 'timestep': 2.0, 'steps': 10, 'trajectory_interval': 5},
    'transport': {'ion': 'Li', 'charge': 1.0},
    'extrapolate_to': 300.0,
    'seed': 3,
}


def run(rate: float | tuple[float, float, float], seed: int, framework: float = 0.4) -> tuple[orm.ArrayData, orm.Dict]:
    """Return the outputs of a transport job of ions that hop ``rate`` times a frame, in all or along each axis."""
    rng = np.random.default_rng(seed)
    frames = 301
    forward, backward = rng.poisson(np.asarray(rate) / 6, size=(2, frames, IONS, 3))
    positions = np.cumsum(LENGTH * (forward - backward), axis=0)
    positions = positions + rng.normal(scale=0.2, size=positions.shape)
    arrays = moments(positions, INTERVAL)
    results = {'frames': frames, 'interval_ps': INTERVAL, 'ions': IONS, 'volume_A3': VOLUME}
    return orm.ArrayData(arrays), orm.Dict({**results, 'framework_drift_A': 0.1, 'framework_displacement_A': framework})


def planned(temperatures, replicas=2, **fields) -> list[Run]:
    """Return the runs of one cell, by temperature and replica."""
    conditions = [(kelvin, replica) for kelvin in temperatures for replica in range(replicas)]
    record = {'structure': 'cell', **fields}
    return [
        Run('md', number, temperature=kelvin, replica=replica, **record)
        for number, (kelvin, replica) in enumerate(conditions)
    ]


def pooled(runs, rates, lost=(), dynamics=None, **changes):
    """Determine the transport of ``runs`` with these hops a frame, but for the numbers in ``lost``."""
    found = {one.id: run(rate, one.number) for one, rate in zip(runs, rates, strict=True) if one.number not in lost}
    return determine_transport(
        orm.Dict(SETTINGS | changes),
        orm.Dict(Runs(runs).to_dict()),
        statistics={key: statistics for key, (statistics, _) in found.items()},
        results={key: results for key, (_, results) in found.items()},
        dynamics={runs[number].id: orm.Dict(result) for number, result in (dynamics or {}).items()},
    )


def determine(rates, lost=(), **changes):
    """Pool two runs a temperature with these hops a frame, but for those that are ``lost``."""
    kelvins = changes.get('temperatures', SETTINGS['temperatures'])
    return pooled(planned(kelvins), np.repeat(rates, 2), lost, **changes)


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
    assert fit['kind'] == 'collective'
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
    assert '750 K: ' in fit['reason']
    assert fit['temperatures_used_K'] == [600, 900]


def test_one_molten_run_spoils_its_temperature(aiida_profile):
    runs = planned([900.0])
    found = [run(0.1, one.number, framework) for one, framework in zip(runs, (0.5, 4.0), strict=True)]
    outputs = determine_transport(
        orm.Dict(SETTINGS | {'temperatures': [900.0]}),
        orm.Dict(Runs(runs).to_dict()),
        statistics={one.id: statistics for one, (statistics, _) in zip(runs, found, strict=True)},
        results={one.id: results for one, (_, results) in zip(runs, found, strict=True)},
    )
    [row] = outputs['transport']['temperatures']
    assert not row['diffusive']
    assert row['framework_displacement_A'] == 4.0
    assert row['nernst_einstein_conductivity_mS_cm'] is None
    assert ' 4 A' in row['reason']


GOOD = {'verdict': 'kept its limits', 'stopped_at': None, 'reason': None, 'density_g_cm3': 1.8, 'density_drift': -0.01}
MOLTEN = {**GOOD, 'verdict': 'melted', 'stopped_at': 500, 'reason': 'the framework is 2.6 A from its sites'}


def test_a_run_that_was_stopped_is_named_and_its_temperature_left_out(aiida_profile):
    kelvins = [600.0, 750.0, 900.0, 1000.0]
    dynamics = dict.fromkeys(range(8), GOOD)
    dynamics |= {7: MOLTEN, 0: {**GOOD, 'density_drift': 0.04, 'equilibrated': False}}
    rates = np.repeat([rate_at(kelvin) for kelvin in kelvins], 2)
    outputs = pooled(planned(kelvins), rates, [7], dynamics, temperatures=kelvins)
    rows = outputs['transport']['temperatures']
    assert [row['verdict'] for row in rows] == ['diffusive'] * 3 + ['melted']
    last = rows[3]
    assert 'md_0007_cell_1000K_r1' in last['reason']
    assert last['stopped'] == [
        {
            'id': 'md_0007',
            'what': 'md',
            'number': 7,
            'structure': 'cell',
            'temperature': 1000.0,
            'replica': 1,
            'run': 'md_0007_cell_1000K_r1',
            'verdict': 'melted',
            'step': 500,
            'reason': MOLTEN['reason'],
        }
    ]
    # The other replica continued, but its diffusivity is not reported: the selection would be biased.
    assert (last['runs'], last['diffusive'], last['diffusivity_cm2_s']) == (1, False, None)
    assert last['nernst_einstein_conductivity_mS_cm'] is None
    assert (last['variance'], last['counts'], last['groups']) == (None, [], [])
    assert (last['tensor_cm2_s'], last['anisotropy'], last['anisotropy_error']) == (None, None, None)
    assert rows[2]['anisotropy'] is not None
    assert last['density_g_cm3'] == pytest.approx(1.8)
    assert outputs['arrhenius']['temperatures_used_K'] == [600, 750, 900]
    assert outputs['arrhenius']['conductivity_mS_cm'] is not None
    assert '4.0%' in rows[0]['reason']
    assert rows[0]['density_drift'] == 0.04


def test_all_runs_of_a_temperature_were_stopped(aiida_profile):
    stopped = {0: MOLTEN, 1: {**MOLTEN, 'stopped_at': 90}}
    outputs = pooled(planned([900.0]), [0.1, 0.1], [0, 1], stopped, temperatures=[900.0])
    [row] = outputs['transport']['temperatures']
    assert (row['runs'], row['verdict'], len(row['stopped'])) == (0, 'melted', 2)
    assert 'md_0000_cell_900K_r0' in row['reason']


def test_the_error_of_the_program_is_in_the_reason(aiida_profile):
    failed = {1: {**GOOD, 'error': 'Variable way: Divide by 0 in variable formula'}}
    outputs = pooled(planned([900.0]), [0.1, 0.1], [0, 1], failed, temperatures=[900.0])
    [row] = outputs['transport']['temperatures']
    assert row['diffusive'] is False
    assert 'md_0001_cell_900K_r1' in row['reason']
    assert failed[1]['error'] in row['reason']


SIZE = {'supercell': [2, 2, 2], 'temperature': 900.0}


def larger(runs: list[Run]) -> list[Run]:
    """Return ``runs`` and the same in a larger cell."""
    return [*runs, *(replace(one, number=len(runs) + one.number, size='large') for one in runs)]


@pytest.mark.parametrize(('rate', 'agrees'), [(0.1, True), (0.2, False), (0.0, False)])
def test_a_larger_cell_gives_the_same_or_not(aiida_profile, rate, agrees):
    runs = larger(planned([900.0]))
    rates = [rate if one.size else 0.1 for one in runs]
    outputs = pooled(runs, rates, temperatures=[900.0], extrapolate_to=None, finite_size=SIZE)
    # The larger cells are compared, not pooled.
    assert [row['runs'] for row in outputs['transport']['temperatures']] == [2]
    found = outputs['transport']['finite_size']
    assert (found['temperature_K'], found['agrees']) == (900, agrees)
    if rate:
        small, other = found['diffusivity_cm2_s']
        assert found['difference'] == pytest.approx(other / small - 1)
        assert abs(found['difference'] - (rate / 0.1 - 1)) < 4 * found['difference_error']
        assert f'{found["difference"]:+.0%}' in found['reason']
    else:
        assert found['difference'] is None
        assert '24' in found['reason']


def test_a_larger_cell_that_melted_is_not_compared(aiida_profile):
    runs = larger(planned([900.0], replicas=1))
    outputs = pooled(runs, [0.1, 0.1], [1], {1: MOLTEN}, temperatures=[900.0], finite_size=SIZE)
    found = outputs['transport']['finite_size']
    assert found['agrees'] is None
    assert found['reason'].startswith('md_0001_cell_900K_nlarge_r0 melted')
    assert [(lost['id'], lost['size']) for lost in found['runs_failed']] == [('md_0001', 'large')]
    [row] = outputs['transport']['temperatures']
    assert row['stopped'] == []


def test_the_plan_compares_cells(aiida_profile):
    cell = orm.StructureData(cell=np.eye(3).tolist())
    trust = {'limit': 0.5, 'rows': 3, 'high': 5.0, 'interval': 50, 'max_candidates': 7}
    size = {'supercell': [2, 2, 2], 'temperature': 750.0, 'replicas': 3}
    settings = SETTINGS | {'md': {**SETTINGS['md'], 'watch': {'framework_displacement': 2.0}}}
    settings |= {'trust': trust, 'finite_size': size}
    alone = plan_conductivity(orm.Dict(settings), structures={'cell': cell})
    watch = alone['md']['md_0000']['watch']
    assert (watch['mobile'], watch['framework_displacement'], watch['deviation']) == (['Li'], 2.0, None)
    assert 'selection' not in alone
    assert alone['supercell_large'].get_dict() == {'supercell': [2, 2, 2]}
    large = Runs.from_dict(alone['runs'].get_dict()).select(size='large')
    assert [(one.temperature, one.replica) for one in large] == [(750.0, replica) for replica in range(3)]
    assert all(alone['md'][one.id]['temperature'] == 750 for one in large)
    seeds = [node['seed'] for node in alone['md'].values()]
    assert len(set(seeds)) == len(seeds) == 9


def test_any_label_is_a_run_of_its_own(aiida_profile):
    """Labels that a link or a parameter also has, and one that looks like the larger cell of another."""
    labels = ('a', 'a_large', 'parameters', 'metadata', 'other')
    structures = {
        label: orm.StructureData(cell=(np.eye(3) * (3 + place)).tolist()) for place, label in enumerate(labels)
    }
    settings = SETTINGS | {'temperatures': [750.0], 'finite_size': {'supercell': [2, 2, 2], 'temperature': 750.0}}
    plan = plan_conductivity(orm.Dict(settings | {'replicas': 1}), structures=structures)
    runs = Runs.from_dict(plan['runs'].get_dict())
    assert {(one.structure, one.size) for one in runs.values()} == {
        (label, size) for label in labels for size in (None, 'large')
    }
    assert len(plan['md']) == len(runs) == 10


def test_lost_runs_are_named(aiida_profile):
    outputs = determine([0.05, 0.07, 0.1], lost=(1, 2, 3))
    rows = outputs['transport']['temperatures']
    assert [row['runs'] for row in rows] == [1, 0, 2]
    assert [[lost['id'] for lost in row['runs_failed']] for row in rows] == [['md_0001'], ['md_0002', 'md_0003'], []]
    assert rows[0]['runs_failed'][0] == {
        'id': 'md_0001',
        'what': 'md',
        'number': 1,
        'structure': 'cell',
        'temperature': 600.0,
        'replica': 1,
    }
    assert (rows[1]['runs'], rows[1]['verdict']) == (0, 'no run ended well')
    assert rows[1]['diffusivity_cm2_s'] is None
    assert 'msd_A2_01' not in outputs['curves'].get_arraynames()
    assert outputs['arrhenius']['conductivity_mS_cm'] is None


def test_without_an_extrapolation_no_line_is_fitted(aiida_profile):
    outputs = determine([0.1], temperatures=[800.0], extrapolate_to=None)
    assert set(outputs) == {'transport', 'curves'}


def test_the_collective_conductivity_is_taken_where_it_is_determined(aiida_profile):
    runs = [replace(one, number=50 + one.number) for one in planned(SETTINGS['temperatures'], replicas=4)]
    outputs = pooled(runs, np.repeat([0.2, 0.25, 0.3], 4))
    assert outputs['arrhenius']['kind'] == 'collective'
    for row in outputs['transport']['temperatures']:
        assert abs(row['haven_ratio'] - 1) < 3.5 * row['haven_ratio_error']
        assert row['conductivity_mS_cm'] is not None


def test_every_run_has_its_place_and_its_own_seed(aiida_profile):
    structures = {label: orm.StructureData(cell=np.eye(3).tolist()) for label in ('a', 'b_c')}
    plan = plan_conductivity(orm.Dict(SETTINGS), structures=structures)
    runs = Runs.from_dict(plan['runs'].get_dict())
    assert len(runs) == len(plan['md']) == 12
    last = runs['md_0011']
    assert (last.structure, last.temperature, last.replica) == ('b_c', 900.0, 1)
    given = plan['md'][last.id].get_dict()
    assert given == MDParameters.model_validate(given).model_dump()
    assert {name: given[name] for name in SETTINGS['md']} == SETTINGS['md']
    assert (given['temperature'], given['seed']) == (900.0, derive_seed(3, 'md', 11))
    assert len({node['seed'] for node in plan['md'].values()}) == 12
    assert plan['transport'].get_dict() == {
        'ion': 'Li',
        'charge': 1.0,
        'timestep': 2.0,
        'max_frames': 4000,
        'van_hove_range': 8.0,
        'trajectory_interval': 5,
        'first_step': 0,
        'last_step': 10,
    }
    assert plan['supercell'].get_dict() == {'supercell': [1, 1, 1]}


def test_the_checks_of_the_line_are_those_of_the_command(aiida_profile):
    """A table of D with one volume at all temperatures, through the command and through the chain."""
    kelvins = np.array([500.0, 600.0, 750.0, 900.0, 1000.0])
    values, errors = np.array([1.0e-6, 3.1e-6, 9.0e-6, 1.5e-5, 1.7e-5]), np.array([2e-8, 6e-8, 2e-7, 3e-7, 4e-7])
    rows = []
    for kelvin, value, error in zip(kelvins, values, errors, strict=True):
        factor = conductivity(1.0, IONS, VOLUME, kelvin)
        row = {'temperature_K': kelvin, 'diffusive': True, 'reason': '', 'conductivity_mS_cm': None}
        row |= {'nernst_einstein_conductivity_mS_cm': factor * value, 'variance': {'thermal': error / value}}
        rows.append(row)
    found = extrapolate(rows, 300.0)
    told = describe(Measurements(kelvins, {'diffusivity': values}, {'diffusivity': errors}), 300.0)
    assert len(found['leave_one_out']) == len(told['leave_one_out']) == 5
    factor = conductivity(1.0, IONS, VOLUME, 300.0)
    for mine, other in zip(found['leave_one_out'], told['leave_one_out'], strict=True):
        for name in ('left_out_K', 'activation_energy_eV', 'activation_energy_error_eV'):
            assert mine[name] == pytest.approx(other[name])
        assert mine['conductivity_mS_cm'] == pytest.approx(factor * other['diffusivity_cm2_s'])
        assert mine['interval_mS_cm'] == pytest.approx([factor * limit for limit in other['interval_cm2_s']])
    assert found['bend_K2'] == pytest.approx(told['bend_K2'])
    assert found['bend_error_K2'] == pytest.approx(told['bend_error_K2'])
    assert found['bent'] is told['bent'] is True


def several(rates, temperatures, potentials=(None,), replicas=1) -> list[Run]:
    """Return the runs of each structure in ``rates``, driven by the potentials in turn."""
    cells = [
        (label, kelvin, potential, r)
        for label in rates
        for kelvin in temperatures
        for r in range(replicas)
        for potential in potentials
    ]
    return [
        Run('md', number, structure=label, potential=potential, temperature=kelvin, replica=r)
        for number, (label, kelvin, potential, r) in enumerate(cells)
    ]


def test_configurations_that_differ_widen_every_error(aiida_profile):
    """Two configurations of one crystal, one of which lets its ions hop twice as often."""
    rates = {'a': 2.0, 'b': 4.0}
    runs = several(rates, [600.0], replicas=2)
    values = [rates[one.structure] for one in runs]
    [row] = pooled(runs, values, temperatures=[600.0], extrapolate_to=None)['transport']['temperatures']
    parts = row['variance']
    # Half the difference of the logarithms is the standard error of the mean of two.
    assert parts['configurational'] == pytest.approx(np.log(2) / 2, rel=0.2)
    assert parts['thermal'] < 0.5 * parts['configurational']
    assert (parts['model'], row['counts']) == (None, ['thermal', 'configurational'])
    assert row['interval_of_potential_only'] is True
    # Student's quantile for one degree of freedom.
    assert row['degrees_of_freedom'] == pytest.approx(1, abs=0.1)
    scatter = np.hypot(parts['thermal'], parts['configurational'])
    assert row['error_cm2_s'] / row['diffusivity_cm2_s'] == pytest.approx(1.84 * scatter, rel=0.1)
    factor = row['nernst_einstein_conductivity_mS_cm'] / row['diffusivity_cm2_s']
    assert row['nernst_einstein_conductivity_error_mS_cm'] == pytest.approx(factor * row['error_cm2_s'])
    # Replicas of one configuration are no such thing.
    alike = [replace(one, structure='a') for one in runs]
    [row] = pooled(alike, values, temperatures=[600.0], extrapolate_to=None)['transport']['temperatures']
    assert (row['counts'], row['groups'], row['degrees_of_freedom']) == (['thermal'], [], None)


def test_potentials_that_differ_widen_rows_and_line(aiida_profile):
    """Three potentials with activation energies of 0.2, 0.25 and 0.3 eV and the same rate at 750 K."""
    energies = {'potential': 0.25, 'one': 0.2, 'two': 0.3}
    kelvins = SETTINGS['temperatures']
    runs = several({'cell': 1}, kelvins, energies, replicas=2)
    inverse = 1 / BOLTZMANN_EV
    rates = [3 * float(np.exp(-energies[one.potential] * inverse * (1 / one.temperature - 1 / 750.0))) for one in runs]
    outputs = pooled(runs, rates)
    rows, fit = outputs['transport']['temperatures'], outputs['arrhenius']
    middle = rows[1]
    assert middle['counts'] == fit['counts'] == ['thermal', 'model']
    assert middle['interval_of_potential_only'] is fit['interval_of_potential_only'] is False
    assert [group['potential'] for group in middle['groups']] == list(energies)
    assert {group['runs'] for group in middle['groups']} == {2}
    # They differ only away from 750 K; there, by their activation energies.
    assert rows[0]['variance']['model'] > 2 * middle['variance']['model']
    spread = 0.05 / np.sqrt(3)
    assert fit['activation_energy_eV'] == pytest.approx(0.25, abs=0.02)
    assert fit['activation_energy_variance_eV']['model'] == pytest.approx(spread, rel=0.3)
    assert fit['activation_energy_error_eV'] > 1.1 * fit['activation_energy_variance_eV']['model']
    assert fit['variance']['model'] == pytest.approx(spread * inverse * (1 / 300 - 1 / 750), rel=0.3)
    low, high = fit['interval_mS_cm']
    assert np.log(high / low) / 2 > fit['variance']['model']
    covariance = np.array(fit['covariance'])
    assert covariance[1, 1] ** 0.5 * BOLTZMANN_EV == pytest.approx(
        np.hypot(*(fit['activation_energy_variance_eV'][part] for part in ('thermal', 'model'))), rel=0.2
    )
    # The same runs of one potential: their scatter is thermal, and the name of the interval says so.
    alone = pooled([replace(one, potential=None) for one in runs], rates)['arrhenius']
    assert (alone['counts'], alone['interval_of_potential_only']) == (['thermal'], True)
    assert alone['variance']['model'] is None


def test_an_anisotropic_crystal(aiida_profile):
    """Ions that hop four times as often along z: the ratio, its thermal error, and one widened by the potentials."""
    runs = several({'cell': 1}, [600.0], ('one', 'two', 'three'), replicas=2)
    slow, fast = 1.0, 4.0
    outputs = pooled(runs, [(slow, slow, fast)] * len(runs), temperatures=[600.0], extrapolate_to=None)
    [row] = outputs['transport']['temperatures']
    ratio, error = row['anisotropy'][2], row['anisotropy_error'][2]
    assert ratio == pytest.approx(4, abs=3 * error)
    assert 0.1 < error < 0.8
    assert row['anisotropy'][0] == pytest.approx(2 * slow / (slow + fast), rel=0.3)
    tensor, spread = np.array(row['tensor_cm2_s']), np.array(row['tensor_error_cm2_s'])
    assert np.trace(tensor) / 3 == pytest.approx(row['diffusivity_cm2_s'])
    assert np.all(np.abs(tensor[np.triu_indices(3, 1)]) < 4 * spread[np.triu_indices(3, 1)])
    # Potentials that differ in the fast axis.
    ratios = {'one': 2.0, 'two': 4.0, 'three': 8.0}
    outputs = pooled(runs, [(1, 1, ratios[one.potential]) for one in runs], temperatures=[600.0], extrapolate_to=None)
    [row] = outputs['transport']['temperatures']
    assert row['anisotropy_error'][2] > 0.9 * row['anisotropy'][2] * np.log(2) / np.sqrt(3)
    for group in row['groups']:
        assert group['anisotropy'][2] == pytest.approx(ratios[group['potential']], rel=0.3)


def test_cells_are_compared_for_the_same_potentials(aiida_profile):
    """A potential that drives no run in the larger cell does not count, however different it is."""
    small = several({'cell': 1}, [900.0], ('potential', 'other'), replicas=2)
    large = [replace(one, number=10 + one.number, size='large') for one in small if one.potential == 'potential']
    runs = [*small, *large]
    rates = [0.1 if one.potential == 'potential' else 1.0 for one in runs]
    outputs = pooled(runs, rates, temperatures=[900.0], extrapolate_to=None, finite_size=SIZE)
    assert outputs['transport']['finite_size']['agrees'] is True


def test_the_potentials_drive_the_replicas_in_turn(aiida_profile):
    cell, node = orm.StructureData(cell=np.eye(3).tolist()), orm.Dict({'any': 1})
    committee = {'b': node, 'a': orm.Dict({'any': 2})}
    settings = SETTINGS | {'replicas': 4, 'temperatures': [600.0]}
    plan = plan_conductivity(orm.Dict(settings), structures={'cell': cell}, committee=committee)
    runs = Runs.from_dict(plan['runs'].get_dict()).values()
    assert [one.potential for one in runs] == ['potential', 'a', 'b', 'potential']
    # Without `trust` they are not monitored.
    assert 'selection' not in plan
    assert all(md['watch'] is None for md in plan['md'].values())
    assert check_committee(committee, 1, 3) is None
    assert check_committee(committee, 3, 1) is None
    assert 'at least 3' in check_committee(committee, 1, 2)
    assert 'at least 2' in check_committee(committee, 2, 1)
    assert 'potential' in check_committee({'potential': node}, 1, 3)


def test_single_replicas_of_several_structures_have_a_potential_of_their_own(aiida_profile):
    """Each potential drives as many runs of a temperature, and of the larger cells, as the others."""
    cells = {name: orm.StructureData(cell=np.eye(3).tolist()) for name in 'xyz'}
    committee = {name: orm.Dict({'any': 1}) for name in 'ab'}
    settings = SETTINGS | {'replicas': 1, 'temperatures': [600.0, 900.0], 'finite_size': SIZE | {'replicas': 2}}
    plan = plan_conductivity(orm.Dict(settings), structures=cells, committee=committee)
    runs = Runs.from_dict(plan['runs'].get_dict()).values()
    of_cells = {(one.temperature, one.structure): one.potential for one in runs if one.size is None}
    assert of_cells == {(t, s): p for t in (600, 900) for s, p in zip('xyz', ('potential', 'a', 'b'), strict=True)}
    large = [(one.structure, one.potential) for one in runs if one.size == 'large']
    turns = ('potential', 'a', 'b') * 2
    assert large == list(zip('xxyyzz', turns, strict=True))


def test_potentials_in_arrangements_of_their_own_are_one_part_of_the_error(aiida_profile):
    runs = [
        replace(one, number=number, potential=potential)
        for number, (one, potential) in enumerate(
            zip(several({'x': 1, 'y': 1, 'z': 1}, [600.0], (None,), replicas=1), ('potential', 'a', 'b'), strict=True)
        )
    ]
    [row] = pooled(runs, [0.2, 0.4, 0.8], temperatures=[600.0], extrapolate_to=None)['transport']['temperatures']
    assert row['counts'] == ['thermal', 'configurational_and_model']
    assert row['interval_of_potential_only'] is False
    assert row['degrees_of_freedom'] == pytest.approx(2)
    assert row['error_cm2_s'] > 0.5 * np.log(2) / np.sqrt(3) * row['diffusivity_cm2_s']
