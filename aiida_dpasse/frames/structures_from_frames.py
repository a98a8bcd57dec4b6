"""Convert frames to structures, as initial structures of molecular dynamics."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData


@calcfunction
def structures_from_frames(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.StructureData]:
    """Convert frames to structures.

    :param frames: frames to convert.
    :param parameters: ``indices`` of the frames, counted from 0; all frames if it is missing.
    :returns: the structures as ``frame_0000``, ``frame_0001``, ... in the order of the indices.
    :raises ValueError: if an index is out of range.
    """
    atoms = sets_to_ase(frames.sets())
    indices = parameters.get_dict().get('indices', range(len(atoms)))
    if beyond := [index for index in indices if not 0 <= index < len(atoms)]:
        raise ValueError(f'`indices`: {beyond[0]} is out of range for {len(atoms)} frames, counted from 0.')
    for item in atoms:
        item.calc = None
    return {f'frame_{number:04d}': orm.StructureData(ase=atoms[index]) for number, index in enumerate(indices)}
