"""Copper, which ASE's EMT labels in a millisecond, and a training of a second."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.committee import CommitteeWorkChain
from aiida_dpasse.train.pretrain import PretrainWorkChain

#: The folders of the work chains. The tests of the calculations run each training themselves.
CHAINS = ('base', 'label', 'train', 'dynamics', 'explore', 'distill', 'assess', 'study')


@pytest.fixture(autouse=True)
def equal_trainings_run_once(request):
    """Many tests of the chains train and measure the same committee: AiiDA's cache returns the first results."""
    if request.path.parent.name not in CHAINS:
        yield
        return
    with (
        enable_caching(identifier='aiida.calculations:dpasse.train'),
        enable_caching(identifier='aiida.calculations:dpasse.evaluate'),
    ):
        yield


@pytest.fixture(scope='session')
def crystal(aiida_profile, tiny_frames) -> orm.StructureData:
    """What the tiny potentials learnt from."""
    structure = orm.StructureData(cell=tiny_frames.cells[0].tolist())
    for symbol, position in zip(tiny_frames.symbols, tiny_frames.positions[0], strict=True):
        structure.append_atom(symbols=symbol, position=position.tolist())
    return structure.store()


@pytest.fixture(scope='session')
def copper(aiida_profile) -> orm.StructureData:
    """Thirty-two atoms of fcc copper."""
    return orm.StructureData(ase=bulk('Cu', cubic=True) * (2, 2, 2)).store()


@pytest.fixture(scope='session')
def copper_frames(copper) -> FramesData:
    """Forty rattled and strained frames with EMT's labels."""
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(40):
        atoms = copper.get_ase()
        strain = np.eye(3) + rng.uniform(-0.03, 0.03, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=rng.uniform(0.02, 0.15), size=atoms.positions.shape)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return FramesData.from_ase(frames).store()


@pytest.fixture(scope='session')
def tiny_training() -> dict:
    """Parameters of a TensorFlow training that takes a second and learns a little."""
    return {
        'backend': 'tensorflow',
        'freeze': True,
        'compress': False,
        'input': {
            'model': {
                'descriptor': {
                    'type': 'se_e2_a',
                    'sel': [60],
                    'rcut': 4.5,
                    'rcut_smth': 0.5,
                    'neuron': [4, 8],
                    'axis_neuron': 2,
                },
                'fitting_net': {'neuron': [16, 16]},
            },
            'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 50},
            'loss': {
                'type': 'ener',
                **{'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 1},
            },
            'training': {
                'numb_steps': 300,
                'disp_freq': 100,
                'save_freq': 300,
                'training_data': {'batch_size': 1},
            },
        },
    }


@pytest.fixture(scope='session')
def copper_committee(codes, copper_frames, tiny_training) -> orm.WorkChainNode:
    """A finished committee of two."""
    parameters = {'members': 2, 'minimum_members': 2, 'train': tiny_training, 'seed': 1}
    _, node = run_get_node(
        CommitteeWorkChain,
        codes={'dp': codes['dp']},
        training_data=copper_frames,
        parameters=orm.Dict(parameters),
    )
    assert node.is_finished_ok, node.exit_message
    return node


def metal_frames(structure, number: int, seed: int) -> list:
    """Return rattled and strained copies of a metal with EMT's labels."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(number):
        atoms = structure.copy()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.03, 0.03, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    return frames


@pytest.fixture(scope='session')
def metals(aiida_profile) -> dict[str, orm.StructureData]:
    """Copper and gold, eight atoms each, and an alloy of both."""
    alloy = bulk('Cu', cubic=True, a=3.8) * (2, 1, 1)
    alloy.symbols[[0, 3, 4]] = 'Au'
    copper, gold = (bulk(name, cubic=True) * (2, 1, 1) for name in ('Cu', 'Au'))
    crystals = {'copper': copper, 'gold': gold, 'alloy': alloy}
    return {name: orm.StructureData(ase=atoms).store() for name, atoms in crystals.items()}


@pytest.fixture(scope='session')
def pure_frames(metals) -> FramesData:
    """Fifteen labelled frames each of copper and gold."""
    frames = [atoms for name in ('copper', 'gold') for atoms in metal_frames(metals[name].get_ase(), 15, seed=2)]
    return FramesData.from_ase(frames).store()


@pytest.fixture(scope='session')
def alloy_frames(metals) -> FramesData:
    """Fifteen labelled frames of the alloy, a compound that `pure_frames` do not hold."""
    return FramesData.from_ase(metal_frames(metals['alloy'].get_ase(), 15, seed=3)).store()


@pytest.fixture(scope='session')
def tiny_dpa2() -> dict:
    """Parameters of a DPA-2 training of seconds."""
    repinit = {'rcut': 4.5, 'rcut_smth': 0.5, 'nsel': 60, 'tebd_dim': 4, 'neuron': [4, 8], 'axis_neuron': 2}
    repformer = {'rcut': 3.5, 'rcut_smth': 2.5, 'nsel': 24, 'nlayers': 1, 'g1_dim': 8, 'g2_dim': 4, 'axis_neuron': 2}
    switches = {'update_g1_has_attn': False, 'update_g2_has_g1g1': False, 'update_g2_has_attn': False}
    descriptor = {
        'type': 'dpa2',
        'repinit': {**repinit, 'tebd_input_mode': 'strip'},
        'repformer': {**repformer, **switches, 'update_style': 'res_residual', 'update_residual_init': 'norm'},
        'add_tebd_to_repinit_out': False,
    }
    prefactors = {'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 1}
    return {
        'backend': 'pytorch',
        'input': {
            'model': {'descriptor': descriptor, 'fitting_net': {'neuron': [16, 16]}},
            'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 6},
            'loss': {'type': 'ener', **prefactors},
            'training': {'numb_steps': 30, 'disp_freq': 10, 'save_freq': 30, 'training_data': {'batch_size': 1}},
        },
    }


@pytest.fixture(scope='session')
def pretrained_metals(codes, pure_frames, tiny_dpa2) -> orm.WorkChainNode:
    """A finished pre-training on copper and gold."""
    parameters = {'train': tiny_dpa2, 'split': {'validation': 2, 'test': 6}, 'seed': 1}
    _, node = run_get_node(
        PretrainWorkChain,
        codes={name: codes[name] for name in PretrainWorkChain.CODES},
        frames=pure_frames,
        parameters=orm.Dict(parameters),
    )
    assert node.is_finished_ok, node.exit_message
    return node
