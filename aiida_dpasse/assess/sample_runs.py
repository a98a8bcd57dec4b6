"""Take the planned frames of several runs, each named by its run."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.report_card import frame_temperatures
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.frames.gather_runs import source_of
from aiida_dpasse.runs import Runs


@calcfunction
def sample_runs(sample: orm.Dict, runs: orm.Dict, **inputs: dict[str, FramesData]) -> FramesData:
    """Return the frames of all runs at the steps of the plan, sorted by formula; the source of a frame is the link
    label of the samples of its run, its reason the temperature that the thermostat asked for.

    :param sample: of `plan_test_sets`.
    :param runs: the record of each run, by its id.
    :param inputs: ``samples``, what the runs sampled, their starts among it, by their ids.
    :raises ValueError: if no run came to a step of the plan.
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
        raise ValueError('No run came to the step of a frame.')
    return FramesData.from_sets(concatenate(taken))
