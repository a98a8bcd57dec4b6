"""Take the planned frames of several runs, each named by its run."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.deepmd.report_card import frame_temperatures


@calcfunction
def sample_runs(sample: orm.Dict, **frames: FramesData) -> FramesData:
    """Return the frames of all runs at the steps of the plan, sorted by formula; the source of a frame is the link
    label of its run, its reason the temperature that the thermostat asked for.

    :param sample: of `plan_test_sets`.
    :param frames: what the runs sampled, their starts among it, by the runs' keys.
    :raises ValueError: if no run came to a step of the plan.
    """
    taken = []
    for key in sorted(frames):
        run = sample['runs'][key]
        for item in frames[key].sets():
            kept = item.take(np.isin(item.steps, run['steps']))
            if not len(kept):
                continue
            kelvin = frame_temperatures([kept], sample['lines'][run['part']])
            reasons = [f'{run["part"]}, {value:.1f} K' for value in kelvin]
            taken.append(kept.with_origin(sources=key, reasons=reasons))
    if not taken:
        raise ValueError('No run came to the step of a frame.')
    return FramesData.from_sets(concatenate(taken))
