"""The training calculation with the real `dp`, in both backends, on frames of a pair potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData


@pytest.fixture(scope='module')
def frames(aiida_profile, pair_frames) -> FramesData:
    """Labelled frames of two compositions."""
    return FramesData.from_sets(pair_frames).store()


@pytest.fixture(scope='module')
def inputs(dp_code, frames, tiny_input):
    """Return a maker of inputs."""

    def make(backend: str, descriptor: str, steps: int = 20, changes: dict | None = None, **parameters) -> dict:
        content = tiny_input(descriptor, steps)
        for section, values in (changes or {}).items():
            content[section] = content[section] | values
        return {
            'code': dp_code,
            'training_data': frames,
            'parameters': orm.Dict({'backend': backend, 'input': content, **parameters}),
        }

    return make


def run(given: dict) -> orm.CalcJobNode:
    """Run a training."""
    return run_get_node(CalculationFactory('dpasse.train'), **given)[1]


def check_curve(node: orm.CalcJobNode, last: int) -> None:
    """Check the learning curve and the results of a training that came to its end."""
    curve, results = node.outputs.learning_curve, node.outputs.results.get_dict()
    steps = curve.get_array('step')
    assert (np.diff(steps) > 0).all()
    assert steps[-1] == last
    assert np.isfinite(curve.get_array('rmse_f_trn')).all()
    assert results['finished']
    assert results['step'] == results['checkpoint_step'] == results['numb_steps'] == last
    assert results['deepmd_version'] == '3.2.0'
    assert results['seconds_per_step'] > 0
    assert results['last']['rmse_f_trn'] == curve.get_array('rmse_f_trn')[-1]


@pytest.fixture(scope='module')
def pretrained(inputs) -> orm.CalcJobNode:
    """A tiny DPA-2, trained on data in the mixed layout."""
    node = run(inputs('pytorch', 'dpa2', mixed=True, seed=3))
    assert node.is_finished_ok, node.exit_message
    return node


def test_tensorflow(inputs, frames):
    """TensorFlow: trained, frozen and compressed in one job, with validation data."""
    node = run({**inputs('tensorflow', 'se_e2_a', compress=True), 'validation_data': frames})
    assert node.is_finished_ok, node.exit_message
    check_curve(node, 20)
    assert 'rmse_f_val' in node.outputs.learning_curve.get_arraynames()
    assert 'checkpoint' not in node.outputs
    assert (node.outputs.frozen.form, node.outputs.compressed.form) == ('frozen', 'compressed')
    for potential in (node.outputs.frozen, node.outputs.compressed):
        assert potential.framework == 'tensorflow'
        assert potential.deepmd_version == '3.2.0'
        assert potential.type_map == ['Li', 'S', 'Cl']
    # The models are nodes of their own, and the frames an input.
    assert not [name for name in node.outputs.retrieved.base.repository.list_object_names() if name.endswith('.pb')]
    assert node.base.repository.list_object_names() == ['.aiida', '_aiidasubmit.sh', 'dpasse_dp.zip', 'input.json']


def test_pytorch_mixed(pretrained):
    """PyTorch: checkpoint and frozen potential; mixed data are not kept a second time in the node."""
    check_curve(pretrained, 20)
    outputs = pretrained.outputs
    assert (outputs.checkpoint.form, outputs.checkpoint.step, outputs.frozen.form) == ('checkpoint', 20, 'frozen')
    assert outputs.checkpoint.descriptor == outputs.frozen.descriptor == 'dpa2'
    names = pretrained.base.repository.list_object_names()
    assert names == ['.aiida', '_aiidasubmit.sh', 'dpasse_dp.zip', 'input.json']


def test_finetune(inputs, pretrained):
    """Fine-tuning takes the model of the pre-trained potential, and starts below a training from scratch."""
    given = inputs('pytorch', 'dpa2', steps=4, finetune={}, freeze=False)
    content = given['parameters'].get_dict()
    content['input']['model'] = {}
    given |= {'parameters': orm.Dict(content), 'pretrained': pretrained.outputs.checkpoint}
    node = run(given)
    assert node.is_finished_ok, node.exit_message
    assert 'frozen' not in node.outputs
    tuned, source = node.outputs.checkpoint, pretrained.outputs.checkpoint
    assert tuned.training_input['model']['descriptor'] == source.training_input['model']['descriptor']
    assert (tuned.type_map, tuned.parameters) == (source.type_map, source.parameters)
    first = node.outputs.learning_curve.get_array('rmse_e_trn')[0]
    assert first < pretrained.outputs.learning_curve.get_array('rmse_e_trn').max()


def test_restart(inputs, pretrained):
    """A training that was stopped goes on from its checkpoint, counts no neighbours again and keeps its own curve."""
    given = inputs('pytorch', 'dpa2', steps=40, mixed=True, seed=3, freeze=False)
    node = run({**given, 'restart_folder': pretrained.outputs.remote_folder})
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.results['restarted_from'] == 20
    steps = node.outputs.learning_curve.get_array('step')
    assert steps.tolist() == [20, 30, 40]
    assert node.outputs.checkpoint.step == 40
    assert 'Calculate neighbor statistics' not in node.outputs.retrieved.base.repository.get_object_content('train.out')


def test_restart_goes_back(inputs, pretrained, tmp_path):
    """From a checkpoint that is cut short it goes back to the one before, from a limit to one that is early enough."""
    damaged = orm.RemoteData(remote_path=str(tmp_path), computer=pretrained.computer).store()
    source = Path(pretrained.outputs.remote_folder.get_remote_path())
    for name in ('model.ckpt-10.pt', 'model.ckpt-20.pt', 'checkpoint'):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    last = tmp_path / 'model.ckpt-20.pt'
    last.write_bytes(last.read_bytes()[:-1000])
    given = inputs('pytorch', 'dpa2', steps=40, mixed=True, seed=3, freeze=False)
    node = run({**given, 'restart_folder': damaged})
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.results['restarted_from'] == 10
    assert node.outputs.checkpoint.step == 40
    node = run({**given, 'restart_folder': damaged, 'restart_step': orm.Int(9)})
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_NO_WHOLE_CHECKPOINT.status, node.exit_message
    assert '`restart_folder`' in node.exit_message


def test_interrupted(inputs, tmp_path):
    """A training that is killed gives what it has, and an exit code that says how to go on."""
    steps = 10**6
    given = inputs(
        'tensorflow',
        'se_e2_a',
        freeze=False,
        changes={'training': {'numb_steps': steps, 'save_freq': 10, 'disp_freq': 5}},
    )
    dp = given['code']
    # The program is killed once it has written a checkpoint, as a scheduler does at the end of the walltime.
    script = tmp_path / 'dp'
    script.write_text(f"""#!/bin/bash
