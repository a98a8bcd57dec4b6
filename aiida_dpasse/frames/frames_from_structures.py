"""Convert structures to frames."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_from_structures
from aiida_dpasse.data.frames import FramesData


@calcfunction
def frames_from_structures(**inputs: dict[str, orm.StructureData]) -> FramesData:
    """Convert structures to unlabelled frames, one for each; the source of a frame is the structure's label.

    :param inputs: namespace ``structures``, by label.
    :returns: the frames, in the order of the labels.
    :raises ValueError: for partial occupancies.
    """
    structures = inputs['structures']
    sets = [
        item.with_origin(sources=label)
        for label in sorted(structures)
        for item in sets_from_structures([structures[label]])
    ]
    return FramesData.from_sets(sets)
