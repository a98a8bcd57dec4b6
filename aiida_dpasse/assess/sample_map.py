"""Draw the frames that the descriptor map shows."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import take_frames
from aiida_dpasse.seeds import derive_seed

#: Source of the frames that the potentials were trained on.
LEARNT = 'training_data'


def array_of(name: str) -> str:
    """Return the source that the frames of a test set have in the map.

    :param name: name of the test set.
    """
    return f'test_{name}'


@calcfunction
def sample_map(settings: orm.Dict, **inputs: dict[str, FramesData]) -> FramesData:
    """Draw at most ``max_frames`` frames of each set for the descriptor map.

    :param settings: ``max_frames`` and ``seed``.
    :param inputs: ``test_sets`` by name, and ``learnt``, whose only entry is ``training_data``.
    :return: the frames without labels; their source is that of :func:`array_of` or ``training_data``.
    """
    shown = {array_of(name): frames for name, frames in inputs['test_sets'].items()} | inputs.get('learnt', {})
    parts = []
    for label in sorted(shown):
        rng = np.random.default_rng(derive_seed(settings['seed'], 'sample', label))
        total = shown[label].frames
        chosen = rng.choice(total, min(total, settings['max_frames']), replace=False)
        parts += [item.with_labels().with_origin(sources=label) for item in take_frames(shown[label].sets(), chosen)]
    return FramesData.from_sets(parts)
