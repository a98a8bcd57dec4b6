"""Collect the planned frames of several runs, with the run as the source of each frame."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.report_card import frame_temperatures
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.frames.select_candidates import source_of
from aiida_dpasse.runs import Runs


@calcfunction
def sample_runs(sample: orm.Dict, runs: orm.Dict, **inputs: dict[str, FramesData]) -> FramesData:
    """Collect the planned frames of all runs, sorted by formula.

    The source of a frame is the link label of the samples of its run, its reason the target temperature of the
    thermostat.

    :param sample: output ``sample`` of :func:`plan_test_sets`.
    :param runs: record of each run, by its id.
    :param inputs: ``samples``, the sampled frames by run id, including the initial ones.
    :return: the frames at the planned steps.
    :raises ValueError: if no run reached a planned step.
    """
    records, samples = Runs.from_dict(runs.get_dict()), inputs['samples']
    taken = []
    for key in sorted(samples):
        part = str(records[key].data)
        for item in samples[key].sets():
            kept = item.take(np.isin(item.steps, sample['steps'][key]))
            if not len(kept):
                continue
            kelvin = frame_temperatures([kept], sample['lines'][part])
            reasons = [f'{part}, {value:.1f} K' for value in kelvin]
            taken.append(kept.with_origin(sources=source_of(key), reasons=reasons))
    if not taken:
        raise ValueError('No run reached a planned step.')
    return FramesData.from_sets(concatenate(taken))
