"""Take the frames whose labelling failed, to try them again."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def select_failed(frames: FramesData, account: orm.Dict) -> FramesData:
    """Return the frames that ``account`` lists as failed; samples of dynamics (``<id>:<step>``) are no frames
    of ours.

    :raises ValueError: if there are none.
    """
    failed = [entry['id'] for entry in account['failed']]
    masks = [(item, np.isin(item.ids, failed)) for item in frames.sets()]
    return FramesData.from_sets(item.take(mask) for item, mask in masks if mask.any())
