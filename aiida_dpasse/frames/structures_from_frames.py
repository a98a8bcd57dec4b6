"""Convert frames to structures, as initial structures of molecular dynamics."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData


@calcfunction
def structures_from_frames(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.StructureData]:
    """Convert frames to structures.

    :param frames: frames to convert.
    :param parameters: ``indices`` of the frames, counted from 0, or ``drawn``, a list with the ``source`` of each and
        its ``number`` among the frames of that source; all frames if both are missing.
    :returns: the structures as ``frame_0000``, ``frame_0001``, ... in the order of the parameters.
    :raises ValueError: if an index is out of range.
    """
    sets, settings = frames.sets(), parameters.get_dict()
    atoms = sets_to_ase(sets)
    indices = settings.get('indices', range(len(atoms)))
    if 'drawn' in settings:
        sources = np.concatenate([item.sources for item in sets])
        indices = [int(np.flatnonzero(sources == draw['source'])[draw['number']]) for draw in settings['drawn']]
    if beyond := [index for index in indices if not 0 <= index < len(atoms)]:
        raise ValueError(f'`indices`: {beyond[0]} is out of range for {len(atoms)} frames, counted from 0.')
    for item in atoms:
        item.calc = None
    return {f'frame_{number:04d}': orm.StructureData(ase=atoms[index]) for number, index in enumerate(indices)}
