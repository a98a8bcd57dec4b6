"""Select frames by their identities."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def select_frames(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Select frames by their identities, in the order of ``frames``.

    :param frames: frames to select from.
    :param parameters: ``ids``, a list of identities.
    :returns: the selected frames.
    :raises ValueError: if an identity is not among the frames.
    """
    wanted = set(parameters['ids'])
    missing = wanted - set(frames.ids())
    if missing:
        raise ValueError(f'`ids`: the frame {min(missing)} is not among the frames.')
    masks: list[tuple[Any, Any]] = [(item, np.isin(item.ids, list(wanted))) for item in frames.sets()]
    return FramesData.from_sets(item.take(mask) for item, mask in masks if mask.any())
