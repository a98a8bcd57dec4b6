"""`DeepPotentialData`: what it reads from a file, what it refuses, and which DeePMD-kit can use it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import made_up_models
import pytest
from aiida import orm
from aiida.common.exceptions import StoringNotAllowed, ValidationError
from aiida.plugins import DataFactory
from deepmd.pretrained.registry import MODEL_REGISTRY

from aiida_dpasse.base.validators import check_dynamics_of
from aiida_dpasse.calculations import evaluate, label, md
from aiida_dpasse.calculations.freeze import FreezeParameters, check_freezing
from aiida_dpasse.data.engine import VERSION_EXTRA
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.unreadable import UnreadableError

MODEL = {
    'type_map': ['Li', 'P', 'S', 'Cl'],
    'descriptor': {'type': 'se_e2_a', 'rcut': 6.0},
    'fitting_net': {'neuron': [8]},
}
DPA2 = {**MODEL, 'descriptor': {'type': 'dpa2', 'repinit': {'rcut': 9.0}, 'repformer': {'rcut': 4.0}}}


def forged(node: DeepPotentialData, **attributes) -> DeepPotentialData:
    """Change attributes of a stored node behind AiiDA's back, as an archive of somebody else can."""
    node.backend_entity.bare_model.attributes = {**node.base.attributes.all, **attributes}
    node.backend.get_session().commit()
    return orm.load_node(node.pk)


def answer(check: Callable[[], str | None]) -> str:
    """Return the sentence that a check returns or ends with."""
    try:
        return check() or ''
    except UnreadableError as error:
        return str(error)


def checkpoint(path: Path, model: dict | None = None, old: bool = False) -> Path:
    """Write a checkpoint as PyTorch does."""
    names = ['mean', *([] if old else ['type_embd_data'])]
    weights = {f'model.Default.descriptor.repinit.{name}': made_up_models.Tensor() for name in names}
    return made_up_models.checkpoint(path, model or MODEL, 99, **weights)


def test_from_file(aiida_profile, tmp_path):
    """Everything that the file says, also after it is read back."""
    path = checkpoint(tmp_path / 'any name.pt')
    node = DeepPotentialData.from_file(path, deepmd_version='3.2.0').store()
    node = orm.load_node(node.pk)
    assert isinstance(node, DeepPotentialData)
    assert DataFactory('dpasse.potential') is DeepPotentialData
    assert node.filename == 'model.pt'
    assert (node.framework, node.form, node.descriptor, node.cutoff) == ('pytorch', 'checkpoint', 'se_e2_a', 6.0)
    assert (node.type_map, node.heads, node.step, node.parameters) == (['Li', 'P', 'S', 'Cl'], [], 100, 0)
    assert node.training_input == {'model': MODEL}
    assert node.deepmd_version == '3.2.0'
    assert node.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_frozen(aiida_profile, tmp_path):
    """DeePMD-kit determines the backend from the name in the repository; the version may be unknown."""
    node = DeepPotentialData.from_file(made_up_models.frozen(tmp_path / 'x.pth', MODEL)).store()
    assert (node.filename, node.form) == ('model.pth', 'frozen')
    assert (node.parameters, node.step, node.deepmd_version) == (None, None, None)


def test_elements(aiida_profile, tmp_path):
    """Missing elements are named."""
    node = DeepPotentialData.from_file(checkpoint(tmp_path / 'a.pt'))
    assert node.missing_elements(['S', 'Li']) == []
    assert node.missing_elements(['Sn', 'Li', 'Br', 'Sn']) == ['Br', 'Sn']
    assert node.check_elements(['Li'], 'the frames') is None
    sentence = node.check_elements(['Br'], 'the frames')
    assert ' Br of the frames' in sentence
    assert 'Li P S Cl' in sentence


@pytest.mark.parametrize(
    ('model', 'old', 'written', 'program', 'message'),
    [
        (MODEL, False, '3.2.0', '3.2.0', None),
        (MODEL, False, '3.2.0', '3.2.7', None),
        (MODEL, False, '3.2.5', 'v3.2.0', None),
        (MODEL, False, '3.2.0', '3.1.9', '3.1.9'),
        (MODEL, False, None, '3.1.9', None),
        (MODEL, False, '3.2.0', None, None),
        (DPA2, False, None, '2.2.0', '`dpa2`'),
        (DPA2, True, None, '3.2.0', '`aiida-dpasse potential migrate`'),
        (DPA2, True, None, '3.0.2', None),
    ],
)
def test_usable(aiida_profile, tmp_path, model, old, written, program, message):
    """Which version of DeePMD-kit can read it."""
    node = DeepPotentialData.from_file(checkpoint(tmp_path / 'a.pt', model, old), deepmd_version=written)
    sentence = node.check_usable_with(program)
    assert sentence is None if message is None else message in sentence


