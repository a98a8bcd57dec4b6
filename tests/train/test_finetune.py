"""Fine-tuning to a compound of known elements, real programs on a tiny DPA-2."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.train.finetune import FinetuneWorkChain

#: Writes a checkpoint without the empty tensors that DeePMD-kit 3.0 did not write.
STRIP = """import sys, torch
state = torch.load('new.pt', weights_only=True)
endings = ('type_embd_data', 'compress_info.0', 'compress_data.0')
state['model'] = {name: value for name, value in state['model'].items() if not name.endswith(endings)}
torch.save(state, 'old.pt')
"""


@pytest.fixture(scope='session')
def finetuning(tiny_dpa2) -> dict:
    """A few steps from the pre-trained weights."""
    content = {**tiny_dpa2['input'], 'model': {}}
    train = {'backend': 'pytorch', 'input': content, 'finetune': {'use_pretrain_script': True}}
    return {'train': train, 'split': {'test': 5}, 'seed': 2}


def inputs(codes, frames, pretrained, parameters):
    chosen = {name: codes[name] for name in FinetuneWorkChain.CODES}
    return {'codes': chosen, 'frames': frames, 'pretrained': pretrained, 'parameters': orm.Dict(parameters)}


def test_a_finetuning(codes, alloy_frames, pretrained_metals, finetuning):
    """The tuned potential is better than the pre-trained one on frames that neither saw."""
    checkpoint = pretrained_metals.outputs.checkpoint
    _, node = run_get_node(FinetuneWorkChain, **inputs(codes, alloy_frames, checkpoint, finetuning))
    assert node.is_finished_ok, node.exit_message
    errors = node.outputs.errors.get_dict()
    assert set(errors) == {'zero_shot', 'fine_tuned'}
    assert errors['fine_tuned']['energy_mae_meV_atom'] < errors['zero_shot']['energy_mae_meV_atom']
    assert node.outputs.checkpoint.type_map == checkpoint.type_map
    assert node.outputs.checkpoint.sha256 != checkpoint.sha256
    assert node.outputs.frozen.descriptor == 'dpa2'
    assert len(node.outputs.test_data.ids()) == 5
    assert not set(node.outputs.test_data.ids()) & set(node.outputs.training_data.ids())


def as_of_3_0(checkpoint: DeepPotentialData, programs, folder: Path) -> DeepPotentialData:
    """Return the checkpoint as DeePMD-kit 3.0 would have written it."""
    with checkpoint.as_path() as path:
        (folder / 'new.pt').write_bytes(path.read_bytes())
    subprocess.run([programs['python'].path, '-c', STRIP], cwd=folder, check=True)
    return DeepPotentialData.from_file(folder / 'old.pt')


def test_a_checkpoint_of_3_0_is_migrated(codes, programs, alloy_frames, pretrained_metals, finetuning, tmp_path):
    """It is migrated, and both potentials descend from the given file."""
    old = as_of_3_0(pretrained_metals.outputs.checkpoint, programs, tmp_path)
    assert old.needs_migration
    _, node = run_get_node(FinetuneWorkChain, **inputs(codes, alloy_frames, old.store(), finetuning))
    assert node.is_finished_ok, node.exit_message
    calls = {link.link_label: link.node for link in node.base.links.get_outgoing().all()}
    migrated = calls['migrate'].outputs.potential
    assert not migrated.needs_migration
    assert calls['train'].inputs.train.pretrained.uuid == migrated.uuid
    assert calls['migrate'].called[0].inputs.potential.uuid == old.uuid
    assert set(node.outputs.errors.get_dict()) == {'zero_shot', 'fine_tuned'}


def test_a_frozen_potential_is_refused(codes, alloy_frames, pretrained_metals, finetuning):
    """Only a checkpoint can be trained on."""
    frozen = pretrained_metals.outputs.frozen
    with pytest.raises(ValueError, match='pretrained: '):
        run_get_node(FinetuneWorkChain, **inputs(codes, alloy_frames, frozen, finetuning))


def test_unknown_elements_are_refused(codes, make_frames, pretrained_metals, finetuning):
    """The type map of the pre-trained potential is what it is."""
    salt = FramesData.from_sets([make_frames('Cl Li', 20)])
    with pytest.raises(ValueError, match='pretrained: '):
        run_get_node(FinetuneWorkChain, **inputs(codes, salt, pretrained_metals.outputs.checkpoint, finetuning))


def test_training_from_scratch_is_refused(codes, alloy_frames, pretrained_metals, tiny_dpa2):
    """Without `finetune` it would forget what it knows."""
    parameters = {'train': tiny_dpa2, 'seed': 1}
    with pytest.raises(ValueError, match=r'`train\.finetune`'):
        run_get_node(FinetuneWorkChain, **inputs(codes, alloy_frames, pretrained_metals.outputs.checkpoint, parameters))


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_valid(codes, name):
    """Every protocol starts from the pre-trained descriptor and fitting net."""
    builder = FinetuneWorkChain.get_builder_from_protocol(codes, protocol=name)
    assert builder.parameters['train']['finetune'] == {'use_pretrain_script': True}
