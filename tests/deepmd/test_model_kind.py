"""Models that are no potentials, made by DeePMD-kit itself or written as their sections; files of other formats."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path

import made_up_models
import numpy as np
import pytest

from aiida_dpasse.deepmd.checkpoint import read_model_file
from aiida_dpasse.deepmd.compatibility import objection_to_lammps, objection_to_python
from aiida_dpasse.deepmd.model_kind import check_potential

SHARED = Path(__file__).parents[3] / 'shared' / 'cases' / 'files' / 'models'
DESCRIPTOR = {'type': 'se_e2_a', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [20, 20], 'neuron': [4, 8], 'axis_neuron': 2}
MODEL = {'type_map': ['Li', 'S'], 'descriptor': DESCRIPTOR, 'fitting_net': {'type': 'ener', 'neuron': [8, 8]}}


def fitting(**changes) -> dict:
    """Return a model section with another fitting net."""
    return {**MODEL, 'fitting_net': MODEL['fitting_net'] | changes}


ATTENTION = {'type': 'se_atten', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': 40, 'neuron': [4, 8], 'axis_neuron': 2}
MIXED = {**MODEL, 'descriptor': ATTENTION | {'attn_layer': 0}}
#: Sections of models by a word of the sentence that refuses each.
OTHERS = {
    'dipole': fitting(type='dipole'),
    'polar': fitting(type='polar'),
    'dos': fitting(type='dos', numb_dos=4),
    'property': {**MIXED, 'fitting_net': {'type': 'property', 'neuron': [8], 'property_name': 'gap', 'task_dim': 1}},
    'spin': {**MODEL, 'spin': {'use_spin': [True, False], 'virtual_scale': [0.3, 0.3]}},
    'linear_ener': {'type': 'linear_ener', 'type_map': ['Li', 'S'], 'models': [MIXED, MIXED], 'weights': 'mean'},
    'numb_fparam': fitting(numb_fparam=2),
}


def written(folder: Path, name: str, section: dict) -> Path:
    """Write the checkpoint of a model, as far as it is read."""
    return made_up_models.checkpoint(folder / f'{name}.pt', section, 0)


@pytest.mark.programs
@pytest.mark.parametrize('kind', OTHERS)
def test_frozen_models_of_another_kind(tmp_path, kind):
    """DeePMD-kit's frozen model of each kind is refused for what it is, and so is its checkpoint."""
    import torch
    from deepmd.pt.model.model import get_model

    model = get_model(copy.deepcopy(OTHERS[kind]))
    torch.jit.save(torch.jit.script(model), tmp_path / 'model.pth')
    for path in (tmp_path / 'model.pth', written(tmp_path, 'model', OTHERS[kind])):
        with pytest.raises(ValueError, match=rf'^`{path.name}` .*`{kind}`') as caught:
            read_model_file(path)
        assert str(caught.value).count('\n') == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason='the shared cases are not beside this repository')
@pytest.mark.parametrize('path', sorted(SHARED.glob('*.pt*')), ids=lambda path: path.name)
def test_shared_models(path):
    """No model of the audit is a potential."""
    kind = path.stem.replace('linear', 'linear_ener')
    with pytest.raises(ValueError, match=f'`{kind}`'):
        read_model_file(path)


@pytest.mark.parametrize(
    ('section', 'word'),
    [
        (MODEL, None),
        ({**MODEL, 'fitting_net': {}}, None),
        ({'type': 'dpa4', 'descriptor': {}, 'fitting_net': {'type': 'dpa4_ener'}}, None),
        (fitting(type='population'), 'population'),
        (fitting(type='direct_force_ener'), 'direct_force_ener'),
        (fitting(numb_fparam=1, default_fparam=[0.5]), None),
        (fitting(numb_aparam=1), 'numb_aparam'),
        ({**MODEL, 'modifier': {'type': 'dipole_charge'}}, 'DPLR'),
        ({**MODEL, 'descriptor': DESCRIPTOR | {'add_chg_spin_ebd': True}}, 'add_chg_spin_ebd'),
        ({**MODEL, 'descriptor': DESCRIPTOR | {'add_chg_spin_ebd': True, 'default_chg_spin': [0, 1]}}, None),
        ({'type': 'pairtab', 'tab_file': 'zbl.txt', 'rcut': 4.0}, 'pair_style table'),
        ({'type': 'pairwise_dprc'}, 'DPRc'),
        ({'type': 'frozen', 'model_file': 'other.pb'}, '`other.pb`'),
    ],
)
def test_sections(section, word):
    """What a model needs beyond positions, cell and elements, and what it gives."""
    message = check_potential(section)
    assert message is None if word is None else word in message


def test_table_of_short_distances():
    """A checkpoint does not contain its table, a frozen model does."""
    section = {**MODEL, 'use_srtab': 'zbl.txt'}
    assert check_potential(section) is None
    assert '`zbl.txt`' in check_potential(section, checkpoint=True)


def test_heads_of_several_kinds(tmp_path):
    """The heads that are potentials can be chosen, the others are named with the reason; without any it is refused."""
    heads = {'energies': MODEL, 'gaps': OTHERS['property']}
    read = read_model_file(written(tmp_path, 'both', {'model_dict': heads}))
    assert read.heads == ['energies']
    assert list(read.other_heads) == ['gaps']
    assert '`property`' in read.other_heads['gaps']
    with pytest.raises(ValueError, match='`property`'):
        read_model_file(written(tmp_path, 'none', {'model_dict': {'gaps': OTHERS['property']}}))