def test_stored_models_of_another_kind(aiida_profile, tmp_path, tiny_frames):
    """A node whose attributes state another kind than its file is refused by every program."""
    stored = DeepPotentialData.from_file(checkpoint(tmp_path / 'a.pt')).store()
    node = forged(stored, training_input={'model': {**MODEL, 'fitting_net': {'type': 'dipole'}}})
    frames = FramesData.from_sets([tiny_frames]).store()
    run = {'structure': frames.get_structure(0), 'parameters': orm.Dict({})}
    checks = [
        lambda: node.check_kind(),
        lambda: node.check_elements(['Li'], 'the frames'),
        lambda: node.check_usable_with(None),
        lambda: check_freezing(node, FreezeParameters()),
        lambda: evaluate.validate_inputs({'potentials': {'a': node}, 'frames': frames}, None),
        lambda: label.validate_labelling({'potential': node, 'frames': frames}),
        lambda: md.validate_inputs({'potentials': {'a': node}, **run}, None),
        lambda: check_dynamics_of('potential', node, run['structure'], {}),
    ]
    # What asks for a property before it checks the node ends with the same sentence.
    assert [number for number, check in enumerate(checks) if '`training_input`' not in answer(check)] == []


def test_frozen_before_3_2(aiida_profile, tmp_path, tiny_frames, nowhere):
    """Python of 3.2 cannot evaluate it, and LAMMPS would lose neighbours, which are counted by element."""
    node = DeepPotentialData.from_file(made_up_models.frozen(tmp_path / 'x.pth', MODEL)).store()
    assert (node.python_before, node.check_usable_in_lammps('3.2.0')) == (None, None)
    code = {'model/model/ener_model.py': 'class EnergyModel(Module):\n  def forward(self):\n    pass\n'}
    node = DeepPotentialData.from_file(made_up_models.frozen(tmp_path / 'x.pth', MODEL, code)).store()
    assert node.check_usable_with('3.2.0') is None
    assert node.check_usable_in_python('3.1.3') is None
    for message in (node.check_usable_in_python('3.2.0'), node.check_usable_in_lammps(None)):
        assert '`dp convert-backend' in message
    frames = FramesData.from_sets([tiny_frames]).store()
    code = orm.InstalledCode(computer=nowhere, filepath_executable='/bin/python', label='python').store()
    code.base.extras.set(VERSION_EXTRA, '3.2.0')
    assert 'convert-backend' in label.validate_labelling({'potential': node, 'frames': frames, 'code': code})


def test_published(aiida_profile, tmp_path, monkeypatch):
    """The hash of a published file is compared, and its name is stored; nothing is downloaded."""
    path = checkpoint(tmp_path / 'a.pt')
    monkeypatch.setitem(MODEL_REGISTRY, 'Tiny-1', {'sha256': hashlib.sha256(path.read_bytes()).hexdigest()})
    assert DeepPotentialData.from_file(path).published_as is None
    assert DeepPotentialData.from_file(path, published_as='tiny-1').store().published_as == 'Tiny-1'
    with pytest.raises(ValueError, match=MODEL_REGISTRY['DPA-3.1-3M']['sha256']):
        DeepPotentialData.from_file(path, published_as='DPA-3.1-3M')
    with pytest.raises(ValueError, match=r'choose one of DPA.*Tiny-1'):
        DeepPotentialData.from_file(path, published_as='DPA-9')


def test_refused(aiida_profile, tmp_path):
    """No model, and no version."""
    path = tmp_path / 'notes.pt'
    path.write_text('notes')
    with pytest.raises(ValueError, match=r'`notes\.pt`'):
        DeepPotentialData.from_file(path)
    with pytest.raises(ValueError, match='`newest`'):
        DeepPotentialData.from_file(checkpoint(tmp_path / 'a.pt'), deepmd_version='newest')


def test_numbers_that_aiida_rounds(aiida_profile, tmp_path):
    """AiiDA stores 14 digits of a number: a potential whose file has more is still what it states."""
    model = {**MODEL, 'fitting_net': {'neuron': [8], 'bias_atom_e': [-3.1234567890123456, 1 / 3]}}
    node = DeepPotentialData.from_file(checkpoint(tmp_path / 'a.pt', model)).store()
    node = orm.load_node(node.pk)
    assert node.base.attributes.get('training_input') != {'model': model}
    assert node.check_file() is None
    assert node.training_input == {'model': model}
    assert 'training_input' in forged(node, training_input={'model': {**model, 'seed': 1}}).check_file()


def test_validated_on_store(aiida_profile, tmp_path):
    """A node whose file is not a model, or whose attributes differ from the file, is not stored."""
    path = tmp_path / 'notes.pt'
    path.write_text('notes')
    with pytest.raises((ValidationError, StoringNotAllowed), match=r'\.pt` is no model'):
        DeepPotentialData(path).store()
    with pytest.raises((ValidationError, StoringNotAllowed), match='`from_file`'):
        DeepPotentialData(checkpoint(tmp_path / 'a.pt')).store()
    node = DeepPotentialData.from_file(checkpoint(tmp_path / 'b.pt'))
    node.base.attributes.set('type_map', ['Br'])
    with pytest.raises((ValidationError, StoringNotAllowed), match='`from_file`'):
        node.store()
