"""Make doped cells of a crystal."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.structures import doping


@calcfunction
def dope(structure: orm.StructureData, parameters: orm.Dict) -> dict[str, Any]:
    """Make doped cells of a crystal, with exact numbers of atoms, neutral, and different by symmetry.

    :param structure: the host; its occupancies may be partial.
    :param parameters: arguments of `aiida_dpasse.structures.doping.dope` and `plan_doping`: ``substitute``,
        ``exchange``, ``insert``, ``compensate``, ``cells``, ``seed``, ``method`` and others.
    :returns: the cells as ``cell_0000``, ``cell_0001``, ..., and as ``doping`` what is known of them: numbers of atoms
        on each sublattice, charges, energies, degeneracies, weights and notes.
    :raises ValueError: if no cell is as asked for.
    """
    result = doping.dope(structure.get_pymatgen(), **parameters.get_dict())
    cells = {
        f'cell_{number:04d}': orm.StructureData(pymatgen=cell.structure) for number, cell in enumerate(result.cells)
    }
    return {**cells, 'doping': orm.Dict(result.to_dict())}
