"""Training inputs: DeePMD-kit's checker in one sentence, every seed filled, data paths."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest

from aiida_dpasse.deepmd.multitask import single_model, type_map_of
from aiida_dpasse.deepmd.training_input import (
    check_compressible,
    check_input,
    complete_input,
    fill_seeds,
)

SE_E2_A = {'type': 'se_e2_a', 'rcut': 4.0, 'sel': [30, 30]}
INPUT = {
    'model': {'type_map': ['Li', 'S'], 'descriptor': SE_E2_A, 'fitting_net': {'neuron': [8]}},
    'learning_rate': {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-5},
    'loss': {'type': 'ener'},
    'training': {'numb_steps': 10},
}
HEADS = {
    'shared_dict': {'types': ['Li', 'S', 'P'], 'net': SE_E2_A},
    'model_dict': {
        'PBE': {'type_map': 'types', 'descriptor': 'net', 'fitting_net': {'neuron': [8]}},
        'PBEsol': {'type_map': 'types', 'descriptor': 'net:1', 'fitting_net': {'neuron': [9]}},
    },
}


def changed(path: str, value: object) -> dict:
    """Return the input with one entry exchanged."""
    content = copy.deepcopy(INPUT)
    *parents, key = path.split('.')
    section = content
    for parent in parents:
        section = section[parent]
    section[key] = value
    return content


def test_good_inputs():
    """Inputs that `dp train` takes, in both backends and with several heads."""
    before = copy.deepcopy(INPUT)
    assert check_input(INPUT, 'pytorch') is None
    assert check_input(INPUT, 'tensorflow') is None
    assert before == INPUT
    assert check_input({**INPUT, 'model': {}}, 'pytorch', finetune=True) is None


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (
            changed('model.descriptor.rcutt', 3),
            '`model.descriptor`',
        ),
        (changed('model.descriptor.type', 'nope'), '`nope`'),
        (changed('model.descriptor', {}), '`type`'),
        (changed('training.numb_steps', 'ten'), '`numb_steps`'),
        (changed('training.numb_steps', -1), '`training.numb_steps`'),
        (changed('training', {}), 'numb_steps'),
        (changed('training', 3), '`training`'),
        (changed('model.type_map', ['Li', 'Li']), '`model.type_map`'),
        (changed('learning_rate.start_lr', 0), '`learning_rate.start_lr`'),
        (changed('loss.start_pref_q', 1), '`start_pref_q`'),
        (changed('model', {'type_map': ['Li']}), '`descriptor`'),
        (changed('model', HEADS), '`loss_dict`'),
    ],
)
def test_refused(content, message):
    """One sentence names the key."""
    sentence = check_input(content, 'pytorch')
    assert message in sentence
    assert '\n' not in sentence


def test_backends():
    """What trains in PyTorch only is refused for TensorFlow, and an unknown backend altogether."""
    repflow = {'e_rcut': 6.0, 'e_rcut_smth': 5.0, 'e_sel': 10, 'a_rcut': 4.0, 'a_rcut_smth': 3.0, 'a_sel': 5}
    dpa3 = changed('model.descriptor', {'type': 'dpa3', 'repflow': repflow})
    assert check_input(dpa3, 'pytorch') is None
    assert '`dpa3`' in check_input(dpa3, 'tensorflow')
    assert 'backend: ' in check_input(INPUT, 'jax')


def test_the_last_checkpoint_of_tensorflow():
    """Saved where both intervals divide the step, and after the last step if `save_freq` does not divide it."""
    cases = {(20, 5, 100): False, (100, 50, 30): False, (20, 5, 10): True, (20, 7, 100): True, (100, 50, 50): True}
    for (steps, save, display), accepted in cases.items():
        content = changed('training', {'numb_steps': steps, 'save_freq': save, 'disp_freq': display})
        assert (check_input(content, 'tensorflow') is None) is accepted
        assert check_input(content, 'pytorch') is None


def test_seeds():
    """Every seed that is open is filled, differently, from one; those given stay."""
    filled = fill_seeds(changed('model.fitting_net.seed', 7), 5)
    assert filled['model']['fitting_net']['seed'] == 7
    seeds = {filled['model']['descriptor']['seed'], filled['training']['seed'], 7}
    assert len(seeds) == 3
    assert filled == fill_seeds(changed('model.fitting_net.seed', 7), 5)
    assert filled['training']['seed'] != fill_seeds(INPUT, 6)['training']['seed']
    hybrid = fill_seeds(changed('model.descriptor', {'type': 'hybrid', 'list': [SE_E2_A, dict(SE_E2_A)]}), 5)
    assert 'seed' not in hybrid['model']['descriptor']
    assert len({member['seed'] for member in hybrid['model']['descriptor']['list']}) == 2
    assert check_input(hybrid, 'tensorflow') is None


def test_complete():
    """Data paths, type map and defaults; what was given stays."""
    content = complete_input(INPUT, training_systems=['a', 'b'], seed=1, type_map=['P'])
    assert content['training']['training_data'] == {'batch_size': 'auto', 'systems': ['a', 'b']}
    assert 'validation_data' not in content['training']
    assert content['model']['type_map'] == ['Li', 'S']
    open_map = complete_input(changed('model.type_map', []), training_systems=['a'], type_map=['P'])
    assert open_map['model']['type_map'] == ['P']
    assert 'seed' not in open_map['training']
    given = changed('training.training_data', {'batch_size': 3})
    validated = complete_input(given, training_systems=['a'], validation_systems=['c'])['training']
    assert validated['validation_data'] == {'batch_size': 3, 'numb_btch': 1, 'systems': ['c']}
    assert check_input({**INPUT, 'training': validated}, 'pytorch') is None


def test_heads():
    """Type map and sections of a model with several heads."""
    assert type_map_of(HEADS) == ['Li', 'S', 'P']
    assert single_model(HEADS, 'PBEsol') == {'descriptor': SE_E2_A, 'fitting_net': {'neuron': [9]}}
    assert single_model(INPUT['model'])['descriptor'] == SE_E2_A


@pytest.mark.parametrize(
    ('descriptor', 'message'),
    [
        (SE_E2_A, None),
        ({'type': 'dpa3'}, 'DPA-3 cannot be compressed'),
        ({'type': 'dpa2', 'repinit': {}}, 'tebd_input_mode'),
        ({'type': 'dpa2', 'repinit': {'tebd_input_mode': 'strip'}}, None),
        ({'type': 'dpa1', 'tebd_input_mode': 'strip'}, 'without attention'),
        ({'type': 'se_atten', 'attn_layer': 0}, 'tebd_input_mode'),
        ({'type': 'se_atten', 'attn_layer': 0, 'tebd_input_mode': 'strip'}, None),
    ],
)
def test_compressible(descriptor, message):
    """What `dp compress` refuses is known beforehand."""
    sentence = check_compressible({'descriptor': descriptor})
    assert sentence is None if message is None else message in sentence


def test_no_backend_is_imported():
    """Checking an input needs neither torch nor TensorFlow."""
    code = (
        'import sys; from aiida_dpasse.deepmd.training_input import check_input; '
        f'assert check_input({INPUT!r}, "pytorch") is None; '
        'sys.exit(bool({"torch", "tensorflow", "aiida"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
