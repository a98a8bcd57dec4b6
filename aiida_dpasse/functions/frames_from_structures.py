"""Turn structures into frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    given: Any = inputs.get('structures')
    # Chains that are not converted yet give the bare labels.
    structures: Any = given if isinstance(given, Mapping) else inputs
    sets = [
        item.with_origin(sources=label)
        for label in sorted(structures)
        for item in sets_from_structures([structures[label]])
    ]
    return FramesData.from_sets(sets)
