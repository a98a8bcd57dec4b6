"""Write the frames of a batch for a program that reads extended XYZ."""

from __future__ import annotations

import io
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from ase.io import write

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.records import sound_frames
from aiida_dpasse.parameters.label import ShellLabelParameters
from aiida_dpasse.parameters.shell import ANSWER
from aiida_dpasse.runs import Run, Runs

#: Entry of a frame's comment line that names it.
NAME = 'frame_id'


@calcfunction
def plan_shell_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Return ``runs``, one job unless no frame is worth labelling; by its id ``files``, extended XYZ of the frames that
    are; and the ``arguments`` and ``outputs`` of aiida-shell's job.

    Each frame's comment line holds its ``frame_id``.
    """
    settings = ShellLabelParameters.model_validate(parameters.get_dict()).model_dump()
    limits = limits_of(settings, frames.elements)
    images = []
    for item in frames.sets():
        sound = item.take(sound_frames(item, limits)).with_labels()
        for atoms, identity in zip(sets_to_ase([sound]), sound.ids, strict=True):
            atoms.info[NAME] = str(identity)
            images.append(atoms)
    runs, files = Runs([Run('shell')] if images else []), {}
    for key in runs:
        text = io.StringIO()
        write(text, images, format='extxyz')
        files[key] = orm.SinglefileData(io.BytesIO(text.getvalue().encode()), filename='frames.xyz')
    return {
        'runs': orm.Dict(runs.to_dict()),
        'files': files,
        'arguments': orm.List(settings['shell']['arguments']),
        'outputs': orm.List([ANSWER]),
    }
