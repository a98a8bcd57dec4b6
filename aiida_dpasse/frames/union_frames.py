"""Merge frames without copying arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def union_frames(**inputs: Any) -> FramesData:
    """Merge frames in the order of their labels; arrays are shared, not copied.

    :param inputs: namespace ``frames``, by label, or the frames themselves as keyword arguments.
    :returns: all frames.
    """
    frames = labelled_frames(inputs)
    return FramesData.union(frames[label] for label in sorted(frames))


def labelled_frames(inputs: Mapping[str, Any]) -> dict[str, FramesData]:
    """Return the frames by label, from the namespace ``frames`` and from single inputs.

    :param inputs: inputs of `union_frames`.
    """
    own = {label: value for label, value in inputs.items() if isinstance(value, FramesData)}
    return own | dict(inputs['frames'] if isinstance(inputs.get('frames'), Mapping) else {})