@pytest.mark.parametrize(
    ('name', 'command'),
    [
        ('x.dp', 'dp convert-backend x.dp x.pth'),
        ('x.yaml', 'dp convert-backend x.yaml x.pth'),
        ('x.json', 'dp convert-backend x.json x.pth'),
        ('x.savedmodel', 'dp convert-backend x.savedmodel x.pth'),
        ('x.pt2', 'dp convert-backend x.pt2 x.pth'),
        ('x.pte', 'dp convert-backend x.pte x.pth'),
        ('x.pbtxt', 'dp convert-from pbtxt -i x.pbtxt -o x.pb'),
        ('model.ckpt.meta', 'dp --tf freeze -o model.pb'),
    ],
)
def test_other_formats(tmp_path, name, command):
    """A file or a directory of another backend is refused with the command that converts it."""
    (tmp_path / name).mkdir() if name.endswith('.savedmodel') else (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ValueError, match=f'`{name}` ') as caught:
        read_model_file(tmp_path / name)
    assert f'`{command}`' in str(caught.value)


@pytest.mark.programs
def test_format_that_is_converted(tmp_path):
    """The command of the sentence leads to a file that is read."""
    import torch
    from deepmd.dpmodel.utils.serialization import save_dp_model
    from deepmd.entrypoints.convert_backend import convert_backend
    from deepmd.pt.model.model import get_model
    from deepmd.pt.utils.serialization import serialize_from_file

    torch.jit.save(torch.jit.script(get_model(copy.deepcopy(MODEL))), tmp_path / 'source.pth')
    save_dp_model(str(tmp_path / 'x.dp'), serialize_from_file(str(tmp_path / 'source.pth')))
    # What `dp convert-backend` calls.
    convert_backend(INPUT=str(tmp_path / 'x.dp'), OUTPUT=str(tmp_path / 'x.pth'))
    read = read_model_file(tmp_path / 'x.pth')
    assert (read.form, read.type_map, read.cutoff, read.python_before) == ('frozen', ['Li', 'S'], 4.0, None)


@pytest.mark.programs
def test_weights_alone(tmp_path):
    """A state without the model section is refused with what to give; no word of Python is in any sentence."""
    import torch

    torch.save({'net.matrix': torch.zeros(2, 3)}, tmp_path / 'bare.pt')
    with pytest.raises(ValueError, match=r'`model\.ckpt\.pt`'):
        read_model_file(tmp_path / 'bare.pt')
    for section in ({'type_map': ['Li']}, {**MODEL, 'descriptor': {'type': 'se_e2_a'}}, {**MODEL, 'type_map': []}):
        with pytest.raises(ValueError, match='is no model of DeePMD-kit') as caught:
            read_model_file(written(tmp_path, 'odd', section))
        assert "'" not in str(caught.value)


def before_3_2(source: Path, target: Path) -> Path:
    """Write a frozen model whose methods lack the argument that DeePMD-kit's Python gives since 3.2."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, 'w') as copied:
        for entry in read.infolist():
            content = read.read(entry)
            if entry.filename.endswith('.py'):
                content = content.replace(b'charge_spin', b'charge_were')
            copied.writestr(entry.filename, content)
    return target


@pytest.mark.programs
def test_frozen_by_an_earlier_release(tmp_path, tiny_torch_model):
    """Python of 3.2 fails with it, which the file tells; the command of the sentence leads to one that it evaluates."""
    from deepmd.entrypoints.convert_backend import convert_backend
    from deepmd.infer import DeepPot

    old = before_3_2(tiny_torch_model, tmp_path / 'old.pth')
    read = read_model_file(old)
    assert (read.python_before, read.form) == ('3.2', 'frozen')
    assert read_model_file(tiny_torch_model).python_before is None
    assert objection_to_python('3.1.3', read.python_before) is None
    assert objection_to_python('3.2.0', None) is None
    message = objection_to_python('3.2.0', read.python_before)
    assert message == objection_to_python('v3.2.0', read.python_before).replace('v3.2.0', '3.2.0')
    # Neighbours are counted by element in DeepPot-SE, together in DPA-2.
    assert '3.2' in objection_to_lammps('se_e2_a', read.python_before)
    assert objection_to_lammps('dpa2', read.python_before) is None
    assert objection_to_lammps('se_e2_a', None) is None
    assert '`dp convert-backend old.pth new.pth`' in message
    convert_backend(INPUT=str(old), OUTPUT=str(tmp_path / 'new.pth'))
    assert read_model_file(tmp_path / 'new.pth').python_before is None
    coordinates, cell = np.array([[0, 0, 0, 2.5, 0, 0.1]]), np.eye(3).reshape(1, 9) * 7
    energies = {}
    for path in (tmp_path / 'new.pth', tiny_torch_model):
        energies[path.name] = DeepPot(path).eval(coordinates, cell, [0, 2])[0].item()
    assert energies['new.pth'] == pytest.approx(energies['model.pth'], rel=0, abs=1e-12)
    with pytest.raises(RuntimeError, match='charge_spin'):
        DeepPot(old).eval(coordinates, cell, [0, 2])


def test_description_is_complete(tmp_path):
    """The model section is kept as it is, so that a node can be judged later."""
    read = read_model_file(written(tmp_path, 'model', MODEL))
    assert json.loads(json.dumps(read.training_input)) == {'model': MODEL}
