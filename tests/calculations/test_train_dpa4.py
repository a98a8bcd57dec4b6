"""DPA-4, its compact form DPA-4C, and low-rank fine-tuning: the presets train on a CPU; the checkpoints evaluate."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_dpasse.base.protocols import expand_presets
from aiida_dpasse.base.validators import check_freezable
from aiida_dpasse.calculations.freeze import FreezeParameters, check_freezing
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.train import TrainParameters
from aiida_dpasse.train.train_report import lines

pytestmark = pytest.mark.programs


@pytest.fixture(scope='module')
def frames(aiida_profile, pair_frames) -> FramesData:
    """Labelled frames of two compositions."""
    return FramesData.from_sets(pair_frames).store()


def short(preset: str, steps: int) -> dict:
    """Return the parameters of a preset with fewer steps."""
    parameters = expand_presets({'preset': preset})
    parameters['input']['training'] |= {'numb_steps': steps, 'disp_freq': 1, 'save_freq': steps}
    parameters['input']['training']['training_data'] = {'batch_size': 1}
    return parameters


@pytest.fixture(scope='module')
def trained(dp_code, frames) -> dict[str, orm.CalcJobNode]:
    """Both models from scratch, and the first one fine-tuned."""
    process, given = CalculationFactory('dpasse.train'), {'code': dp_code, 'training_data': frames}
    nodes = {}
    for preset in ('dpa4-demo', 'dpa4c-demo', 'finetune-lora'):
        inputs = {**given, 'parameters': orm.Dict(short(preset, 4))}
        if preset == 'finetune-lora':
            inputs['pretrained'] = nodes['dpa4-demo'].outputs.checkpoint
        _, nodes[preset] = run_get_node(process, **inputs)
    return nodes


def test_trained(trained):
    """All steps, and a checkpoint that describes itself; the parameters are those that the optimizer moves."""
    for preset, node in trained.items():
        assert node.is_finished_ok, (preset, node.exit_message)
        results, checkpoint = node.outputs.results.get_dict(), node.outputs.checkpoint
        assert (results['step'], checkpoint.step, results['finished']) == (4, 4, True)
        assert np.isfinite(node.outputs.learning_curve.get_array('rmse_f_trn')).all()
        assert checkpoint.descriptor == ('dpa4c' if 'dpa4c' in preset else 'dpa4')
        assert (checkpoint.cutoff, checkpoint.type_map) == (5.0, ['Cl', 'Li', 'S'])
        assert 'frozen' not in node.outputs
    scratch, tuned = (trained[name].outputs.checkpoint for name in ('dpa4-demo', 'finetune-lora'))
    assert scratch.parameters > 1000
    assert tuned.training_input['model']['descriptor'] == scratch.training_input['model']['descriptor']


def test_lora_is_recorded(trained):
    """The potential, the results and the report say that low-rank matrices were trained."""
    node = trained['finetune-lora']
    expected = {'rank': 8, 'alpha': 8}
    assert node.outputs.checkpoint.lora == expected
    assert node.outputs.results['lora'] == expected
    assert lines(node) == ['4 steps trained, LoRA of rank 8']
    other = trained['dpa4-demo']
    assert (other.outputs.checkpoint.lora, other.outputs.results['lora']) == (None, None)


def test_checkpoints_evaluate(trained, python_code, frames):
    """Finite predictions of all; those of the fine-tuned potential are others than before."""
    potentials = {name.replace('-', '_'): node.outputs.checkpoint for name, node in trained.items()}
    outputs, node = run_get_node(
        CalculationFactory('dpasse.evaluate'), code=python_code, frames=frames, potentials=potentials
    )
    assert node.is_finished_ok, node.exit_message
    forces = {label: outputs['predictions'].get_array(f'{label}_force') for label in potentials}
    assert all(np.isfinite(values).all() for values in forces.values())
    change = np.abs(forces['dpa4_demo'] - forces['finetune_lora']).max()
    assert change > 1e-3 * np.abs(forces['dpa4_demo']).max()


def test_not_for_lammps(trained, dp_code):
    """Frozen they are compiled code: refused before submission, in parameters, freezing and chains."""
    checkpoint = trained['dpa4-demo'].outputs.checkpoint
    messages = [
        check_freezing(checkpoint, FreezeParameters()),
        check_freezable(checkpoint, dp_code),
        *(
            check_parameters(TrainParameters, {**short(name, 4), 'freeze': True})
            for name in ('dpa4-demo', 'dpa4c-demo')
        ),
    ]
    assert ['`.pt2`' in message for message in messages] == [True] * 4
