"""Changed parameters of a failed training."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.train.adjust_training import last_good_step, lower_learning_rate, reduce_batch, smaller_batch


def parameters(**training_data) -> orm.Dict:
    """Return the part of training parameters that is changed."""
    rate = {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-6}
    return orm.Dict(
        {'backend': 'pytorch', 'input': {'learning_rate': rate, 'training': {'training_data': training_data}}}
    )


def test_lower_learning_rate(aiida_profile):
    """Start and stop go down together; the result has a creator, the input stays."""
    given = parameters()
    changed = lower_learning_rate(given)
    assert changed['input']['learning_rate'] == pytest.approx({'type': 'exp', 'start_lr': 3e-4, 'stop_lr': 3e-7})
    assert changed.creator.process_label == 'lower_learning_rate'
    assert given['input']['learning_rate']['start_lr'] == 1e-3


@pytest.mark.parametrize(
    ('size', 'smaller'), [(8, 4), (3, 1), ('auto', 'auto:16'), ('auto:7', 'auto:3'), ([2, 4], 'auto')]
)
def test_reduce_batch(aiida_profile, size, smaller):
    """Half the frames or half the atoms."""
    assert reduce_batch(parameters(batch_size=size))['input']['training']['training_data']['batch_size'] == smaller


def test_smallest_batch(aiida_profile):
    """One frame cannot be halved: that is for the work chain to say."""
    assert smaller_batch(parameters(batch_size=1).get_dict()) is None
    assert smaller_batch(parameters(batch_size='auto:1').get_dict()) is None
    heads = {'model': {'model_dict': {'PBE': {}, 'PBEsol': {}}}}
    heads['training'] = {'data_dict': {'PBE': {'training_data': {'batch_size': 8}}}}
    smaller = smaller_batch({'input': heads})['input']['training']['data_dict']
    assert [smaller[head]['training_data']['batch_size'] for head in ('PBE', 'PBEsol')] == [4, 'auto:16']


def test_last_good_step(aiida_profile):
    """The row before the divergence counts; a run that has none doubts the checkpoint that it started from."""
    steps = np.arange(10.0, 60.0, 10.0)
    curve = orm.ArrayData({'step': steps, 'rmse_trn': np.where(steps < 40, 1.0, np.nan)})
    assert last_good_step(curve, orm.Dict({'restarted_from': 0})).value == 29
    lost = orm.ArrayData({'step': steps, 'rmse_trn': np.full(5, np.nan)})
    assert last_good_step(lost, orm.Dict({'restarted_from': 9})).value == 8
    assert last_good_step(lost, orm.Dict({'restarted_from': 0})).value == 0
