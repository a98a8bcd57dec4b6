"""Make a supercell of a structure."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction
from aiida.orm.nodes.data.structure import Site

from aiida_dpasse.data.conversion import check_ordered
from aiida_dpasse.structures import supercell


@calcfunction
def make_supercell(structure: orm.StructureData, parameters: orm.Dict) -> orm.StructureData:
    """Make a supercell of a structure, with the kinds of the structure.

    :param structure: ordered structure.
    :param parameters: ``supercell``: three repetitions, a 3x3 matrix, or a minimum distance between images in A.
    :returns: the supercell.
    :raises ValueError: for partial occupancies or an invalid size.
    """
    grown = supercell_of(structure, parameters['supercell'])
    # The kinds are copied from the structure, because pymatgen loses their masses.
    cell = orm.StructureData(cell=grown.lattice.matrix.tolist())
    for kind in structure.kinds:
        cell.append_kind(kind)
    for site in grown:
        name = site.properties.get('kind_name') or site.specie.symbol
        cell.append_site(Site(kind_name=name, position=site.coords.tolist()))
    return cell


def supercell_of(structure: orm.StructureData, size: supercell.Size) -> supercell.Structure:
    """Return the supercell of an AiiDA structure as a pymatgen structure.

    :param structure: ordered structure.
    :param size: three repetitions, a 3x3 matrix, or a minimum distance between images in A.
    :raises ValueError: for partial occupancies or an invalid size.
    """
    if message := check_ordered(structure):
        raise ValueError(message)
    return supercell.make_supercell(structure.get_pymatgen(), size)
