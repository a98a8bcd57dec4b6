"""Turn structures into frames."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_from_structures
from aiida_dpasse.data.frames import FramesData


@calcfunction
def frames_from_structures(**structures: orm.StructureData) -> FramesData:
    """Return one frame for each structure, whose source is the structure's link label.

    :raises ValueError: for partial occupancies.
    """
    sets = [
        item.with_origin(sources=label)
        for label in sorted(structures)
        for item in sets_from_structures([structures[label]])
    ]
    return FramesData.from_sets(sets)
