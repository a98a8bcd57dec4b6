"""Copper, which ASE's EMT labels in a millisecond, and a training of a second."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.workflows.committee import CommitteeWorkChain


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
