"""Several heads on one descriptor, each with frames and a loss of its own, trained by the real `dp`."""

from __future__ import annotations

from copy import deepcopy

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_dpasse.base.jobs import FreezeBaseWorkChain
from aiida_dpasse.base.validators import check_checkpoints
from aiida_dpasse.data.frames import FramesData


@pytest.fixture(scope='module')
def inputs(dp_code, aiida_profile, pair_frames, other_pair_frames, tiny_input):
    """Return a maker of inputs of a training of the heads PBE and PBEsol."""
    single = tiny_input('dpa2', 20)
    head = {'type_map': 'type_map', 'descriptor': 'shared', 'fitting_net': single['model']['fitting_net']}
    content = {
        'model': {
            'shared_dict': {'type_map': ['Li', 'S', 'Cl'], 'shared': single['model']['descriptor']},
            'model_dict': {'PBE': deepcopy(head), 'PBEsol': deepcopy(head)},
        },
        'learning_rate': single['learning_rate'],
        'loss_dict': {'PBE': single['loss'], 'PBEsol': single['loss']},
        'training': {
            'model_prob': {'PBE': 0.5, 'PBEsol': 0.5},
            **{key: value for key, value in single['training'].items() if key != 'training_data'},
        },
    }
    frames = {
        'PBE': FramesData.from_sets(pair_frames).store(),
        'PBEsol': FramesData.from_sets(other_pair_frames).store(),
    }

    def make(**parameters):
        given = {'backend': 'pytorch', 'input': content, 'head': 'PBEsol', **parameters}
        return {'code': dp_code, 'head_training_data': dict(frames), 'parameters': orm.Dict(given)}

    return make


def run(given: dict) -> orm.CalcJobNode:
    """Run a training."""
    return run_get_node(CalculationFactory('dpasse.train'), **given)[1]


def test_two_heads_are_trained_and_one_is_frozen(inputs):
    node = run(inputs())
    assert node.is_finished_ok, node.exit_message
    checkpoint, frozen = node.outputs.checkpoint, node.outputs.frozen
    assert checkpoint.heads == ['PBE', 'PBEsol']
    assert (frozen.heads, frozen.form, frozen.type_map) == ([], 'frozen', ['Li', 'S', 'Cl'])
    assert node.outputs.learning_curve.get_array('step')[-1] == 20

    job = {'code': node.inputs.code, 'potential': checkpoint}
    with pytest.raises(ValueError, match='`head`'):
        run_get_node(FreezeBaseWorkChain, job=job)
    with pytest.raises(ValueError, match='`LDA`'):
        run_get_node(FreezeBaseWorkChain, job={**job, 'parameters': {'head': 'LDA'}})
    message = check_checkpoints({'potential': checkpoint, 'codes': {'dp': node.inputs.code}}, ['potential'])
    assert ' PBE, PBEsol: ' in message
    outputs, other = run_get_node(FreezeBaseWorkChain, job={**job, 'parameters': {'head': 'PBE'}})
    assert other.is_finished_ok, other.exit_message
    assert (outputs['frozen'].form, outputs['frozen'].heads) == ('frozen', [])
    assert outputs['frozen'].sha256 != frozen.sha256
    assert 'compressed' not in outputs


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'head': None}, '`head`'),
        ({'head': 'LDA'}, r'`head`.*`LDA`'),
        ({'backend': 'tensorflow'}, 'are trained in PyTorch only'),
    ],
)
def test_heads_that_do_not_go_together_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run(inputs(**changes))


def test_every_head_needs_frames(inputs):
    given = inputs()
    del given['head_training_data']['PBE']
    with pytest.raises(ValueError, match=r'head_training_data: .*`PBE`'):
        run(given)
    given = inputs()
    given['training_data'] = given['head_training_data']['PBE']
    with pytest.raises(ValueError, match=r'training_data: .*`head_training_data`'):
        run(given)
