"""Turn frames into structures, to start molecular dynamics from them."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData


@calcfunction
def structures_from_frames(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.StructureData]:
    """Return ``frame_0000``, ``frame_0001``... of the frames at ``parameters['indices']``, or of all frames
    without it.

    :raises ValueError: if an index is beyond the frames.
    """
    atoms = sets_to_ase(frames.sets())
    indices = parameters.get_dict().get('indices', range(len(atoms)))
    if beyond := [index for index in indices if not 0 <= index < len(atoms)]:
        raise ValueError(f'indices: there are {len(atoms)} frames, counted from 0; take {beyond[0]} out.')
    for item in atoms:
        item.calc = None
    return {f'frame_{number:04d}': orm.StructureData(ase=atoms[index]) for number, index in enumerate(indices)}
