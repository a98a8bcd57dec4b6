"""Join the frames sampled in several runs, without the initial frames."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.frames.union_frames import labelled_frames


@calcfunction
def collect_samples(**inputs: Any) -> FramesData:
    """Return the frames of all runs after step 0, in the order of the labels of the runs.

    :param inputs: the ``frames`` of the runs by label.
    :raises ValueError: if no run sampled a frame after its start.
    """
    frames = labelled_frames(inputs)
    sets = [item for label in sorted(frames) for item in frames[label].sets()]
    return FramesData.from_sets(concatenate(item.take(item.steps > 0) for item in sets if (item.steps > 0).any()))
