"""Dope: put another element on a fraction of the sites of one."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures import disorder


@calcfunction
def substitute_sites(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Return a structure in which a ``fraction`` of the sites of ``species`` holds ``dopant``, drawn by
    ``seed``.

    :raises ValueError: for partial occupancies, or a fraction that is not a whole number of sites.
    """
    return orm.StructureData(pymatgen=disorder.substitute(structure.get_pymatgen(), **parameters.get_dict()))
