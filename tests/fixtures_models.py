"""Tiny real potentials: trained by DeePMD-kit in seconds, once a session, for whoever needs one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.dataset import write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet

TYPE_MAP = ['Li', 'P', 'S', 'Cl']
SYMBOLS = ['Li'] * 6 + ['P'] + ['S'] * 4 + ['Cl']
CELL = 7.0


def lennard_jones_frames(frames: int = 8, seed: int = 0) -> FrameSet:
    """Twelve atoms on a distorted grid, labelled by a Lennard-Jones potential (0.1 eV, 2.5 A)."""
    rng = np.random.default_rng(seed)
    grid = np.array([[i / 3, j / 2, k / 2] for i in range(3) for j in range(2) for k in range(2)]) * CELL
    positions = grid + rng.normal(0, 0.15, size=(frames, len(grid), 3))
    apart = positions[:, :, None] - positions[:, None, :]
    apart -= CELL * np.round(apart / CELL)
    distance = np.linalg.norm(apart, axis=-1) + np.eye(len(grid)) * 1e9
    ratio = (2.5 / distance) ** 6
    energies = 0.1 * (ratio**2 - ratio).sum(axis=(1, 2)) / 2
    pull = 0.1 * (12 * ratio**2 - 6 * ratio) / distance**2
    forces = (pull[..., None] * apart).sum(axis=2)
    virials = np.einsum('fijx,fijy->fxy', pull[..., None] * apart, apart) / 2
    cells = np.tile(np.eye(3) * CELL, (frames, 1, 1))
    return FrameSet.sort_atoms(SYMBOLS, cells, positions, energies=energies, forces=forces, virials=virials)


def training_input(seed: int, steps: int = 20) -> dict:
    """A training of seconds, without data paths."""
    descriptor = {'type': 'se_e2_a', 'sel': [40, 20, 40, 20], 'rcut': 5.0, 'rcut_smth': 0.5, 'seed': seed}
    return {
        'model': {
            'type_map': TYPE_MAP,
            'descriptor': descriptor | {'neuron': [4, 8], 'axis_neuron': 2},
            'fitting_net': {'neuron': [8, 8], 'seed': seed},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 0.001, 'stop_lr': 1e-5, 'decay_steps': 5},
        'loss': {'type': 'ener'},
        'training': {'numb_steps': steps, 'disp_freq': steps, 'save_freq': steps, 'seed': seed},
    }


def train(directory: Path, programs: dict, seed: int, backend: str = 'tf') -> Path:
    """Train and freeze in ``directory``, and return the frozen model."""
    directory.mkdir(parents=True, exist_ok=True)
    frames = lennard_jones_frames()
    write_dataset([frames], directory / 'data')
    content = training_input(seed)
    content['training']['training_data'] = {'systems': [str(directory / 'data' / frames.formula)], 'batch_size': 1}
    (directory / 'input.json').write_text(json.dumps(content))
    model = directory / ('model.pth' if backend == 'pt' else 'model.pb')
    for arguments in (['train', 'input.json', '--skip-neighbor-stat'], ['freeze', '-o', model.name]):
        command = [programs['dp'].path, f'--{backend}', *arguments]
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return model


@pytest.fixture(scope='session')
def tiny_models(programs, tmp_path_factory) -> list[Path]:
    """Two frozen TensorFlow models that differ in their seeds."""
    directory = tmp_path_factory.mktemp('models')
    return [train(directory / f'seed_{seed}', programs, seed) for seed in (1, 2)]


@pytest.fixture(scope='session')
def tiny_torch_model(programs, tmp_path_factory) -> Path:
    """A frozen PyTorch model."""
    return train(tmp_path_factory.mktemp('torch'), programs, seed=1, backend='pt')


@pytest.fixture(scope='session')
def tiny_potentials(aiida_profile, tiny_models) -> dict[str, DeepPotentialData]:
    """A committee of two for Li, P, S and Cl."""
    return {f'member_{index}': DeepPotentialData.from_file(path).store() for index, path in enumerate(tiny_models)}


@pytest.fixture(scope='session')
def tiny_potential(tiny_potentials) -> DeepPotentialData:
    """One potential for Li, P, S and Cl."""
    return tiny_potentials['member_0']


@pytest.fixture(scope='session')
def tiny_frames() -> FrameSet:
    """What the tiny potentials learnt from."""
    return lennard_jones_frames()
