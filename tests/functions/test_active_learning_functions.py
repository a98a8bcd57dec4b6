"""The calcfunctions of the loop: plans by seed, choice of candidates, the iteration table."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.functions.compare_to_labels import compare_to_labels
from aiida_dpasse.functions.plan_active_learning import plan_active_learning
from aiida_dpasse.functions.plan_committee import plan_committee
from aiida_dpasse.functions.plan_explore import plan_explore
from aiida_dpasse.functions.select_candidates import select_candidates
from aiida_dpasse.functions.stage_exploration import stage_exploration
from aiida_dpasse.functions.tabulate_iterations import tabulate_iterations

pytestmark = pytest.mark.usefixtures('aiida_profile')

TRUST = {'mode': 'fixed', 'low': 0.1, 'high': 0.3, 'quantile': 0.5, 'explosion': 5.0}
EXPLORE = {
    'supercell': [2, 1, 1],
    'temperatures': [300, 600],
    'pressures': [0, 1],
    'replicas': 2,
    'runs': None,
    'md': {'ensemble': 'npt', 'steps': 20},
    'trust': TRUST,
    'max_candidates': 4,
    'max_per_structure': None,
    'seed': 7,
}


def as_dicts(plan):
    return {key: node.get_dict() for key, node in plan.items()}


def structure(edge):
    node = orm.StructureData(cell=np.eye(3) * edge)
    node.append_atom(position=(0, 0, 0), symbols='Li')
    return node


def test_members_differ_in_their_seed_only():
    descriptor = {'type': 'se_e2_a', 'rcut': 5.0, 'seed': 1}
    train_input = {'model': {'descriptor': descriptor}, 'training': {'numb_steps': 10, 'seed': 1}}
    train = {'backend': 'pytorch', 'input': train_input, 'seed': 1}
    plan = as_dicts(plan_committee(orm.Dict({'members': 3, 'minimum_members': 2, 'seed': 1, 'train': train})))
    assert sorted(plan) == ['member_00', 'member_01', 'member_02']
    assert len({member.pop('seed') for member in plan.values()}) == 3
    expected = {'model': {'descriptor': {'type': 'se_e2_a', 'rcut': 5.0}}, 'training': {'numb_steps': 10}}
    assert all(member == {'backend': 'pytorch', 'input': expected} for member in plan.values())


def test_exploration_meets_every_condition():
    plan = as_dicts(plan_explore(orm.Dict(EXPLORE), a=structure(4), b=structure(5)))
    runs = plan['selection']['runs']
    assert len(runs) == 2 * 2 * 2 * 2
    conditions = [(run['structure'], run['temperature'], run['pressure']) for run in runs.values()]
    assert all(conditions.count(condition) == 2 for condition in conditions)
    assert len({plan[key]['seed'] for key in runs}) == 16
    assert all(plan[key]['temperature'] == runs[key]['temperature'] for key in runs)
    assert runs['md_000']['steps'] == 20
    assert plan['supercell'] == {'supercell': [2, 1, 1]}


def test_fewer_runs_are_drawn_by_seed_and_spread_over_structures():
    def drawn(seed):
        parameters = orm.Dict({**EXPLORE, 'runs': 5, 'seed': seed})
        return as_dicts(plan_explore(parameters, a=structure(4), b=structure(5), c=structure(6)))

    plan = drawn(1)
    structures = [run['structure'] for run in plan['selection']['runs'].values()]
    assert sorted(structures.count(label) for label in 'abc') == [1, 2, 2]
    assert plan == drawn(1)
    assert plan != drawn(2)


def test_iterations_have_their_own_seeds_and_one_type_map(make_frames):
    parameters = {
        'max_active_iterations': 2,
        'seed': 3,
        'validation': 0.1,
        'convergence': {'accurate_fraction': 0.9},
        'committee': {'members': 3, 'seed': 1, 'train': {'input': {'model': {}}}},
        'explore': {'runs': 6, 'seed': 1},
        'label': {'batch_size': 10},
    }
    frames = FramesData.from_sets([make_frames('Li Li S'), make_frames('Br Li')])
    plan = as_dicts(plan_active_learning(orm.Dict(parameters), frames))
    assert sorted(plan) == [
        *('committee_000', 'committee_001', 'committee_002', 'convergence', 'evaluate'),
        *('explore_000', 'explore_001', 'label', 'split'),
    ]
    assert len({node['seed'] for node in plan.values() if 'seed' in node}) == 6
    assert plan['label'] == {'batch_size': 10}
    assert plan['committee_001']['train']['input']['model']['type_map'] == ['Br', 'Li', 'S']
    parameters['committee']['train']['input']['model']['type_map'] = ['S', 'Li', 'Br']
    plan = as_dicts(plan_active_learning(orm.Dict(parameters), frames))
    assert plan['committee_002']['train']['input']['model']['type_map'] == ['S', 'Li', 'Br']


RUNS = {
    'md_000': {'structure': 'a', 'steps': 20, 'temperature': 300, 'pressure': 0},
    'md_001': {'structure': 'b', 'steps': 20, 'temperature': 600, 'pressure': 0},
    'md_002': {'structure': 'b', 'steps': 20, 'temperature': 900, 'pressure': 0},
}


def selection(**changes):
    return orm.Dict({'trust': TRUST, 'max_candidates': 4, 'max_per_structure': None, 'seed': 5, 'runs': RUNS} | changes)


@pytest.fixture
def samples(make_frames):
    """Two runs of ten: 5 accurate, 4 candidates and 1 failed; 6 candidates and 4 exploded."""
    first = [0.05] * 5 + [0.2] * 4 + [0.3]
    second = [0.25] * 6 + [np.nan] * 4
    steps = np.arange(10) * 2
    return {
        'md_000': make_frames('Li Li S', 10, seed=1, labels=False).with_origin(deviations=first, steps=steps),
        'md_001': make_frames('Li Cl', 10, seed=2, labels=False).with_origin(deviations=second, steps=steps),
    }


def nodes(samples):
    return {key: FramesData.from_sets([item]) for key, item in samples.items()}


def test_every_sampled_frame_is_counted(samples):
    statistics = select_candidates(selection(), **nodes(samples))['statistics'].get_dict()
    counts = {
        name: statistics[name]
        for name in ('sampled', 'accurate', 'candidate', 'failed', 'chosen', 'known', 'left_over')
    }
    assert counts == {
        **{'sampled': 20, 'accurate': 5, 'candidate': 10, 'failed': 5},
        **{'chosen': 4, 'known': 0, 'left_over': 6},
    }
    assert statistics['runs_without_frames'] == ['md_002']
    assert statistics['runs']['md_001'] | {'chosen': 0} == RUNS['md_001'] | {
        **{'sampled': 10, 'accurate': 0, 'candidate': 6, 'failed': 4},
        **{'chosen': 0, 'last_step': 18},
    }
    assert sum(run['chosen'] for run in statistics['runs'].values()) == 4
    assert statistics['deviation_median'] == pytest.approx(0.2)


def test_candidates_remember_where_they_come_from(samples):
    chosen = select_candidates(selection(max_candidates=10), **nodes(samples))['candidates'].sets()
    assert [item.formula for item in chosen] == ['Cl1Li1', 'Li2S1']
    assert chosen[0].sources.tolist() == ['md_001'] * 6
    assert chosen[1].sources.tolist() == ['md_000'] * 4
    assert chosen[1].steps.tolist() == [10, 12, 14, 16]
    assert set(chosen[1].ids) <= set(samples['md_000'].ids)
    assert chosen[1].deviations.tolist() == [0.2] * 4
    assert chosen[1].reasons[0] == 'deviation between 0.1 and 0.3 eV/A'


def test_the_seed_decides(samples):
    def ids(seed):
        return select_candidates(selection(seed=seed), **nodes(samples))['candidates'].ids()

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_known_frames_are_not_chosen_again(samples):
    first = select_candidates(selection(max_candidates=7), **nodes(samples))['candidates']
    again = select_candidates(selection(max_candidates=7), known_000=first, **nodes(samples))
    assert len(again['candidates'].ids()) == 3
    assert not set(first.ids()) & set(again['candidates'].ids())
    assert again['statistics']['known'] == 7


def test_a_frame_met_twice_is_chosen_once(samples):
    twice = nodes({**samples, 'md_002': samples['md_001']})
    outputs = select_candidates(selection(max_candidates=99), **twice)
    identities = outputs['candidates'].ids()
    assert len(identities) == len(set(identities)) == 10
    assert outputs['statistics']['known'] == 6


def test_structures_are_capped(samples):
    outputs = select_candidates(selection(max_candidates=99, max_per_structure=3), **nodes(samples))
    assert outputs['candidates'].formulas == {'Cl1Li1': 3, 'Li2S1': 3}


def test_a_diverse_choice_takes_what_differs(make_frames):
    # Nine copies of nearly the same frame, and one that is another.
    alike = make_frames('Li Li S', 1, seed=1, labels=False)
    rng = np.random.default_rng(3)
    shaken = [alike.positions[0] + rng.normal(0, 1e-3, (3, 3)) for _ in range(9)]
    other = make_frames('Li Li S', 1, seed=9, labels=False)
    positions, cells = [*shaken, other.positions[0]], [*[alike.cells[0]] * 9, other.cells[0]]
    run = FrameSet(alike.symbols, cells, positions, deviations=[0.2] * 10, steps=np.arange(10))
    for seed in range(4):
        chosen = select_candidates(selection(choice='diverse', max_candidates=2, seed=seed), **nodes({'md_000': run}))
        assert 9 in chosen['candidates'].sets()[0].steps


def test_errors_of_labelled_frames_set_the_levels(samples, make_frames):
    labelled = make_frames('Li Li S', 12, seed=4).with_origin(deviations=np.linspace(0.1, 0.5, 12))
    forces, shift = np.asarray(labelled.forces), np.zeros((12, 3, 3))
    # The mean of two members is off by four times the deviation, on one atom.
    shift[:, 1, 2] = 4 * labelled.deviations
    predictions = orm.ArrayData()
    predictions.set_array('natoms', np.full(12, 3))
    predictions.set_array('member_00_force', (forces + shift + 1).reshape(-1, 3))
    predictions.set_array('member_01_force', (forces + shift - 1).reshape(-1, 3))
    pairs = compare_to_labels(FramesData.from_sets([labelled]), predictions)
    assert pairs['errors_eV_A'] == pytest.approx(4 * labelled.deviations)
    calibrated = {**TRUST, 'mode': 'calibrated', 'low': 0.4, 'high': 1.0}
    outputs = select_candidates(selection(trust=calibrated), calibration_000=pairs, **nodes(samples))
    statistics = outputs['statistics'].get_dict()
    assert statistics['error_per_deviation'] == pytest.approx(4.0)
    assert (statistics['trust_low'], statistics['trust_high']) == (pytest.approx(0.1), pytest.approx(0.25))


def test_each_stage_has_its_conditions():
    stages = orm.List([{'temperatures': [300], 'pressures': None, 'steps': None}, {'temperatures': [900], 'steps': 50}])
    first = stage_exploration(orm.Dict(EXPLORE), stages)
    assert first['stage'].get_dict() == {'stage': 0}
    assert first['parameters'].get_dict() == {**EXPLORE, 'temperatures': [300]}
    second = stage_exploration(orm.Dict(EXPLORE), stages, iterations=orm.Dict({'next_stage': 1}))
    assert second['stage'].get_dict() == {'stage': 1}
    expected = {**EXPLORE, 'temperatures': [900], 'md': {**EXPLORE['md'], 'steps': 50}}
    assert second['parameters'].get_dict() == expected


def test_no_candidates_is_an_answer(samples):
    accurate = samples['md_000'].with_origin(deviations=0.01)
    outputs = select_candidates(selection(), **nodes({'md_000': accurate}))
    assert 'candidates' not in outputs
    assert outputs['statistics']['accurate'] == 10
    nothing = select_candidates(selection())
    assert nothing['statistics']['sampled'] == 0
    assert nothing['statistics']['deviation_median'] is None
    assert nothing['statistics']['only_failures']


def test_a_start_that_is_accurate_is_no_success(samples):
    deviations = [0.0] + [0.9] * 9
    exploded = nodes({'md_000': samples['md_000'].with_origin(deviations=deviations)})
    assert select_candidates(selection(), **exploded)['statistics']['only_failures']
    deviations[1] = 0.0
    trusted = nodes({'md_000': samples['md_000'].with_origin(deviations=deviations)})
    assert not select_candidates(selection(), **trusted)['statistics']['only_failures']


def test_table_and_account(make_frames):
    errors = {
        'energy_mae_meV_atom': 1.0,
        'energy_rmse_meV_atom': 2.0,
        'force_mae_meV_A': 3.0,
        'force_rmse_meV_A': 50.0,
    }
    statistics = {
        'sampled': 10,
        'accurate': 4,
        'candidate': 5,
        'failed': 1,
        'chosen': 3,
        'trust_low': 0.1,
        'trust_high': 0.3,
    }
    account = {
        'requested': 3,
        'admitted': 1,
        'rejected': [{'id': 'x', 'reason': 'r'}],
        'failed': [{'id': 'y', 'reason': 'f'}],
    }
    criteria = orm.Dict({'accurate_fraction': 0.9, 'maximum_force_rmse': 0.1, 'maximum_force_change': None})
    parts = {
        'frames_000': FramesData.from_sets([make_frames(frames=6)]),
        'errors_000': orm.Dict({'member_00': errors, 'member_01': {**errors, 'force_rmse_meV_A': 70.0}}),
        'statistics_000': orm.Dict(statistics),
        'account_000': orm.Dict(account),
        'frames_001': FramesData.from_sets([make_frames(frames=7)]),
        'errors_001': orm.Dict({'member_00': errors}),
        'statistics_001': orm.Dict({**statistics, 'accurate': 10, 'candidate': 0, 'failed': 0, 'chosen': 0}),
    }
    table = tabulate_iterations(criteria, **parts)
    content = table['iterations'].get_dict()
    first, second = content['iterations']
    assert first['accurate_fraction'] == 0.4
    assert first['force_rmse_meV_A'] == 60.0
    assert (first['frames'], first['labelled'], first['rejected'], first['label_failed']) == (6, 1, 1, 1)
    assert (second['frames'], second['labelled']) == (7, None)
    assert content['converged']
    assert table['account'].get_dict() == {
        'requested': 3,
        'admitted': 1,
        'rejected': [{'id': 'x', 'reason': 'r', 'iteration': 0}],
        'failed': [{'id': 'y', 'reason': 'f', 'iteration': 0}],
    }
    assert not tabulate_iterations(criteria, **{k: v for k, v in parts.items() if k.endswith('000')})['iterations'][
        'converged'
    ]
