"""Dope a structure: substitute another element on a fraction of the sites of a species."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures import disorder


@calcfunction
def substitute_sites(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Substitute ``dopant`` on a fraction of the sites of ``species``.

    :param structure: ordered structure.
    :param parameters: ``species``, ``dopant``, ``fraction`` and ``seed``.
    :returns: the doped structure.
    :raises ValueError: for partial occupancies, or a fraction that is not a whole number of sites.
    """
    return orm.StructureData(pymatgen=disorder.substitute(structure.get_pymatgen(), **parameters.get_dict()))
