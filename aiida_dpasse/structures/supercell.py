"""Supercells by three integers, by a matrix, or by the distance that an atom must keep from its own
images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from aiida_dpasse.structures.distances import cell_heights, shortest_lattice_vector

Size = float | Sequence[int] | Sequence[Sequence[int]]
"""A minimum image distance in A, three repetitions, or an integer matrix (rows combine the old lattice
vectors)."""

MAXIMUM_ATOMS = 100_000
#: How many times as long as its shortest side a compact cell may be.
COMPACT = 2.0


def supercell_matrix(structure: Structure, size: Size) -> NDArray[np.int64]:
    """Integer matrix (3, 3) of the supercell; the new lattice vectors are `matrix @ old`.

    For a minimum image distance it is the diagonal matrix of the smallest volume whose shortest lattice
    vector is long enough.

    :raises ValueError: as :func:`check_size`, and if no supercell keeps the distance.
    """
    matrix = check_size(size)
    return _matrix_for_distance(structure, float(size)) if matrix is None else matrix  # type: ignore[arg-type]


def check_size(size: Size) -> NDArray[np.int64] | None:
    """Return the integer matrix (3, 3) that a size stands for whatever the crystal is, None for a distance.

    :raises ValueError: for anything but whole numbers, a determinant that is not positive, or a distance that
        is not between 0 and 1000 A.
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
    """The supercell of a structure, atoms grouped as pymatgen does (all copies of a site together).

    :raises ValueError: as `supercell_matrix`, and if the supercell would have more than `maximum_atoms`
        atoms.
    """
    matrix = supercell_matrix(structure, size)
    atoms = len(structure) * round(float(np.linalg.det(matrix)))
    if atoms > maximum_atoms:
        raise ValueError(
            f'supercell: {size!r} makes {atoms} atoms, more than the limit of {maximum_atoms}; ask for a smaller cell.'
        )
    return structure.make_supercell(matrix, in_place=False)


def nearest_repetition(structure: Structure, atoms: int) -> list[int]:
    """Three repetitions whose number of atoms is nearest to ``atoms``, among those that are compact.

    The largest distance between opposite faces is at most :data:`COMPACT` times the smallest, or what it is in the
    structure itself; of equally near ones the most compact is taken: a needle has more images of itself within the
    cutoff than a cube.

    :raises ValueError: for a number of atoms that is not positive.
    """
    if atoms < 1:
        raise ValueError(f'supercell: the number of atoms should be 1 or more, got {atoms}.')
    heights = cell_heights(structure.lattice.matrix)
    allowed = max(COMPACT, heights.max() / heights.min()) * (1 + 1e-9)
    copies = max(1.0, atoms / len(structure))
    # No compact repetition of at most twice the volume has a longer side.
    longest = (2 * copies * heights.prod() * allowed**2) ** (1 / 3)
    grid = np.indices(np.maximum(1, np.ceil(longest / heights)).astype(int)).reshape(3, -1).T + 1
    sides = grid * heights
    ratios = sides.max(axis=1) / sides.min(axis=1)
    grid, ratios = grid[ratios <= allowed], ratios[ratios <= allowed]
    missed = np.abs(grid.prod(axis=1) * len(structure) - atoms)
    keys = zip(missed, ratios.round(9), (tuple(row) for row in grid.tolist()), strict=True)
    return list(min(keys)[2])


def _matrix_for_distance(structure: Structure, distance: float) -> NDArray[np.int64]:
    """Diagonal matrix of the smallest volume whose shortest lattice vector is at least `distance` A."""
    cell = np.asarray(structure.lattice.matrix)
    # Heights as long as the distance always suffice, so they bound the search from above.
    bounds = np.ceil(distance / cell_heights(cell) - 1e-9).astype(int)
    lower = np.ceil(distance / np.linalg.norm(cell, axis=1) - 1e-9).astype(int)
    choices = product(*(range(max(1, low), max(1, high) + 1) for low, high in zip(lower, bounds, strict=True)))
    for repeats in sorted(choices, key=lambda n: (n[0] * n[1] * n[2], n)):
        if shortest_lattice_vector(np.diag(repeats) @ cell) >= distance - 1e-9:
            return np.diag(repeats).astype(np.int64)
    raise ValueError(f'supercell: no supercell keeps images {distance} A apart.')
