"""Supercells from three integers, a matrix, or the minimum distance between an atom and its own images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Structure

from aiida_dpasse.structures.distances import cell_heights, shortest_lattice_vector

Size = float | Sequence[int] | Sequence[Sequence[int]]
"""A minimum image distance in A, three repetitions, or an integer matrix (rows combine the old lattice
vectors)."""

MAXIMUM_ATOMS = 100_000
#: Largest ratio of the longest to the shortest side of a compact cell.
COMPACT = 2.0


def supercell_matrix(structure: Structure, size: Size) -> NDArray[np.int64]:
    """Return the integer matrix (3, 3) of the supercell; the new lattice vectors are `matrix @ old`.

    For a minimum image distance it is the diagonal matrix of smallest volume whose shortest lattice vector is long
    enough.

    :param structure: the unit cell.
    :param size: minimum image distance in A, three repetitions, or an integer matrix.
    :raises ValueError: as :func:`check_size`, and if no supercell keeps the distance.
    """
    matrix = check_size(size)
    return _matrix_for_distance(structure, float(size)) if matrix is None else matrix  # type: ignore[arg-type]


def check_size(size: Size) -> NDArray[np.int64] | None:
    """Return the integer matrix (3, 3) of a size that does not depend on the crystal, None for a distance.

    :param size: minimum image distance in A, three repetitions, or an integer matrix.
    :raises ValueError: for anything but whole numbers, a determinant that is not positive, or a distance that is not
        between 0 and 1000 A.
    """
    if isinstance(size, int | float) and not isinstance(size, bool):
        if not 0 < size < 1000:
            raise ValueError(f'supercell: the minimum image distance should be between 0 and 1000 A, got {size}.')
        return None
    try:
        given = np.asarray(size, dtype=float)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape not in ((3,), (3, 3)) or not np.array_equal(given, np.rint(given)):
        raise ValueError(
            f'supercell: give a distance in A, three whole numbers or a 3x3 matrix of whole numbers, got {size!r}.'
        )
    if given.shape == (3,) and given.min() < 1:
        raise ValueError(f'supercell: each of the three repetitions should be 1 or more, got {size!r}.')
    matrix = np.diag(given) if given.shape == (3,) else given
    if np.linalg.det(matrix) < 0.5:
        raise ValueError(
            f'supercell: the determinant of the matrix should be 1 or more (right-handed, not flat), got {size!r}.'
        )
    return np.rint(matrix).astype(np.int64)


def make_supercell(structure: Structure, size: Size, *, maximum_atoms: int = MAXIMUM_ATOMS) -> Structure:
    """Return the supercell of a structure, with all copies of a site grouped together as in pymatgen.

    :param structure: the unit cell.
    :param size: minimum image distance in A, three repetitions, or an integer matrix.
    :param maximum_atoms: largest number of atoms allowed.
    :raises ValueError: as `supercell_matrix`, and if the supercell would have more than `maximum_atoms` atoms.
    """
    matrix = supercell_matrix(structure, size)
    atoms = len(structure) * round(float(np.linalg.det(matrix)))
    if atoms > maximum_atoms:
        raise ValueError(
            f'supercell: {size!r} makes {atoms} atoms, more than the limit of {maximum_atoms}; ask for a smaller cell.'
        )
    return structure.make_supercell(matrix, in_place=False)


def nearest_repetition(structure: Structure, atoms: int) -> list[int]:
    """Return the three repetitions of a compact supercell whose number of atoms is closest to ``atoms``.

    Compact means that the largest distance between opposite faces is at most :data:`COMPACT` times the smallest, or the
    ratio in the structure itself. Of equally close ones the most compact is returned, since an elongated cell has more
    of its own images within the cutoff than a cube.

    :param structure: the unit cell.
    :param atoms: number of atoms wanted.
    :raises ValueError: for a number of atoms that is not positive.
    """
    if atoms < 1:
        raise ValueError(f'supercell: the number of atoms should be 1 or more, got {atoms}.')
    copies = max(1.0, atoms / len(structure))
    grid, ratios = _compact(structure.lattice.matrix, 2 * copies)
    missed = np.abs(grid.prod(axis=1) * len(structure) - atoms)
    keys = zip(missed, ratios.round(9), (tuple(row) for row in grid.tolist()), strict=True)
    return list(min(keys)[2])


def compact_repetitions(cell: ArrayLike, copies: int, ratio: float = COMPACT) -> list[tuple[int, int, int]]:
    """Return the most compact three repetitions for each possible number of cells, smallest first.

    Numbers of cells without a compact repetition (see :func:`nearest_repetition`) are left out.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param copies: largest number of cells.
    :param ratio: largest ratio of the distances between opposite faces, if that of the cell is not larger.
    """
    grid, ratios = _compact(cell, copies, ratio)
    order = sorted(zip(grid.prod(axis=1).tolist(), ratios.round(9).tolist(), map(tuple, grid.tolist()), strict=True))
    best: dict[int, tuple[int, int, int]] = {}
    for number, _, repeats in order:
        if number <= copies:
            best.setdefault(number, repeats)
    return list(best.values())


def _compact(cell: ArrayLike, copies: float, ratio: float = COMPACT) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return all compact repetitions (n, 3) of about up to ``copies`` cells, with the ratios of their heights (n,)."""
    heights = cell_heights(cell)
    allowed = max(ratio, heights.max() / heights.min()) * (1 + 1e-9)
    # Upper bound of the side of any compact repetition of this volume.
    longest = (copies * heights.prod() * allowed**2) ** (1 / 3)
    grid = np.indices(np.maximum(1, np.ceil(longest / heights)).astype(int)).reshape(3, -1).T + 1
    sides = grid * heights
    ratios = sides.max(axis=1) / sides.min(axis=1)
    return grid[ratios <= allowed], ratios[ratios <= allowed]


def _matrix_for_distance(structure: Structure, distance: float) -> NDArray[np.int64]:
    """Return the diagonal matrix of smallest volume whose shortest lattice vector is at least `distance` A.

    :raises ValueError: if no such matrix exists.
    """
    cell = np.asarray(structure.lattice.matrix)
    # Heights equal to the distance always suffice, so they bound the search from above.
    bounds = np.ceil(distance / cell_heights(cell) - 1e-9).astype(int)
    lower = np.ceil(distance / np.linalg.norm(cell, axis=1) - 1e-9).astype(int)
    choices = product(*(range(max(1, low), max(1, high) + 1) for low, high in zip(lower, bounds, strict=True)))
    for repeats in sorted(choices, key=lambda n: (n[0] * n[1] * n[2], n)):
        if shortest_lattice_vector(np.diag(repeats) @ cell) >= distance - 1e-9:
            return np.diag(repeats).astype(np.int64)
    raise ValueError(f'supercell: no supercell keeps images {distance} A apart.')
