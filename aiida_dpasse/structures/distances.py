"""Shortest interatomic distances in a periodic cell; depends on numpy only, so that a driver can be run on a machine
without pymatgen or ASE.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cell_heights(cell: ArrayLike) -> NDArray[np.float64]:
    """Return the distances (3,) in A between opposite faces of a cell.

    :param cell: lattice vectors as rows, (3, 3) A.
    """
    matrix = np.asarray(cell, dtype=float)
    normals = np.cross(np.roll(matrix, -1, axis=0), np.roll(matrix, -2, axis=0))
    return np.asarray(abs(np.linalg.det(matrix)) / np.linalg.norm(normals, axis=1), dtype=float)


def shortest_lattice_vector(cell: ArrayLike) -> float:
    """Return the length in A of the shortest non-zero lattice vector: the distance of an atom to its nearest own image.

    Exact: a vector no longer than the shortest row has at most `length / height` steps along each axis.

    :param cell: lattice vectors as rows, (3, 3) A.
    """
    matrix = np.asarray(cell, dtype=float)
    bound = float(np.linalg.norm(matrix, axis=1).min())
    steps = np.floor(bound / cell_heights(matrix) + 1e-9).astype(int)
    shifts = np.array(list(product(*(range(-n, n + 1) for n in steps))), dtype=float)
    lengths = np.linalg.norm(shifts @ matrix, axis=1)
    return float(lengths[lengths > 1e-12].min())


def minimum_distance(cell: ArrayLike, positions: ArrayLike) -> float:
    """Return the shortest distance in A between any two atoms, including periodic images and an atom's own images.

    :param cell: lattice vectors as rows, (3, 3) A; it may be small or skewed.
    :param positions: (natoms, 3) A, inside the cell or not.
    """
    matrix = np.asarray(cell, dtype=float)
    points = np.asarray(positions, dtype=float)
    shortest = shortest_lattice_vector(matrix)
    first, second = np.triu_indices(len(points), k=1)
    if len(first) == 0:
        return shortest
    fractional = points @ np.linalg.inv(matrix)
    difference = fractional[first] - fractional[second]
    difference -= np.rint(difference)
    shortest = min(shortest, float(np.linalg.norm(difference @ matrix, axis=1).min()))
    # A vector shorter than half of every height has |fractional| < 1/2, so rounding has already found it.
    # Otherwise every image that could be nearer than the bound is tried.
    heights = cell_heights(matrix)
    if shortest < heights.min() / 2:
        return shortest
    steps = np.floor(shortest / heights + 0.5).astype(int)
    for shift in product(*(range(-n, n + 1) for n in steps)):
        shortest = min(shortest, float(np.linalg.norm((difference + shift) @ matrix, axis=1).min()))
    return shortest


def closest_contact(cell: ArrayLike, positions: ArrayLike, radii: ArrayLike) -> tuple[float, int, int]:
    """Return the smallest ratio of a distance to the sum of the two atoms' radii, and the two atoms.

    Ratios of 1 and above are not contacts: (1.0, 0, 0) is returned if there are no others.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :param radii: (natoms,) A.
    """
    matrix = np.asarray(cell, dtype=float)
    sizes = np.asarray(radii, dtype=float)
    fractional = np.asarray(positions, dtype=float) @ np.linalg.inv(matrix)
    difference = fractional[:, None] - fractional[None, :]
    difference -= np.rint(difference)
    sums = sizes[:, None] + sizes[None, :]
    steps = np.floor(float(sums.max()) / cell_heights(matrix) + 0.5).astype(int)
    best = (1.0, 0, 0)
    for shift in product(*(range(-n, n + 1) for n in steps)):
        ratios = np.linalg.norm((difference + shift) @ matrix, axis=-1) / sums
        if not any(shift):
            np.fill_diagonal(ratios, np.inf)
        first, second = np.unravel_index(int(np.argmin(ratios)), ratios.shape)
        if ratios[first, second] < best[0]:
            best = (float(ratios[first, second]), int(first), int(second))
    return best
