"""Turn structures into frames."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_from_structures
from aiida_dpasse.data.frames import FramesData


@calcfunction
def frames_from_structures(**inputs: dict[str, orm.StructureData]) -> FramesData:
    """Return one frame for each structure, whose source is the structure's label.

    :param inputs: the ``structures`` by label.
    :raises ValueError: for partial occupancies.
    """
    structures = inputs['structures']
    sets = [
        item.with_origin(sources=label)
        for label in sorted(structures)
        for item in sets_from_structures([structures[label]])
    ]
    return FramesData.from_sets(sets)
