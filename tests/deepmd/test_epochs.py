"""Trainings of equal epochs."""

from __future__ import annotations

import pytest

from aiida_dpasse.deepmd.epochs import in_epochs


@pytest.mark.parametrize(('batch', 'steps'), [(1, 200), (4, 50), ('auto', 67), ('auto:64', 40)])
def test_epochs_are_normalised(batch, steps):
    content = {'training': {'numb_steps': 1000, 'training_data': {'batch_size': batch}}}
    train = {'input': {**content, 'learning_rate': {'decay_steps': 10, 'warmup_steps': 50}}}
    # Twenty frames of 13 atoms, ten times; `auto` takes 3 of them a batch, `auto:64` 5.
    found = in_epochs(train, 10, 20, 13)['input']
    assert found['training']['numb_steps'] == steps
    assert found['learning_rate']['decay_steps'] == max(1, round(steps / 100))
    assert found['learning_rate']['warmup_steps'] == max(1, round(steps / 20))
    assert train['input']['training']['numb_steps'] == 1000
