"""Divide frames into batches for labelling; each batch is one job."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.job_parameters import job_parameters
from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.label.sources import BY_CODE
from aiida_dpasse.labels.records import requested_ids
from aiida_dpasse.runs import Run, Runs


@calcfunction
def plan_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Divide frames into batches of nearly equal cost, and derive the parameters of their jobs.

    No frame is labelled twice. Large cells are distributed first, so that the batches take similar times.

    :param frames: frames to label, or to start dynamics from.
    :param parameters: `LabelParameters`. A program's ``retry`` updates its other settings for frames that failed.
    :returns: ``batches``, the frames by the id of the run; ``calculation``, the parameters of a job of the plugin's
        driver; ``programs`` and ``retries``, the parameters by program for the programs with their own settings;
        ``plan``, a Dict with the ``runs``, the names (see `requested_ids`) of each batch in ``batches`` and the
        repeated ids in ``duplicates``.
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
    programs = [program for program in BY_CODE if settings[program]]
    return {
        'batches': {key: FramesData.from_sets(items) for key, items in members.items()},
        'calculation': orm.Dict(job_parameters(settings)),
        'programs': {name: orm.Dict(job_parameters(settings, name)) for name in programs},
        'retries': {name: orm.Dict(job_parameters(settings, name, retry=True)) for name in programs},
        'plan': orm.Dict({'runs': runs.to_dict(), 'batches': names, 'duplicates': duplicates}),
    }


def _gather(sets: list[FrameSet], places: list[tuple[int, int]]) -> list[FrameSet]:
    """Return the frames at ``places`` (set, frame), set by set."""
    chosen = [(item, np.array(sorted(f for m, f in places if m == member))) for member, item in enumerate(sets)]
    return [item.take(indices) for item, indices in chosen if len(indices)]
