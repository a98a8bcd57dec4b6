"""Collect the frames sampled by several runs, and record the run of each."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.frames.select_candidates import source_of


def after_start(samples: Mapping[str, FramesData]) -> dict[str, FramesData]:
    """Return the samples of the runs that have more than their initial frame, which a run that explodes at once lacks.

    :param samples: sampled frames by the id of the run.
    """
    return {key: frames for key, frames in samples.items() if frames.frames > 1}


@calcfunction
def collect_samples(spheres: orm.Dict | None = None, **inputs: dict[str, FramesData]) -> FramesData:
    """Collect the frames of all runs after their first step, in the order of the runs.

    The source of each frame is the link label of its run's samples. The first frame is the initial state of a run and
    is omitted.

    :param spheres: Dict with ``start``, the step at which the production begins; 0 without it.
    :param inputs: namespace ``samples``, the sampled frames by the id of the run.
    :returns: the frames, sorted by formula.
    :raises ValueError: if no run sampled a frame after its start.
    """
    start = 0 if spheres is None else spheres['start']
    kept = [
        item.take(item.steps > start).with_origin(sources=source_of(key))
        for key, frames in sorted(inputs['samples'].items())
        for item in frames.sets()
        if (item.steps > start).any()
    ]
    return FramesData.from_sets(concatenate(kept))
