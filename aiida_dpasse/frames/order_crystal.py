"""Make ordered cells of a disordered crystal from its CIF."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures.crystal_file import read_cif
from aiida_dpasse.structures.order import order_crystal as order


@calcfunction
def order_crystal(cif: orm.SinglefileData, parameters: orm.Dict) -> dict[str, Any]:
    """Make ordered cells of a disordered crystal, which differ by symmetry.

    :param cif: the CIF, a `SinglefileData` or `CifData`.
    :param parameters: arguments of `aiida_dpasse.structures.order.order_crystal` (``cells``, ``seed``, ``method``,
        ``repeats``, ``max_atoms``, ``tolerance``, ``site_tolerance``, ``charges``, ``symprec``), all optional, and
        ``index`` of the crystal in a file with several.
    :returns: the cells as ``cell_0000``, ``cell_0001``, ..., and as ``ordering`` what is known of them: energies,
        degeneracies, weights, occupancies, charges and notes.
    :raises ValueError: if the file contains no crystal, or no ordered cell can be made of it.
    """
    settings = parameters.get_dict()
    crystal = read_cif(cif.get_content(), cif.filename, settings.pop('index', None))
    ordering = order(crystal.structure, **{'charges': crystal.charges or None, **settings})
    cells = {
        f'cell_{number:04d}': orm.StructureData(pymatgen=cell.structure) for number, cell in enumerate(ordering.cells)
    }
    return {**cells, 'ordering': orm.Dict({**ordering.to_dict(), 'notes': [*crystal.notes, *ordering.notes]})}
