"""Gather what the runs of a locality test sampled, and keep which run each frame is of."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def gather_runs(spheres: orm.Dict, **inputs: dict[str, FramesData]) -> FramesData:
    """Return the frames of all runs after the step ``start`` of ``spheres``, in the order of the runs.

    The source of each is the link label of the samples of its run. The frame at ``start`` is where a run came from: it
    is none of those that were asked for.

    :param inputs: ``samples`` by the ids of the runs.
    """
    samples = inputs['samples']
    sets = [
        item.take(item.steps > spheres['start']).with_origin(sources=source_of(key))
        for key in sorted(samples)
        for item in samples[key].sets()
        if (item.steps > spheres['start']).any()
    ]
    return FramesData.from_sets(sets)


def source_of(run: str) -> str:
    """Return the link label of the samples of a run."""
    return f'samples__{run}'
