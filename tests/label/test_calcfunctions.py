"""Batches and accounts: nothing is labelled twice, nothing is lost."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.merge_accounts import merge_accounts
from aiida_dpasse.label.plan_initial_data import plan_initial_data
from aiida_dpasse.label.plan_label import plan_label
from aiida_dpasse.label.select_failed import failed_ids, select_failed
from aiida_dpasse.runs import Run, Runs

pytestmark = pytest.mark.usefixtures('aiida_profile')

DYNAMICS = {'temperature': 300.0, 'steps': 20, 'interval': 10}


def total(account: dict) -> int:
    """The number of frames by outcome."""
    return account['admitted'] + len(account['rejected']) + len(account['failed'])


def account(rejected=(), failed=(), unreached=(), requested=0, admitted=0) -> orm.Dict:
    """A job's account."""
    return orm.Dict(
        {
            'requested': requested,
            'admitted': admitted,
            'rejected': [{'id': name, 'reason': 'too strong'} for name in rejected],
            'failed': [{'id': name, 'reason': 'broke off'} for name in failed],
            'unreached': list(unreached),
        }
    )


@pytest.mark.parametrize(('size', 'batches'), [(100, [9]), (9, [9]), (5, [5, 4]), (3, [3, 3, 3]), (1, [1] * 9)])
def test_batches_hold_every_frame_once(make_frames, size, batches):
    frames = FramesData.from_sets([make_frames('Li Li S', 4), make_frames('Li Br', 5, seed=2)]).store()
    outputs = plan_label(frames, orm.Dict({'batch_size': size, 'max_force': 5.0, 'minimum_success': 0.5}))
    found = outputs['batches']
    assert [found[key].frames for key in sorted(found)] == batches
    assert sorted(identity for node in found.values() for identity in node.ids()) == sorted(frames.ids())
    assert outputs['calculation']['max_force'] == 5.0
    assert 'batch_size' not in outputs['calculation'].get_dict()
    assert {key: sorted(names) for key, names in outputs['plan']['batches'].items()} == {
        key: sorted(node.ids()) for key, node in found.items()
    }
    if size == 5:  # the large cells are shared out evenly
        assert [node.formulas['Li2S1'] for _, node in sorted(found.items())] == [2, 2]


def test_a_frame_given_twice_is_labelled_once(make_frames):
    same = make_frames('Li Br', 2)
    frames = FramesData.from_sets([same, make_frames('Li Br', 1, seed=3), same]).store()
    outputs = plan_label(frames, orm.Dict({'batch_size': 10}))
    assert outputs['batches']['batch_0000'].frames == 3
    assert outputs['plan']['duplicates'] == [str(identity) for identity in same.ids]
    merged = merge_accounts(outputs['plan'], accounts={'batch_0000': account()}).get_dict()
    assert (merged['requested'], merged['admitted']) == (5, 3)
    assert [entry['id'] for entry in merged['rejected']] == [str(identity) for identity in same.ids]


def test_dynamics_requests_every_sample(make_frames):
    frames = FramesData.from_sets([make_frames('Li Br', 2)]).store()
    outputs = plan_label(frames, orm.Dict({'batch_size': 1, 'dynamics': DYNAMICS}))
    first, second = frames.ids()
    assert outputs['plan']['batches'] == {
        'batch_0000': [first, f'{first}:10', f'{first}:20'],
        'batch_0001': [second, f'{second}:10', f'{second}:20'],
    }


def plan_of(**batches: list[str]) -> orm.Dict:
    """The plan of batches 0, 1 and so on with these names."""
    runs = Runs(Run('batch', number) for number in range(len(batches)))
    names = dict(zip(runs, batches.values(), strict=True))
    return orm.Dict({'runs': runs.to_dict(), 'batches': names, 'duplicates': []})


