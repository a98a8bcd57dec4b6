"""Create site disorder by exchanging two species between their sites."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures import disorder


@calcfunction
def exchange_sites(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Exchange the free ``first`` ('S') and ``second`` ('Cl') on a fraction of their sites.

    :param structure: ordered structure.
    :param parameters: ``fraction`` (of the smaller of the two sets of sites) and ``seed`` and, if they differ from the
        defaults for an argyrodite, ``first``, ``second``, ``centre`` and ``bond`` (A).
    :returns: the disordered structure.
    :raises ValueError: for partial occupancies, or a fraction that is not a whole number of sites.
    """
    return orm.StructureData(pymatgen=disorder.exchange_sites(structure.get_pymatgen(), **parameters.get_dict()))
