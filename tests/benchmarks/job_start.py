"""Start of the jobs of DeePMD-kit: processor time of one process and of several, and of the imports of the drivers.

Run it with the Python of an environment that has the programs: ``python tests/benchmarks/job_start.py``. It trains each
of the small models of the quickstart for a few steps, freezes and compresses it. The times are those of user and system
together, with one thread; each is the smallest of two, which other work on the machine disturbs least.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

import aiida_dpasse
from aiida_dpasse.cli.programs import WITHOUT_KERAS
from aiida_dpasse.deepmd import engine
from aiida_dpasse.deepmd.dataset import write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.package import pack_dp_plugin

REPEATS, STEPS = 2, 20
TYPE_MAP = ['Li', 'P', 'S', 'Cl']
#: Preset of the model, and its backend.
MODELS = {'tensorflow': 'model-se_e2_a-demo', 'pytorch': 'model-dpa2-demo'}
PARTS = {'tensorflow': 'tf', 'pytorch': 'pt'}
#: Programs of which the imports are nearly all, and further variables of their environment.
IMPORTS = {
    'dp or evaluation, TensorFlow, with Keras': ('deepmd.tf.infer.deep_eval', {}),
    'dp or evaluation, TensorFlow': ('deepmd.tf.infer.deep_eval', WITHOUT_KERAS),
    'dp or evaluation, PyTorch': ('deepmd.pt.infer.deep_eval', {}),
    'labels, SevenNet': ('sevenn.calculator', {}),
    'labels, CHGNet': ('chgnet.model.dynamics', {}),
    'transport': ('numpy', {}),
}
THREADS = dict.fromkeys(('OMP_NUM_THREADS', 'TF_INTRA_OP_PARALLELISM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS'), '1')


def seconds(command: list[str], folder: Path, further: dict[str, str]) -> float:
    """Return the processor time of a program in s.

    :param command: its command line.
    :param folder: working directory.
    :param further: variables of its environment.
    """
    environment = {**os.environ, **THREADS, **further}
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f'{command}: {done.stderr[-1000:]}')
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepare(folder: Path, backend: str) -> None:
    """Write a training of a few steps.

    :param folder: where.
    :param backend: 'tensorflow' or 'pytorch'.
    """
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing='ij'), -1).reshape(-1, 3) * 8.0
    positions = grid + rng.normal(0, 0.1, (8, len(grid), 3))
    symbols = ['Li'] * 13 + ['P'] * 2 + ['S'] * 10 + ['Cl'] * 2
    frames = FrameSet.sort_atoms(
        symbols,
        np.tile(np.eye(3) * 8.0, (8, 1, 1)),
        positions,
        energies=rng.normal(-100, 1, 8),
        forces=rng.normal(0, 1, positions.shape),
        virials=np.zeros((8, 3, 3)),
    )
    write_dataset([frames], folder / 'data')
    presets = yaml.safe_load((Path(aiida_dpasse.__file__).parent / 'train' / 'train.yaml').read_text())['presets']
    content = {
        'model': {'type_map': TYPE_MAP, **presets[MODELS[backend]]},
        'learning_rate': {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-4, 'decay_steps': 5},
        'loss': {'type': 'ener'},
        'training': {
            'numb_steps': STEPS,
            'save_freq': STEPS,
            'disp_freq': STEPS,
            'seed': 1,
            'training_data': {'systems': [f'data/{frames.formula}'], 'batch_size': 1},
        },
    }
    (folder / 'input.json').write_text(json.dumps(content))


def one_or_three(backend: str) -> tuple[float, float]:
    """Return the processor time of a training that freezes and compresses: in three processes, and in one.

    :param backend: 'tensorflow' or 'pytorch'.
    """
    dp = str(Path(sys.executable).parent / 'dp')
    frozen = engine.model_file(backend, engine.FROZEN, 'frozen')
    compressed = engine.model_file(backend, engine.COMPRESSED, 'compressed')
    train = engine.train_arguments(backend, 'input.json')
    steps = [
        {'arguments': engine.freeze_arguments(backend, frozen), 'output': frozen, 'log': 'freeze.out'},
        {
            'arguments': engine.compress_arguments(backend, frozen, compressed),
            'output': compressed,
            'log': 'compress.out',
        },
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, backend)
        three = sum(seconds([dp, *arguments], folder, WITHOUT_KERAS) for arguments in (train, *_arguments(steps)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, backend)
        (folder / 'plugin.zip').write_bytes(pack_dp_plugin(PARTS[backend], steps))
        one = seconds([dp, *train], folder, {**WITHOUT_KERAS, 'PYTHONPATH': 'plugin.zip'})
        assert (folder / compressed).is_file(), (folder / 'compress.out').read_text()
    return three, one


def _arguments(steps: list[dict]) -> list[list[str]]:
    return [step['arguments'] for step in steps]


def main() -> None:
    """Print the tables."""
    print(f'| train {STEPS} steps, freeze, compress | three processes (CPU s) | one (CPU s) | saved (s) |')
    print('| --- | ---: | ---: | ---: |')
    for backend in MODELS:
        pairs = [one_or_three(backend) for _ in range(REPEATS)]
        three, one = (min(values) for values in zip(*pairs, strict=True))
        print(f'| {MODELS[backend]}, {backend} | {three:.1f} | {one:.1f} | {three - one:.1f} |', flush=True)
    print('\n| imports of a job | CPU s |\n| --- | ---: |')
    for name, (module, further) in IMPORTS.items():
        command = [sys.executable, '-c', f'import {module}']
        # The first compiles what is not yet compiled.
        least = min(seconds(command, Path.cwd(), further) for _ in range(REPEATS + 1))
        print(f'| {name} | {least:.1f} |', flush=True)


if __name__ == '__main__':
    main()
