"""Make site disorder: exchange two species between their sites."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures import disorder


@calcfunction
def exchange_sites(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Return a structure in which a ``fraction`` of the free ``first`` ('S') and of ``second`` have changed
    places.

    ``parameters`` holds ``fraction`` and ``seed`` and, if they differ from the defaults of an argyrodite,
    ``first``,
    ``second``, ``centre`` and ``bond`` (A).

    :raises ValueError: for partial occupancies, or a fraction that is not a whole number of sites.
    """
    return orm.StructureData(pymatgen=disorder.exchange_sites(structure.get_pymatgen(), **parameters.get_dict()))
