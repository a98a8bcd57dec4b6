"""The steps of test sets that make Data: plan, samples, and the account of every planned frame."""

from __future__ import annotations

import pytest
from aiida import orm
from ase.build import bulk

from aiida_dpasse.assess.account_test_sets import NO_ACCOUNT, NOTHING, account_test_sets
from aiida_dpasse.assess.plan_test_sets import plan_test_sets
from aiida_dpasse.assess.sample_runs import sample_runs
from aiida_dpasse.data.frames import FramesData

SETTINGS = {
    'near_equilibrium': {'temperature': 50.0, 'steps': 10, 'frames': 5},
    'heating': {'first': 150.0, 'last': 1150.0, 'steps': 1000, 'frames': 4},
    'supercell': [1, 1, 1],
    'md': {'ensemble': 'nvt', 'timestep': 1.0, 'stop_force': 100.0},
    'label': {'batch_size': 3, 'minimum_success': 0.9},
    'seed': 3,
}

#: Runs of the two parts for the two structures.
COLD_A, COLD_B, HOT_A, HOT_B = (f'md_000{number}' for number in range(4))


def account_of(plan, samples, told, **results):
    """Return the account of a labelling of the heated frames."""
    labelled = {'samples': {'heating': samples}, 'accounts': {'heating': orm.Dict(told)}}
    return account_test_sets(plan['sample'], plan['runs'], **labelled, **results)


@pytest.fixture(scope='module')
def salts(aiida_profile) -> dict[str, orm.StructureData]:
    """Two rock salts of one formula."""
    cells = {'a': 5.13, 'b': 5.5}
    return {label: orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=a)).store() for label, a in cells.items()}


@pytest.fixture(scope='module')
def plan(salts) -> dict[str, orm.Dict]:
    """The plan of two parts for two structures."""
    return plan_test_sets(orm.Dict(SETTINGS), structures=salts)


def run_of(make_frames, steps: list[int], seed: int) -> FramesData:
    """What a run sampled, its start among it."""
    return FramesData.from_sets([make_frames('Cl Li', len(steps), seed, labels=False).with_origin(steps=steps)])


def test_the_plan_is_what_was_asked_for(plan, salts):
    assert set(plan) == {'runs', 'md', 'supercell', 'label', 'sample'}
    assert set(plan['md']) == set(plan['runs'].get_dict()) == set(plan['sample']['steps'])
    cold, hot = plan['md'][COLD_A].get_dict(), plan['md'][HOT_A].get_dict()
    common = {'ensemble': 'nvt', 'timestep': 1.0, 'stop_force': 100.0}
    assert cold == common | {'temperature': 50.0, 'steps': 10, 'sample_interval': 2, 'seed': cold['seed']}
    heated = {'temperature': 150.0, 'final_temperature': 1150.0, 'steps': 1000, 'sample_interval': 250}
    assert hot == common | heated | {'seed': hot['seed']}
    assert len({node['seed'] for node in plan['md'].values()}) == 4
    # A validation admits what is finite; how many labels may fail is the user's.
    label = plan['label'].get_dict()
    wanted = {'batch_size': 3, 'minimum_success': 0.9, 'mode': 'audit', 'dynamics': None, 'relaxation': None}
    assert {name: label[name] for name in wanted} == wanted
    sample = plan['sample'].get_dict()
    assert sample['lines'] == {
        'near_equilibrium': {'first': 50.0, 'last': 50.0, 'steps': 10},
        'heating': {'first': 150.0, 'last': 1150.0, 'steps': 1000},
    }
    assert plan['runs'][HOT_B] == {'what': 'md', 'number': 3, 'data': 'heating', 'structure': 'b'}
    assert sample['steps'][HOT_B] == [250, 500, 750, 1000]
    assert sample['steps'][COLD_A] == [2, 4, 6, 8, 10]


def test_a_part_that_is_off_has_no_run_and_changes_no_seed(plan, salts):
    cold = plan_test_sets(orm.Dict({**SETTINGS, 'heating': None}), structures={'a': salts['a']})
    assert set(cold['md']) == {COLD_A}
    assert set(cold['sample']['lines']) == {'near_equilibrium'}
    assert cold['md'][COLD_A].get_dict() == plan['md'][COLD_A].get_dict()


