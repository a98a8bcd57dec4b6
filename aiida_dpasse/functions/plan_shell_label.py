"""Write the frames of a batch for a program that reads extended XYZ."""

from __future__ import annotations

import io

from aiida import orm
from aiida.engine import calcfunction
from ase.io import write

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.drivers.admission import limits_of
from aiida_dpasse.drivers.records import sound_frames

#: File that the program writes.
ANSWER = 'labels.xyz'
#: Output with the frames that are worth labelling.
FRAMES_KEY = 'frames_file'
#: Entry of a frame's comment line that names it.
NAME = 'frame_id'


@calcfunction
def plan_shell_label(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.Data]:
    """Return ``frames_file``, extended XYZ of the frames that are worth labelling (absent if none is), and the
    ``arguments`` and ``outputs`` of aiida-shell's job.

    Each frame's comment line holds its ``frame_id``.
    """
    settings = parameters.get_dict()
    limits = limits_of(settings, frames.elements)
    images = []
    for item in frames.sets():
        sound = item.take(sound_frames(item, limits)).with_labels()
        for atoms, identity in zip(sets_to_ase([sound]), sound.ids, strict=True):
            atoms.info[NAME] = str(identity)
            images.append(atoms)
    arguments = settings.get('shell', {}).get('arguments', ['{frames}', ANSWER])
    plan: dict[str, orm.Data] = {'arguments': orm.List(arguments), 'outputs': orm.List([ANSWER])}
    if images:
        text = io.StringIO()
        write(text, images, format='extxyz')
        plan[FRAMES_KEY] = orm.SinglefileData(io.BytesIO(text.getvalue().encode()), filename='frames.xyz')
    return plan
