"""The training chain with the real `dp`: carried on when killed, slowed down when diverged, a smaller batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.workflows.train import TrainBaseWorkChain


@pytest.fixture(scope='module')
def frames(aiida_profile, pair_frames) -> FramesData:
    """Labelled frames of two compositions."""
    return FramesData.from_sets(pair_frames).store()


@pytest.fixture
def wrapped(dp_code, tmp_path):
    """Return a maker of a code that runs lines of bash around `dp`."""

    def make(lines: str) -> orm.InstalledCode:
        script = tmp_path / 'dp'
        script.write_text(f'#!/bin/bash\ndp={dp_code.get_executable()}\n{lines}\n')
        script.chmod(0o755)
        return orm.InstalledCode(
            computer=dp_code.computer,
            filepath_executable=str(script),
            label='dp-wrapped',
            prepend_text=dp_code.prepend_text,
        ).store()

    return make


def run(code: orm.AbstractCode, frames: FramesData, content: dict, iterations: int = 3, **changes) -> orm.WorkChainNode:
    """Run the chain in TensorFlow without freezing."""
    parameters = {'backend': 'tensorflow', 'input': content, 'freeze': False, **changes}
    train = {'code': code, 'training_data': frames, 'parameters': orm.Dict(parameters)}
    return run_get_node(WorkflowFactory('dpasse.train.base'), train=train, max_iterations=iterations)[1]


def test_carried_on(wrapped, frames, tiny_input, tmp_path):
    """Killed after its first checkpoint, the training goes on to the same step with one curve."""
    code = wrapped(
        f'if [ -e {tmp_path}/killed ]; then exec "$dp" "$@"; fi\n'
        '"$dp" "$@" &\n'
        'until [ -e model.ckpt-200.meta ]; do sleep 0.05; done\n'
        f'kill -9 $!; touch {tmp_path}/killed'
    )
    content = tiny_input('se_e2_a', 3000)
    content['training'] |= {'save_freq': 100, 'disp_freq': 50, 'max_ckpt_keep': 100}
    node = run(code, frames, content)
    assert node.is_finished_ok, node.exit_message
    assert [child.exit_status for child in node.called] == [400, 0]
    first, second = sorted(node.called, key=lambda child: child.pk)
    assert second.inputs.restart_folder.uuid == first.outputs.remote_folder.uuid
    assert second.inputs.parameters.uuid == first.inputs.parameters.uuid
    steps = node.outputs.learning_curve.get_array('step')
    assert steps.tolist() == list(range(0, 3001, 50))
    assert np.isfinite(node.outputs.learning_curve.get_array('rmse_f_trn')).all()


def test_learns_slower(dp_code, pair_frames, tiny_input):
    """A loss that is no number: started anew, with a learning rate whose creator is a calcfunction."""
    wrong = [item.with_labels(item.energies, item.forces * 1e153, item.virials) for item in pair_frames]
    node = run(dp_code, FramesData.from_sets(wrong), tiny_input('se_e2_a', 8), iterations=2)
    assert node.exit_status == TrainBaseWorkChain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status
    trainings = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert [child.exit_status for child in trainings] == [410, 410]
    last = max(trainings, key=lambda child: child.pk)
    assert last.inputs.parameters['input']['learning_rate']['start_lr'] == pytest.approx(3e-4)
    assert last.inputs.parameters.creator.process_label == 'lower_learning_rate'
    assert 'restart_folder' not in last.inputs


def test_smaller_batch(wrapped, frames, tiny_input):
    """Out of memory: half the batch, until it fits or there is nothing left to halve."""
    # A machine that holds no batch of more than one frame.
    code = wrapped(
        'if grep -q \'"batch_size": 1,\' input.json; then exec "$dp" "$@"; fi\n'
        'echo "terminate called: std::bad_alloc"; exit 1'
    )
    content = tiny_input('se_e2_a', 8)
    content['training']['training_data'] = {'batch_size': 2}
    node = run(code, frames, content)
    assert node.is_finished_ok, node.exit_message
    trainings = sorted(
        (child for child in node.called if isinstance(child, orm.CalcJobNode)), key=lambda child: child.pk
    )
    assert [child.exit_status for child in trainings] == [420, 0]
    assert trainings[1].inputs.parameters['input']['training']['training_data']['batch_size'] == 1


def test_nothing_left_to_halve(wrapped, frames, tiny_input):
    """Out of memory with one frame: given up, with a code of its own."""
    code = wrapped('echo "std::bad_alloc"; exit 1')
    node = run(code, frames, tiny_input('se_e2_a', 8))
    assert node.exit_status == TrainBaseWorkChain.exit_codes.ERROR_CANNOT_BE_HELPED.status


def test_refused_at_the_top(dp_code, frames, tiny_input):
    """The chain refuses what its training would refuse."""
    content = tiny_input('se_e2_a')
    content['model'] = {**content['model'], 'type_map': ['Li', 'S']}
    with pytest.raises(ValueError, match='Cl is not in the type map Li S'):
        run(dp_code, frames, content)


def test_builder(dp_code, frames):
    """A builder from a protocol is complete, with options of the machine."""
    builder = TrainBaseWorkChain.get_builder_from_protocol(
        dp_code,
        frames,
        protocol='demo',
        overrides={'preset': 'student-demo'},
        options={'train': {'max_wallclock_seconds': 60}},
    )
    assert builder.train.parameters['backend'] == 'tensorflow'
    assert builder.train.metadata.options.max_wallclock_seconds == 60
    assert builder.train.training_data.uuid == frames.uuid
    assert Path(builder.train.code.get_executable()).name == 'dp'
    with pytest.raises(ValueError, match='no protocol `x`'):
        TrainBaseWorkChain.get_builder_from_protocol(dp_code, frames, protocol='x')
