"""Divide frames into the batches of a labelling, each one job."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.records import requested_ids
from aiida_dpasse.merging import merge

#: Largest number of frames in one job unless the parameters say otherwise.
BATCH_SIZE = 100
#: Settings of programs that label other than through our driver.
PROGRAMS = ('vasp', 'cp2k', 'shell')


@calcfunction
def plan_label(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.Data]:
    """Return ``batch_000``..., frames; ``calculation``, the parameters of a job of our driver, and
    ``calculation_<program>`` and ``calculation_<program>_retry``, those of the programs that have settings of their
    own; and ``plan``, what has to be accounted for.

    ``parameters`` holds ``batch_size`` and what a job takes; a program's ``retry`` is laid over its other settings for
    frames that failed. No frame is labelled twice: ``plan`` lists as ``duplicates`` the ids that came before, and under
    ``batches`` the names (see `requested_ids`) of each batch. Large cells are dealt out first, so that the batches take
    about equally long.
    """
    settings = parameters.get_dict()
    calculations = {'calculation': orm.Dict(job_parameters(settings))}
    for program in PROGRAMS:
        if settings.get(program):
            calculations[f'calculation_{program}'] = orm.Dict(job_parameters(settings, program))
            calculations[f'calculation_{program}_retry'] = orm.Dict(job_parameters(settings, program, retry=True))
    sets = frames.sets()
    places, duplicates, seen = [], [], set()
    for member, item in enumerate(sets):
        for frame, identity in enumerate(item.ids):
            if identity in seen:
                duplicates.append(str(identity))
            else:
                seen.add(identity)
                places.append((member, frame))
    places.sort(key=lambda place: -sets[place[0]].natoms)
    count = ceil(len(places) / settings.get('batch_size', BATCH_SIZE))
    outputs: dict[str, orm.Data] = {}
    names = {}
    for batch in range(count):
        members = _gather(sets, places[batch::count])
        outputs[f'batch_{batch:03d}'] = FramesData.from_sets(members)
        names[f'batch_{batch:03d}'] = requested_ids(members, settings.get('dynamics'))
    plan = orm.Dict({'batches': names, 'duplicates': duplicates})
    return {**outputs, **calculations, 'plan': plan}


def job_parameters(settings: Mapping[str, Any], program: str | None = None, retry: bool = False) -> dict[str, Any]:
    """Return the parameters of a job of ``program``, or of our driver, from those of a labelling."""
    others = ('batch_size', 'minimum_success', *PROGRAMS)
    common = {key: value for key, value in settings.items() if key not in others}
    own = settings.get(program) if program else None
    if not own:
        return common
    first = {key: value for key, value in own.items() if key != 'retry'}
    return {**common, str(program): merge(first, own.get('retry') or {}) if retry else first}


def _gather(sets: list[FrameSet], places: list[tuple[int, int]]) -> list[FrameSet]:
    """The frames at (set, frame), set by set."""
    chosen = [(item, np.array(sorted(f for m, f in places if m == member))) for member, item in enumerate(sets)]
    return [item.take(indices) for item, indices in chosen if len(indices)]