"{dp.get_executable()}" "$@" &
until [ -e model.ckpt-20.meta ] || ! kill -0 $!; do sleep 0.05; done
kill -9 $!
""")
    script.chmod(0o755)
    killed = orm.InstalledCode(
        computer=dp.computer, filepath_executable=str(script), label='dp-killed', prepend_text=dp.prepend_text
    ).store()
    node = run({**given, 'code': killed})
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_INTERRUPTED.status, node.exit_message
    results = node.outputs.results
    assert results['checkpoint_step'] >= 20
    assert not results['finished']
    assert f'of {steps}: ' in node.exit_message
    assert node.outputs.learning_curve.get_array('step')[-1] >= 10


def test_diverged(inputs, pair_frames):
    """A loss that becomes nan is named as such."""
    wrong = [item.with_labels(item.energies, item.forces * 1e153, item.virials) for item in pair_frames]
    node = run({**inputs('tensorflow', 'se_e2_a', freeze=False), 'training_data': FramesData.from_sets(wrong)})
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_DIVERGED.status, (node.exit_status, node.exit_message)
    assert 'lower `learning_rate.start_lr`' in node.exit_message
    assert 'learning_curve' in node.outputs


@pytest.mark.parametrize(
    ('backend', 'parameters', 'changes', 'message'),
    [
        ('tensorflow', {}, {'model': {'type_map': ['Li', 'S']}}, 'training_data: '),
        ('tensorflow', {'mixed': True}, {}, '`mixed`'),
        ('tensorflow', {'compress': True, 'freeze': False}, {}, '`compress`'),
        ('pytorch', {'finetune': {}}, {}, 'pretrained: `finetune`'),
        (
            'pytorch',
            {},
            {'training': {'numb_steps': 0}},
            '`training.numb_steps`',
        ),
        ('pytorch', {}, {'loss': {'start_pref_x': 1}}, 'undefined key `start_pref_x`'),
        ('jax', {}, {}, '`backend`'),
    ],
)
def test_refused(inputs, backend, parameters, changes, message):
    """Wrong parameters are refused in one sentence, before anything is submitted."""
    with pytest.raises(ValueError, match=message):
        run(inputs(backend, 'se_e2_a', changes=changes, **parameters))


def test_refused_inputs(inputs, pair_frames, pretrained):
    """Frames, potential and code that do not go together are refused."""
    given = inputs('pytorch', 'se_e2_a')
    bare = FramesData.from_sets([pair_frames[0].with_labels()])
    with pytest.raises(ValueError, match='training_data: '):
        run({**given, 'training_data': bare})
    few = FramesData.from_sets([pair_frames[0].with_labels(pair_frames[0].energies, pair_frames[0].forces)])
    with pytest.raises(ValueError, match=r'`input\.loss\.start_pref_v`'):
        run({**given, 'training_data': few})
    checkpoint = pretrained.outputs.checkpoint
    with pytest.raises(ValueError, match='restart_step: '):
        run({**given, 'restart_step': orm.Int(3)})
    with pytest.raises(ValueError, match='torchrun: '):
        run(inputs('pytorch', 'se_e2_a', processes=2))
    with pytest.raises(ValueError, match='`finetune`'):
        run({**given, 'pretrained': checkpoint})
    tune = inputs('pytorch', 'dpa2', finetune={})
    with pytest.raises(ValueError, match=r'pretrained: .*pytorch'):
        run({**tune, 'pretrained': pretrained.outputs.frozen})
    headed = inputs('pytorch', 'dpa2', finetune={'model_branch': 'PBE'})
    with pytest.raises(ValueError, match='`PBE`'):
        run({**headed, 'pretrained': checkpoint})


def test_old_program_is_refused(inputs, pretrained):
    """A DeePMD-kit that cannot read the checkpoint is named with both versions."""
    given = {**inputs('pytorch', 'dpa2', finetune={}), 'pretrained': pretrained.outputs.checkpoint}
    old = orm.InstalledCode(
        computer=given['code'].computer, filepath_executable=str(given['code'].get_executable()), label='dp-old'
    ).store()
    old.base.extras.set('dpasse_version', '3.1.0')
    with pytest.raises(ValueError, match=r'3\.2\.0.* 3\.1\.0'):
        run({**given, 'code': old})


def test_potential_outputs_are_potentials(pretrained):
    """The outputs are nodes of our type, read back from the database."""
    assert isinstance(orm.load_node(pretrained.outputs.checkpoint.pk), DeepPotentialData)
