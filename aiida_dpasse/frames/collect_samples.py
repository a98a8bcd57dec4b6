"""Collect the frames sampled by the runs of a locality test, and record the run of each."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def gather_runs(spheres: orm.Dict, **inputs: dict[str, FramesData]) -> FramesData:
    """Collect the frames of all runs after the step ``start``, in the order of the runs.

    The source of each frame is the link label of its run's samples. The frame at ``start`` is the initial state of a
    run and is omitted.

    :param spheres: Dict with ``start``, a step.
    :param inputs: namespace ``samples``, the sampled frames by the id of the run.
    :returns: the frames.
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
    """Return the link label of the samples of a run.

    :param run: id of the run.
    """
    return f'samples__{run}'
