"""Join frames without rewriting them."""

from __future__ import annotations

from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def union_frames(**frames: FramesData) -> FramesData:
    """Return all frames of ``frames``, in the order of their link labels; arrays are shared, not copied."""
    return FramesData.union(frames[label] for label in sorted(frames))
