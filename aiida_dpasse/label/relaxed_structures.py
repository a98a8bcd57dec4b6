"""Convert relaxed frames to structures."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData


@calcfunction
def relaxed_structures(frames: FramesData) -> dict[str, orm.StructureData]:
    """Convert relaxed frames to structures.

    :param frames: relaxed frames, whose source is the label of the initial structure.
    :returns: the structures by that label.
    """
    structures = {}
    for item in frames.sets():
        for frame, source in enumerate(item.sources):
            [atoms] = sets_to_ase([item.take([frame]).with_labels()])
            structures[str(source)] = orm.StructureData(ase=atoms)
    return structures
