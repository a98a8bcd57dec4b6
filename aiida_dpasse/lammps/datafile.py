"""LAMMPS data files: atoms in a periodic cell, rotated into the orientation that LAMMPS requires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.lammps.script import check_elements

Array = NDArray[np.float64]


def lammps_frame(cell: Any) -> tuple[Array, Array]:
    """Return ``cell`` in LAMMPS' orientation (a along x, b in the xy plane) and the rotation into it.

    :param cell: lattice vectors as rows, (3, 3) A.
    :returns: the rotated cell (3, 3) A, lower triangular, and the rotation R (3, 3): ``vector @ R`` rotates a row
        vector into LAMMPS' frame and ``vector @ R.T`` rotates it back.
    :raises ValueError: if the cell is empty or left-handed.
    """
    cell = np.asarray(cell, dtype=float)
    volume = np.linalg.det(cell) if np.isfinite(cell).all() else np.nan
    if not volume > 1e-6:
        raise ValueError(f'The cell is empty or left-handed (volume {volume:.3g} A^3): give a right-handed one.')
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0).all():
        return cell.copy(), np.eye(3)
    # cell = L Q with L lower triangular is the QR decomposition of the transpose.
    columns, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    rotation = columns * signs
    turned = (upper.T * signs).copy()
    turned[np.abs(turned) < 1e-13 * np.abs(turned).max()] = 0.0
    return turned, rotation


def format_data_file(
    names: Sequence[str], cell: Any, positions: Any, kinds: Mapping[str, tuple[str, float]]
) -> tuple[str, Array]:
    """Return the text of a data file (``units metal``, ``atom_style atomic``) and the rotation into LAMMPS' frame.

    Numbers are written with enough digits to be read back exactly; atom ids follow the order of ``names``.

    :param names: (n,), kind of each atom.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (n, 3) A, in the frame of ``cell``; atoms may lie outside the cell.
    :param kinds: element and mass in amu of each kind, in the order of the atom types 1, 2, ..., which `pair_coeff` has
        to repeat; kinds of the same element may differ in mass.
    :returns: the text, and the rotation (3, 3) as in :func:`lammps_frame`.
    :raises ValueError: if a kind is not listed or no element, shapes disagree or the cell is not right-handed.
    """
    unknown = sorted(set(names) - set(kinds))
    if unknown:
        raise ValueError(f'The kind {unknown[0]} is not among the kinds {", ".join(kinds)}: add it.')
    positions = np.asarray(positions, dtype=float)
    if positions.shape != (len(names), 3):
        raise ValueError(f'`positions` has the shape {positions.shape} and should have {(len(names), 3)}.')
    check_elements(element for element, _ in kinds.values())
    turned, rotation = lammps_frame(cell)
    atoms = positions if np.array_equal(rotation, np.eye(3)) else positions @ rotation
    title = 'Written by aiida-dpasse: ' + ' '.join(element for element, _ in kinds.values())
    lines = [title, '', f'{len(names)} atoms', f'{len(kinds)} atom types', '']
    for axis, index in zip('xyz', range(3), strict=True):
        lines.append(f'0.0 {_number(turned[index, index])} {axis}lo {axis}hi')
    lines.append(' '.join(_number(turned[i, j]) for i, j in ((1, 0), (2, 0), (2, 1))) + ' xy xz yz')
    lines += ['', 'Masses', '']
    lines += [f'{index} {_number(mass)} # {element}' for index, (element, mass) in enumerate(kinds.values(), 1)]
    lines += ['', 'Atoms # atomic', '']
    types = {name: index for index, name in enumerate(kinds, 1)}
    for index, (name, atom) in enumerate(zip(names, atoms, strict=True), 1):
        lines.append(f'{index} {types[name]} ' + ' '.join(_number(value) for value in atom))
    return '\n'.join(lines) + '\n', rotation


def _number(value: float) -> str:
    return repr(float(value))