def test_accounts_add_up_over_retries():
    accounts = {
        'batch_0000': account(rejected=['b'], failed=['c', 'd']),
        'batch_0000_s01': account(failed=['d']),
        'batch_0001': account(),
    }
    merged = merge_accounts(plan_of(first=['a', 'b', 'c', 'd'], second=['e', 'f']), accounts=accounts).get_dict()
    assert merged == {
        'requested': 6,
        'admitted': 4,
        'rejected': [{'id': 'b', 'reason': 'too strong'}],
        'failed': [{'id': 'd', 'reason': 'broke off'}],
        'objections': [],
        'retried': 2,
        'calculations': 3,
    }


def test_frames_that_no_job_came_to_are_counted_over_many_rounds():
    """Of a to f each job does two; c fails twice and is not asked for a third time."""
    accounts = {
        'batch_0000': account(failed=['c', 'd', 'e', 'f'], unreached=['d', 'e', 'f']),
        'batch_0000_s01': account(failed=['c', 'e', 'f'], unreached=['e', 'f']),
        'batch_0000_s02': account(rejected=['e'], failed=['f'], unreached=['f']),
        'batch_0000_s03': account(failed=['f'], unreached=['f']),
    }
    assert failed_ids(accounts['batch_0000_s01'], [accounts['batch_0000']]) == ['e', 'f']
    merged = merge_accounts(plan_of(only=['a', 'b', 'c', 'd', 'e', 'f']), accounts=accounts).get_dict()
    assert (merged['requested'], merged['admitted'], merged['retried'], total(merged)) == (6, 3, 4, 6)
    assert [entry['id'] for entry in merged['rejected']] == ['e']
    assert [entry['id'] for entry in merged['failed']] == ['c', 'f']


def test_a_job_without_account_fails_as_a_whole_and_its_retry_counts():
    accounts = {'batch_0000_s01': account(rejected=['b'])}
    merged = merge_accounts(plan_of(first=['a', 'b'], second=['c']), accounts=accounts).get_dict()
    [failed] = merged['failed']
    assert failed['id'] == 'c'
    assert 'batch_0001' in failed['reason']
    assert (merged['admitted'], merged['retried'], total(merged)) == (1, 2, 3)


def test_a_retry_of_dynamics_replaces_all_its_samples():
    accounts = {'batch_0000': account(failed=['a', 'a:10', 'b:10']), 'batch_0000_s01': account(rejected=['a:10'])}
    merged = merge_accounts(plan_of(only=['a', 'a:10', 'b', 'b:10']), accounts=accounts).get_dict()
    assert merged['rejected'] == [{'id': 'a:10', 'reason': 'too strong'}]
    assert merged['failed'] == [{'id': 'b:10', 'reason': 'broke off'}]
    assert (merged['admitted'], merged['retried'], total(merged)) == (2, 1, 4)


def test_select_failed(make_frames):
    frames = FramesData.from_sets([make_frames('Li Br', 3), make_frames('Li S', 2)]).store()
    ids = frames.ids()
    chosen = select_failed(frames, account(failed=[ids[1], ids[4], f'{ids[0]}:10']))
    assert chosen.ids() == [ids[1], ids[4]]
    with pytest.raises(ValueError, match='no frames'):
        select_failed(frames, account())


def test_plan_initial_data_derives_its_seeds():
    parameters = {
        'supercell': [1, 1, 1],
        'scales': [1.0],
        'perturbations': {'number': 1, 'cell_fraction': 0.0, 'displacement': 0.1},
        'dynamics': DYNAMICS,
        'label': {'batch_size': 3},
        'seed': 7,
    }
    plans = [plan_initial_data(orm.Dict({**parameters, 'seed': seed})) for seed in (7, 7, 8)]
    perturb, label = ([plan[name].get_dict() for plan in plans] for name in ('perturb', 'label'))
    assert perturb[0] == perturb[1]
    assert perturb[0]['seed'] != perturb[2]['seed']
    assert label[0]['dynamics']['seed'] not in (perturb[0]['seed'], label[2]['dynamics']['seed'])
    still = plan_initial_data(orm.Dict({**parameters, 'dynamics': None}))
    assert (still['label']['batch_size'], still['label']['dynamics']) == (3, None)
