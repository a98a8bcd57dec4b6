"""Length of a training in epochs, so that trainings on few and on many frames see each frame equally often."""

from __future__ import annotations

from copy import deepcopy
from math import ceil
from typing import Any

#: Minimum number of atoms in a batch with DeePMD-kit's ``auto``.
AUTO_ATOMS = 32


def in_epochs(train: dict[str, Any], epochs: float, frames: int, natoms: float) -> dict[str, Any]:
    """Return training parameters whose number of steps corresponds to ``epochs``.

    Steps of decay and warm-up are scaled with the number of steps, and checkpoints and output are written often enough.

    :param train: parameters of a training, with its ``input``.
    :param epochs: number of times that each frame is seen.
    :param frames: number of training frames.
    :param natoms: mean number of atoms per frame.
    """
    content = deepcopy(train)
    training, rate = content['input']['training'], content['input']['learning_rate']
    size = training.get('training_data', {}).get('batch_size', 'auto')
    batch = size if isinstance(size, int) else ceil(batch_atoms(size) / natoms)
    steps = max(1, ceil(epochs * frames / batch))
    share = steps / training['numb_steps']
    training['numb_steps'] = steps
    training['save_freq'] = max(1, min(training.get('save_freq', 1000), steps))
    training['disp_freq'] = max(1, min(training.get('disp_freq', 1000), ceil(steps / 20)))
    for name in ('decay_steps', 'warmup_steps'):
        if rate.get(name):
            rate[name] = max(1, round(rate[name] * share))
    return content


def batch_atoms(size: Any) -> int:
    """Return the minimum number of atoms in a batch for DeePMD-kit's ``auto`` and ``auto:N``.

    >>> batch_atoms('auto'), batch_atoms('auto:128')
    (32, 128)
    """
    return int(str(size).partition(':')[2] or AUTO_ATOMS)
