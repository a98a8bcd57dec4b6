"""Join frames without rewriting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def union_frames(**inputs: Any) -> FramesData:
    """Return all frames, in the order of their labels; arrays are shared, not copied.

    :param inputs: the ``frames`` by label.
    """
    frames = labelled_frames(inputs)
    return FramesData.union(frames[label] for label in sorted(frames))


def labelled_frames(inputs: Mapping[str, Any]) -> dict[str, FramesData]:
    """Return the frames by label, of a namespace ``frames`` or given one by one."""
    own = {label: value for label, value in inputs.items() if isinstance(value, FramesData)}
    return own | dict(inputs['frames'] if isinstance(inputs.get('frames'), Mapping) else {})
