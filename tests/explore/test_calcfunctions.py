"""The calcfunctions of the loop: plans by seed, choice of candidates, the iteration table."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.explore.compare_to_labels import compare_to_labels
from aiida_dpasse.explore.plan_active_learning import plan_active_learning
from aiida_dpasse.explore.plan_committee import plan_committee
from aiida_dpasse.explore.plan_explore import plan_explore
from aiida_dpasse.explore.stage_exploration import stage_exploration
from aiida_dpasse.explore.tabulate_iterations import tabulate_iterations
from aiida_dpasse.frames.select_candidates import select_candidates
from aiida_dpasse.merging import merge
from aiida_dpasse.runs import Run, Runs

pytestmark = pytest.mark.usefixtures('aiida_profile')

TRUST = {'mode': 'fixed', 'low': 0.1, 'high': 0.3, 'quantile': 0.5, 'explosion': 5.0}
EXPLORE = {
    'supercell': [2, 1, 1],
    'temperatures': [300, 600],
    'pressures': [0, 1],
    'replicas': 2,
    'runs': None,
    'md': {'ensemble': 'npt', 'timestep': 2.0, 'steps': 20, 'sample_interval': 2, 'thermo_interval': 10},
    'trust': TRUST,
    'max_candidates': 4,
    'max_per_structure': None,
    'seed': 7,
}


TRAIN = {
    'backend': 'pytorch',
    'input': {
        'model': {
            'descriptor': {'type': 'se_e2_a', 'rcut': 5.0, 'rcut_smth': 0.5, 'sel': 'auto', 'seed': 1},
            'fitting_net': {'neuron': [8]},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-5, 'decay_steps': 5},
        'loss': {'type': 'ener'},
        'training': {'numb_steps': 10, 'seed': 1, 'training_data': {'batch_size': 1}},
    },
    'seed': 1,
}
#: The parameters of a loop, as its smallest.
LOOP = {
    'max_active_iterations': 2,
    'final_committee': False,
    'validation': 0.1,
    'convergence': {'accurate_fraction': 0.9, 'maximum_force_rmse': 0.1, 'maximum_force_change': None},
    'committee': {'members': 3, 'minimum_members': 2, 'train': TRAIN, 'seed': 1},
    'explore': EXPLORE,
    'label': {'batch_size': 10},
    'seed': 3,
}


def as_dicts(plan):
    """Return the contents of a plan, namespaces within it."""
    return {key: as_dicts(node) if isinstance(node, dict) else node.get_dict() for key, node in plan.items()}


def structure(edge):
    node = orm.StructureData(cell=np.eye(3) * edge)
    node.append_atom(position=(0, 0, 0), symbols='Li')
    return node


def test_members_differ_in_their_seed_only():
    plan = as_dicts(plan_committee(orm.Dict({'members': 3, 'minimum_members': 2, 'seed': 1, 'train': TRAIN})))
    assert list(plan['runs']) == list(plan['train']) == ['member_0000', 'member_0001', 'member_0002']
    assert [run['number'] for run in plan['runs'].values()] == [0, 1, 2]
    first, *others = plan['train'].values()
    assert len({member.pop('seed') for member in (first, *others)}) == 3
    assert all(member == first for member in others)
    assert 'seed' not in first['input']['model']['descriptor']
    assert first['input']['training'] == {'numb_steps': 10, 'training_data': {'batch_size': 1}}
    assert first['freeze']


def test_exploration_meets_every_condition():
    plan = as_dicts(plan_explore(orm.Dict(EXPLORE), structures={'a': structure(4), 'b': structure(5)}))
    runs = plan['runs']
    assert list(runs) == list(plan['md']) == [f'md_{number:04d}' for number in range(2 * 2 * 2 * 2)]
    conditions = [(run['structure'], run['temperature'], run['pressure'], run['replica']) for run in runs.values()]
    assert len(set(conditions)) == 16
    assert len({plan['md'][key]['seed'] for key in runs}) == 16
    assert all(plan['md'][key]['temperature'] == runs[key]['temperature'] for key in runs)
    assert all(plan['md'][key]['pressure'] == runs[key]['pressure'] for key in runs)
    assert plan['md']['md_0000']['steps'] == 20
    assert plan['supercell'] == {'supercell': [2, 1, 1]}
    assert plan['selection']['trust'] == TRUST


@pytest.mark.parametrize('label', ['parameters', 'metadata', 'structures', 'a_300K'])
def test_any_label_may_name_a_structure(label):
    plan = as_dicts(plan_explore(orm.Dict(EXPLORE), structures={label: structure(4), 'a': structure(5)}))
    assert [run['structure'] for run in plan['runs'].values()].count(label) == 8


def test_numbers_are_read_through_the_model():
    parameters = EXPLORE | {'replicas': '3', 'runs': '2', 'max_candidates': '7'}
    plan = as_dicts(plan_explore(orm.Dict(parameters), structures={'a': structure(4)}))
    assert len(plan['runs']) == 2
    assert plan['selection']['max_candidates'] == 7
    runs = as_dicts(plan_explore(orm.Dict(parameters | {'runs': None}), structures={'a': structure(4)}))['runs']
    assert [run['replica'] for run in runs.values()] == [0, 1, 2] * 4


def test_fewer_runs_are_drawn_by_seed_and_spread_over_structures():
    def drawn(seed):
        parameters = orm.Dict({**EXPLORE, 'runs': 5, 'seed': seed})
        structures = {'a': structure(4), 'b': structure(5), 'c': structure(6)}
        return as_dicts(plan_explore(parameters, structures=structures))

    plan = drawn(1)
    structures = [run['structure'] for run in plan['runs'].values()]
    assert sorted(structures.count(label) for label in 'abc') == [1, 2, 2]
    assert plan == drawn(1)
    assert plan != drawn(2)


def test_iterations_have_their_own_seeds_and_one_type_map(make_frames):
    frames = FramesData.from_sets([make_frames('Li Li S'), make_frames('Br Li')])
    plan = as_dicts(plan_active_learning(orm.Dict(LOOP), frames, structures={'a': structure(4)}))
    assert sorted(plan) == ['committee', 'convergence', 'evaluate', 'explore', 'label', 'runs', 'split']
    assert list(plan['committee']) == [f'committee_0000_i00{index}' for index in range(3)]
    assert list(plan['explore']) == ['explore_0000_i000', 'explore_0000_i001']
    seeds = [
        plan['split']['seed'],
        *(node['seed'] for what in ('committee', 'explore') for node in plan[what].values()),
    ]
    assert len(set(seeds)) == 6
    assert plan['label'] == {'batch_size': 10}
    assert plan['convergence'] == LOOP['convergence'] | {
        **{'stable_iterations': 1, 'maximum_diffusivity_change': None, 'stages': 1},
    }
    assert plan['committee']['committee_0000_i001']['train']['input']['model']['type_map'] == ['Br', 'Li', 'S']
    train = merge(TRAIN, {'input': {'model': {'type_map': ['S', 'Li', 'Br']}}})
    given = LOOP | {'committee': LOOP['committee'] | {'train': train}}
    plan = as_dicts(plan_active_learning(orm.Dict(given), frames, structures={'a': structure(4)}))
    assert plan['committee']['committee_0000_i002']['train']['input']['model']['type_map'] == ['S', 'Li', 'Br']


def test_the_dynamics_that_are_watched_are_of_any_label(make_frames):
    structures = {'parameters': structure(4), 'a_000': structure(5)}
    frames = FramesData.from_sets([make_frames('Li Li S')])
    plan = as_dicts(plan_active_learning(orm.Dict(LOOP | {'conductivity': WATCHED}), frames, structures=structures))
    watched = [run for run in plan['runs'].values() if run['what'] == 'transport']
    assert [(run['iteration'], run['structure']) for run in watched] == [
        (index, label) for index in range(3) for label in ('a_000', 'parameters')
    ]
    assert plan['conductivity']['seed'] != WATCHED['seed']


RUNS = {
    f'md_{number:04d}': {'what': 'md', 'number': number, 'structure': label, 'temperature': 300.0 * (1 + number)}
    for number, label in enumerate('abb')
}
WATCHED = {
    'supercell': [1, 1, 1],
    'temperatures': [300],
    'replicas': 1,
    'md': {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 40, 'trajectory_interval': 2, 'thermo_interval': 10},
    'seed': 1,
}


def selection(**changes):
    return orm.Dict({'trust': TRUST, 'max_candidates': 4, 'max_per_structure': None, 'seed': 5} | changes)


def select(samples, known=None, calibration=None, **changes):
    """Run the choice on the samples of the runs by id."""
    return select_candidates(
        selection(**changes),
        orm.Dict(RUNS),
        samples={key: FramesData.from_sets([item]) for key, item in samples.items()},
        known=known or {},
        calibration=calibration or {},
    )


@pytest.fixture
def samples(make_frames):
    """Two runs of ten: 5 accurate, 4 candidates and 1 failed; 6 candidates and 4 exploded."""
    first = [0.05] * 5 + [0.2] * 4 + [0.3]
    second = [0.25] * 6 + [np.nan] * 4
    steps = np.arange(10) * 2
    return {
        'md_0000': make_frames('Li Li S', 10, seed=1, labels=False).with_origin(deviations=first, steps=steps),
        'md_0001': make_frames('Li Cl', 10, seed=2, labels=False).with_origin(deviations=second, steps=steps),
    }


def test_every_sampled_frame_is_counted(samples):
    statistics = select(samples)['statistics'].get_dict()
    counts = {
        name: statistics[name]
        for name in ('sampled', 'accurate', 'candidate', 'failed', 'chosen', 'known', 'left_over')
    }
    assert counts == {
        **{'sampled': 20, 'accurate': 5, 'candidate': 10, 'failed': 5},
        **{'chosen': 4, 'known': 0, 'left_over': 6},
    }
    assert statistics['runs_without_frames'] == ['md_0002']
    assert statistics['runs']['md_0001'] | {'chosen': 0} == RUNS['md_0001'] | {
        **{'sampled': 10, 'accurate': 0, 'candidate': 6, 'failed': 4},
        **{'chosen': 0, 'last_step': 18},
    }
    assert sum(run['chosen'] for run in statistics['runs'].values()) == 4
    assert statistics['deviation_median'] == pytest.approx(0.2)


def test_candidates_remember_where_they_come_from(samples):
    chosen = select(samples, max_candidates=10)['candidates'].sets()
    assert [item.formula for item in chosen] == ['Cl1Li1', 'Li2S1']
    assert chosen[0].sources.tolist() == ['samples__md_0001'] * 6
    assert chosen[1].sources.tolist() == ['samples__md_0000'] * 4
    assert chosen[1].steps.tolist() == [10, 12, 14, 16]
    assert set(chosen[1].ids) <= set(samples['md_0000'].ids)
    assert chosen[1].deviations.tolist() == [0.2] * 4
    assert chosen[1].reasons[0] == 'deviation between 0.1 and 0.3 eV/A'


def test_the_seed_decides(samples):
    def ids(seed):
        return select(samples, seed=seed)['candidates'].ids()

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_known_frames_are_not_chosen_again(samples):
    first = select(samples, max_candidates=7)['candidates']
    again = select(samples, known={'parameters': first}, max_candidates=7)
    assert len(again['candidates'].ids()) == 3
    assert not set(first.ids()) & set(again['candidates'].ids())
    assert again['statistics']['known'] == 7


def test_a_frame_met_twice_is_chosen_once(samples):
    outputs = select({**samples, 'md_0002': samples['md_0001']}, max_candidates=99)
    identities = outputs['candidates'].ids()
    assert len(identities) == len(set(identities)) == 10
    assert outputs['statistics']['known'] == 6


def test_structures_are_capped(samples):
    outputs = select(samples, max_candidates=99, max_per_structure=3)
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
        chosen = select({'md_0000': run}, choice='diverse', max_candidates=2, seed=seed)
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
    members = dict.fromkeys(('member_00', 'member_01'))
    pairs = compare_to_labels.__wrapped__(FramesData.from_sets([labelled]), predictions, potentials=members)
    assert pairs['errors_eV_A'] == pytest.approx(4 * labelled.deviations)
    calibrated = {**TRUST, 'mode': 'calibrated', 'low': 0.4, 'high': 1.0}
    outputs = select(samples, calibration={'first': pairs}, trust=calibrated)
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
    accurate = samples['md_0000'].with_origin(deviations=0.01)
    outputs = select({'md_0000': accurate})
    assert 'candidates' not in outputs
    assert outputs['statistics']['accurate'] == 10
    nothing = select({})
    assert nothing['statistics']['sampled'] == 0
    assert nothing['statistics']['deviation_median'] is None
    assert nothing['statistics']['only_failures']


def test_accuracy_at_the_start_does_not_converge(samples):
    deviations = [0.0] + [0.9] * 9
    assert select({'md_0000': samples['md_0000'].with_origin(deviations=deviations)})['statistics']['only_failures']
    deviations[1] = 0.0
    assert not select({'md_0000': samples['md_0000'].with_origin(deviations=deviations)})['statistics']['only_failures']


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
    open_ended = {'maximum_force_change': None, 'maximum_diffusivity_change': None}
    criteria = {'accurate_fraction': 0.9, 'maximum_force_rmse': 0.1, 'stable_iterations': 1, 'stages': 1}
    criteria = orm.Dict(criteria | open_ended)
    runs = Runs(Run('iteration', iteration=index) for index in range(3))
    runs = orm.Dict({**runs.to_dict(), **Runs([Run('transport', 1, structure='a_000', iteration=1)]).to_dict()})
    first, second = 'iteration_0000_i000', 'iteration_0000_i001'
    diffusive = {'temperature_K': 600, 'diffusivity_cm2_s': 1e-5, 'error_cm2_s': 1e-7, 'diffusive': True}
    parts = {
        'frames': {
            first: FramesData.from_sets([make_frames(frames=6)]),
            second: FramesData.from_sets([make_frames(frames=7)]),
        },
        'errors': {
            first: orm.Dict({'member_00': errors, 'member_01': {**errors, 'force_rmse_meV_A': 70.0}}),
            second: orm.Dict({'member_00': errors}),
        },
        'statistics': {
            first: orm.Dict(statistics),
            second: orm.Dict({**statistics, 'accurate': 10, 'candidate': 0, 'failed': 0, 'chosen': 0}),
        },
        'accounts': {first: orm.Dict(account)},
        'transport': {'transport_0001_i001': orm.Dict({'temperatures': [{**diffusive, 'reason': None}]})},
    }
    table = tabulate_iterations(criteria, runs, **parts)
    content = table['iterations'].get_dict()
    rows = content['iterations']
    assert len(rows) == 2
    one, other = rows
    assert (one['what'], one['iteration'], other['iteration']) == ('iteration', 0, 1)
    assert 'transport' not in one
    [watched] = other['transport']
    assert (watched['structure'], watched['iteration'], watched['diffusivity_cm2_s']) == ('a_000', 1, 1e-5)
    assert one['accurate_fraction'] == 0.4
    assert one['force_rmse_meV_A'] == 60.0
    assert (one['frames'], one['labelled'], one['rejected'], one['label_failed']) == (6, 1, 1, 1)
    assert (other['frames'], other['labelled']) == (7, None)
    assert content['converged']
    assert table['account'].get_dict() == {
        'requested': 3,
        'admitted': 1,
        'rejected': [{'id': 'x', 'reason': 'r', 'iteration': 0}],
        'failed': [{'id': 'y', 'reason': 'f', 'iteration': 0}],
    }
    begun = {kind: {key: node for key, node in nodes.items() if key == first} for kind, nodes in parts.items()}
    assert not tabulate_iterations(criteria, runs, **begun)['iterations']['converged']
