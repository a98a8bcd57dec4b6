"""Write the frames of a batch as extended XYZ for a program of the user."""

from __future__ import annotations

import io
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from ase.io import write

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.shell.parameters import ANSWER, ShellLabelParameters
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.records import sound_frames
from aiida_dpasse.runs import Run, Runs

#: Key of the frame's identity in its comment line.
NAME = 'frame_id'


@calcfunction
def plan_shell_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Write the frames of a batch as extended XYZ for a program of the user.

    The comment line of each frame contains its ``frame_id``.

    :param frames: frames to label.
    :param parameters: `ShellLabelParameters`.
    :returns: ``runs``, one job, or none if no frame passes the geometry checks; ``files``, the frames by the id of the
        run; ``arguments`` and ``outputs`` of the aiida-shell job.
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