def test_the_samples_are_those_of_the_plan(plan, make_frames):
    given = {
        HOT_A: run_of(make_frames, [0, 250, 500, 750, 1000], 1),
        HOT_B: run_of(make_frames, [0, 250, 500, 600], 2),
    }
    frames = sample_runs(plan['sample'], plan['runs'], samples=given)
    [item] = frames.sets()
    assert list(zip(item.sources, item.steps, strict=True)) == [
        *((f'samples__{HOT_A}', step) for step in (250, 500, 750, 1000)),
        *((f'samples__{HOT_B}', step) for step in (250, 500)),
    ]
    assert list(item.reasons[:2]) == ['heating, 400.0 K', 'heating, 650.0 K']
    assert set(item.ids[:4]) <= set(given[HOT_A].ids())


def test_every_planned_frame_is_in_the_account(plan, make_frames):
    samples = sample_runs(
        plan['sample'],
        plan['runs'],
        samples={
            HOT_A: run_of(make_frames, [0, 250, 500, 750, 1000], 1),
            HOT_B: run_of(make_frames, [0, 250, 500], 2),
        },
    )
    ids = samples.ids()
    told = {
        'requested': 6,
        'admitted': 4,
        'rejected': [{'id': ids[1], 'reason': 'a force is not finite'}],
        'failed': [{'id': ids[5], 'reason': 'electrons did not converge'}],
        'objections': [{'id': ids[0], 'reason': 'a force is 30 eV/A, above 20 eV/A'}],
    }
    results = {
        HOT_A: orm.Dict({'step': 1000, 'steps': 1000, 'verdict': 'kept its limits', 'reason': None}),
        HOT_B: orm.Dict({'step': 640, 'steps': 1000, 'verdict': 'exploded', 'reason': 'a force became 101 eV/A'}),
        COLD_A: orm.Dict({'step': 3, 'steps': 10, 'verdict': 'incomplete', 'reason': None}),
    }
    found = account_of(plan, samples, told, results=results)
    account = found['account'].get_dict()
    assert account['requested'] == 2 * 5 + 2 * 4 == len(account['frames'])
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed'])
    assert account['admitted'] == 4
    assert account['objections'] == told['objections']
    assert account['rejected'] == [{**told['rejected'][0], 'run': HOT_A, 'step': 500}]
    failed = {entry['id']: entry['reason'] for entry in account['failed']}
    assert failed[ids[5]] == told['failed'][0]['reason']
    assert 'step 640 of 1000' in failed[f'{HOT_B}:750']
    assert results[HOT_B]['reason'] in failed[f'{HOT_B}:750']
    assert 'step 3 of 10' in failed[f'{COLD_A}:4']
    assert failed[f'{COLD_B}:10'] == NOTHING
    assert len(failed) == 1 + 2 + 10
    rows = {row['id']: row for row in account['frames']}
    assert rows[ids[2]] == {
        'id': ids[2],
        'run': HOT_A,
        'step': 750,
        'state': 'admitted',
        'temperature_K': 900.0,
    }
    assert rows[f'{COLD_A}:4']['temperature_K'] == 50.0
    runs = {run['run']: run for run in account['runs']}
    assert (runs[HOT_B]['requested'], runs[HOT_B]['sampled'], runs[HOT_B]['admitted']) == (4, 2, 1)
    assert (runs[HOT_B]['last_step'], runs[HOT_B]['verdict']) == (640, 'exploded')
    assert runs[COLD_B]['last_step'] is None
    # A set that has no frame has no temperatures: `dpasse.validate` refuses those of sets that are not given.
    assert found['temperatures'].get_dict() == {'heating': {'first': 150.0, 'last': 1150.0, 'steps': 1000}}


def test_a_frame_that_is_there_twice_counts_twice(plan, make_frames):
    twice = run_of(make_frames, [0, 250, 500, 750, 1000], 1)
    samples = sample_runs(plan['sample'], plan['runs'], samples={HOT_A: twice, HOT_B: twice})
    again = [{'id': identity, 'reason': 'the same frame was given before'} for identity in samples.ids()[4:]]
    told = {'requested': 8, 'admitted': 4, 'rejected': again, 'failed': []}
    found = account_of(plan, samples, told)
    states = {run['run']: run['admitted'] for run in found['account']['runs']}
    assert (states[HOT_A], states[HOT_B], len(found['account']['rejected'])) == (4, 0, 4)


def test_a_labelling_that_left_nothing_failed_for_all(plan, make_frames):
    samples = sample_runs(plan['sample'], plan['runs'], samples={HOT_A: run_of(make_frames, [0, 250], 1)})
    found = account_test_sets(plan['sample'], plan['runs'], samples={'heating': samples})
    [entry] = [entry for entry in found['account']['failed'] if entry['id'] in samples.ids()]
    assert entry['reason'] == NO_ACCOUNT
    assert found['temperatures'].get_dict() == {}
    assert found['account']['admitted'] == 0
