"""Draw the frames that a map shows."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import take_frames
from aiida_dpasse.seeds import derive_seed


@calcfunction
def sample_map(settings: orm.Dict, **frames: FramesData) -> FramesData:
    """Return at most ``max_frames`` of each of ``frames``, without labels; their source is the label of their set."""
    parts = []
    for label in sorted(frames):
        rng = np.random.default_rng(derive_seed(settings['seed'], 'sample', label))
        total = frames[label].frames
        chosen = rng.choice(total, min(total, settings['max_frames']), replace=False)
        parts += [item.with_labels().with_origin(sources=label) for item in take_frames(frames[label].sets(), chosen)]
    return FramesData.from_sets(parts)
