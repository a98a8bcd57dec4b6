"""Protocols and presets of the trainings: all pass DeePMD-kit's checker, and `dpa-sse` is the paper."""

from __future__ import annotations

import pytest
import yaml

from aiida_dpasse.assess.benchmark import BenchmarkWorkChain
from aiida_dpasse.base.protocols import PROTOCOLS, expand_presets, protocol_file
from aiida_dpasse.deepmd.training_input import check_input
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.train import TrainParameters
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain
from aiida_dpasse.train.train import TrainBaseWorkChain

WHOLE = ('dpa2-', 'finetune-', 'member-', 'student-')


def presets(*prefixes: str) -> list[str]:
    """Return the names of presets with one of these prefixes."""
    return [name for name in yaml.safe_load(protocol_file('train').read_text())['presets'] if name.startswith(prefixes)]


@pytest.mark.parametrize('name', presets(*WHOLE))
def test_trainings_are_valid(name):
    """Every whole training is a valid parameters input."""
    assert check_parameters(TrainParameters, expand_presets({'preset': name})) is None


def test_every_protocol_has_every_training():
    """A chain finds its training under the name of the protocol."""
    assert not {f'{prefix}{protocol}' for prefix in WHOLE for protocol in PROTOCOLS} - set(presets(*WHOLE))


@pytest.mark.parametrize('name', presets('model-'))
def test_models_are_valid(name):
    """Every model trains in PyTorch."""
    content = expand_presets(
        {
            'model': {'preset': name},
            'learning_rate': {'start_lr': 1e-3, 'stop_lr': 1e-5},
            'loss': {'preset': 'loss-no-virial'},
            'training': {'numb_steps': 10},
        }
    )
    assert check_input(content, 'pytorch') is None


def test_paper():
    """`dpa-sse` has the paper's printed numbers, and its second schedule by name."""
    parameters = TrainBaseWorkChain.protocol_parameters('dpa-sse')
    content = parameters['input']
    descriptor = content['model']['descriptor']
    assert ' '.join(content['model']['type_map']) == 'Li B O Al Si P S Cl Ga Ge As Br Sn Sb I'
    assert (descriptor['repinit']['rcut'], descriptor['repinit']['tebd_dim']) == (9.0, 8)
    assert descriptor['repinit']['neuron'] == [25, 50, 100]
    assert descriptor['repformer']['nlayers'] == 12
    assert {descriptor['repformer'][f'attn{index}_nhead'] for index in (1, 2)} == {4}
    assert content['model']['fitting_net']['neuron'] == [240, 240, 240]
    loss = content['loss']
    assert [(loss[f'start_pref_{key}'], loss[f'limit_pref_{key}']) for key in 'efv'] == [(0.02, 1), (1000, 1), (0.2, 1)]
    assert content['learning_rate'] == {'type': 'exp', 'start_lr': 2e-4, 'stop_lr': 3e-8, 'decay_steps': 10000}
    assert content['training']['numb_steps'] == 2_000_000

    other = TrainBaseWorkChain.protocol_parameters('dpa-sse', {'preset': 'dpa2-dpa-sse-12M'})['input']
    assert other['learning_rate'] == {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 3.51e-8, 'decay_steps': 60000}
    assert other['training']['numb_steps'] == 12_000_000
    assert other['model'] == content['model']


def test_override_names_another_model():
    """An override exchanges the model of a protocol, or one number of it."""
    changed = TrainBaseWorkChain.protocol_parameters('demo', {'input': {'model': {'preset': 'model-dpa3'}}})
    assert changed['input']['model']['descriptor']['type'] == 'dpa3'
    changed = TrainBaseWorkChain.protocol_parameters(
        'demo', {'input': {'model': {'descriptor': {'repformer': {'nlayers': 5}}}}}
    )
    assert changed['input']['model']['descriptor']['repformer']['nlayers'] == 5
    assert changed['input']['model']['descriptor']['type'] == 'dpa2'


def test_the_papers_number_of_frames():
    """The initial data and the exploration of its 41 systems make its 54,771 frames, the exploration most of them."""
    study = ElectrolyteWorkChain.protocol_parameters('dpa-sse')
    data, learning = study['initial_data'], study['active_learning']
    dynamics = data['dynamics']
    starts = 41 * len(data['scales']) * data['perturbations']['number']
    initial = starts * (dynamics['steps'] // dynamics['interval'] + 1)
    explored = learning['max_active_iterations'] * learning['explore']['max_candidates']
    assert (initial, starts * dynamics['steps']) == (4510, 41_000)
    assert explored == 50_250
    assert initial + explored == pytest.approx(54_771, rel=0.01)
    # No system can be left out, and none can take all labels of an iteration.
    assert 1 <= learning['explore']['max_candidates'] / 41 < learning['explore']['max_per_structure']


def test_the_papers_conditions():
    """What the paper prints about data, tests and dynamics."""
    study = ElectrolyteWorkChain.protocol_parameters('dpa-sse')
    assert study['initial_data']['relax']['max_force'] == 0.01
    assert study['initial_data']['supercell'] == study['active_learning']['explore']['supercell'] == [1, 1, 1]
    for label in (study['initial_data']['label'], study['active_learning']['label'], study['finetune_labels']['label']):
        assert (label['vasp']['incar']['GGA'], label['vasp']['incar']['ENCUT']) == ('PS', 600)
        assert label['vasp']['kpoints']['spacing'] == 0.3
    explore = study['active_learning']['explore']
    assert explore['md']['ensemble'] == 'npt'
    assert (max(explore['temperatures']), min(explore['pressures']), max(explore['pressures'])) == (1200, 0, 2)
    assert study['finetune']['split']['test'] == 40
    assert (study['conductivity']['temperatures'][0], study['conductivity']['temperatures'][-1]) == (300, 1100)
    assert study['reference']['temperatures'] == [300]
    speed = BenchmarkWorkChain.protocol_parameters('dpa-sse')
    assert (speed['ensemble'], speed['temperature']) == ('nvt', 900)
    assert 1350 in speed['atoms']
