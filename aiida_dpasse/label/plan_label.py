"""Divide frames into the batches of a labelling, each one job."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.labels.records import requested_ids
from aiida_dpasse.parameters.label import PROGRAMS, LabelParameters, job_parameters
from aiida_dpasse.runs import Run, Runs


@calcfunction
def plan_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Return by the ids of their runs the frames of each batch, ``batches``; ``calculation``, the parameters of a job
    of our driver; ``programs`` and ``retries``, by name those of the programs that have settings of their own; and
    ``plan``: the ``runs``, and what has to be accounted for.

    ``parameters`` are those of `LabelParameters`; a program's ``retry`` is laid over its other settings for frames that
    failed. No frame is labelled twice: ``plan`` lists as ``duplicates`` the ids that came before, and under
    ``batches`` the names (see `requested_ids`) of each batch. Large cells are dealt out first, so that the batches take
    about equally long.
    """
    settings = LabelParameters.model_validate(parameters.get_dict()).model_dump(mode='json')
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
    count = ceil(len(places) / settings['batch_size'])
    runs = Runs(Run('batch', number) for number in range(count))
    members = {key: _gather(sets, places[run.number :: count]) for key, run in runs.items()}
    names = {key: requested_ids(items, settings['dynamics']) for key, items in members.items()}
    programs = [program for program in PROGRAMS if settings[program]]
    return {
        'batches': {key: FramesData.from_sets(items) for key, items in members.items()},
        'calculation': orm.Dict(job_parameters(settings)),
        'programs': {name: orm.Dict(job_parameters(settings, name)) for name in programs},
        'retries': {name: orm.Dict(job_parameters(settings, name, retry=True)) for name in programs},
        'plan': orm.Dict({'runs': runs.to_dict(), 'batches': names, 'duplicates': duplicates}),
    }


def _gather(sets: list[FrameSet], places: list[tuple[int, int]]) -> list[FrameSet]:
    """The frames at (set, frame), set by set."""
    chosen = [(item, np.array(sorted(f for m, f in places if m == member))) for member, item in enumerate(sets)]
    return [item.take(indices) for item, indices in chosen if len(indices)]
