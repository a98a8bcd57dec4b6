"""Pre-training: what is held out, what comes out, and what is refused."""

from __future__ import annotations

import re

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.merging import merge
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.train.pretrain import PretrainWorkChain

PROTOCOLS = ('dpa-sse', 'balanced', 'fast', 'demo')


def inputs(codes, frames, train, **changes):
    parameters = {'train': train, 'split': {'test': 6}, 'seed': 1} | changes
    chosen = {name: codes[name] for name in PretrainWorkChain.CODES}
    return {'codes': chosen, 'frames': frames, 'parameters': orm.Dict(parameters)}


def test_a_pretraining(pretrained_metals, pure_frames):
    """No frame is lost or used twice, the potential knows both metals, and its errors are those of the test data."""
    outputs = pretrained_metals.outputs
    assert (outputs.checkpoint.form, outputs.frozen.form) == ('checkpoint', 'frozen')
    assert outputs.frozen.descriptor == 'dpa2'
    assert outputs.frozen.type_map == ['Au', 'Cu']
    training, test = set(outputs.training_data.ids()), set(outputs.test_data.ids())
    assert (len(training), len(test)) == (22, 6)
    assert not training & test
    assert training | test < set(pure_frames.ids())
    assert outputs.test_data.formulas == {'Au8': 3, 'Cu8': 3}
    errors = outputs.errors.get_dict()
    assert set(errors) == {'pretrained'}
    assert errors['pretrained']['force_mae_meV_A'] > 0
    assert outputs.learning_curve.get_array('step')[-1] == 30


def test_every_node_has_a_creator_or_is_an_input(pretrained_metals):
    assert orphans(pretrained_metals) == []


def test_held_out_frames_can_be_given(codes, pure_frames, alloy_frames, tiny_dpa2):
    """With test data at hand nothing is split off, and all frames are trained on."""
    builder = PretrainWorkChain.get_builder()
    builder._update(inputs(codes, pure_frames, tiny_dpa2, split={'test': 1}))
    builder.test_data = alloy_frames
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.training_data.uuid == pure_frames.uuid
    assert node.outputs.test_data.uuid == alloy_frames.uuid
    assert 'split' not in node.base.links.get_outgoing().all_link_labels()


@pytest.mark.parametrize(
    ('split', 'message'),
    [
        ({'test': 30}, r'`split`.*30.*30'),
        ({'test': 0}, r'`split.test`.*30'),
        ({'validation': 20, 'test': 0.4}, r'`split`.*32.*30'),
        (
            {'validation': 1.5},
            '`split.validation`',
        ),
        ({'validation': -1}, '`split.validation`'),
    ],
)
def test_impossible_splits_are_refused(codes, pure_frames, tiny_dpa2, split, message):
    """Before anything is submitted, in one sentence."""
    with pytest.raises(ValueError, match=message):
        run_get_node(PretrainWorkChain, **inputs(codes, pure_frames, tiny_dpa2, split=split))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'processes': 2}, 'codes.torchrun: '),
        ({'input': {'model': {'type_map': ['U']}}}, ': Au, Cu '),
        ({'input': {'model': {'descriptor': {'repinit': {'rcut': -4.5}}}}}, 'repinit.rcut`'),
        ({'input': {'model': {'descriptor': {'repinit': {'rcut_smth': 5.0}}}}}, '`rcut`'),
        ({'input': {'model': {'fitting_net': {'neuron': [16, -1]}}}}, 'fitting_net.neuron`'),
        ({'freeze': False}, '`train`'),
        ({'early_stop': {'window': 10}}, '`early_stop`'),
    ],
)
def test_impossible_trainings_are_refused(codes, pure_frames, tiny_dpa2, change, message):
    """What would fail in the training's job is refused before the split."""
    with pytest.raises(ValueError, match=re.escape(message)):
        run_get_node(PretrainWorkChain, **inputs(codes, pure_frames, merge(tiny_dpa2, change)))


def test_torchrun_is_handed_down(codes, pure_frames, tiny_dpa2):
    """With the code, a training in several processes is accepted."""
    builder = PretrainWorkChain.get_builder()
    builder._update(inputs(codes, pure_frames, merge(tiny_dpa2, {'processes': 2})))
    builder.codes.torchrun = codes['dp']
    assert PretrainWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None


def test_frames_without_labels_are_refused(codes, metals, tiny_dpa2):
    """A training needs labels."""
    bare = FramesData.from_structures([metals['copper']])
    with pytest.raises(ValueError, match='frames: '):
        run_get_node(PretrainWorkChain, **inputs(codes, bare, tiny_dpa2))


def test_a_training_that_fails(codes, localhost, pure_frames, tiny_dpa2):
    """It is said which step failed."""
    false = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='false').store()
    _, node = run_get_node(PretrainWorkChain, **inputs({**codes, 'dp': false}, pure_frames, tiny_dpa2))
    assert node.exit_status == PretrainWorkChain.exit_codes.ERROR_TRAINING_FAILED.status
    assert 'checkpoint' not in node.outputs


@pytest.mark.parametrize('name', PROTOCOLS)
def test_protocols_are_valid(codes, pure_frames, name):
    """Every protocol passes the checks of its own port."""
    builder = PretrainWorkChain.get_builder_from_protocol(codes, frames=pure_frames, protocol=name)
    assert builder.parameters['train']['backend'] == 'pytorch'
