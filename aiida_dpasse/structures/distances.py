"""Shortest interatomic distances in a periodic cell; depends on numpy only, so that a driver can be run on a machine
without pymatgen or ASE.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def image_vectors(cell: ArrayLike, fractional: ArrayLike, radius: float) -> Iterator[NDArray[np.float64]]:
    """Yield the vectors (..., 3) in A to one image after the other, among them every image within ``radius``.

    :param cell: lattice vectors as rows, (3, 3) A; it may be small or skewed.
    :param fractional: vectors (..., 3) in fractional coordinates.
    :param radius: A.
    """
    matrix = np.asarray(cell, dtype=float)
    nearest = np.asarray(fractional, dtype=float)
    nearest = nearest - np.rint(nearest)
    # The remainder is at most half a lattice vector along each axis; in a skewed cell other images may be nearer.
    steps = np.floor(radius / cell_heights(matrix) + 0.5).astype(int)
    for shift in product(*(range(-n, n + 1) for n in steps)):
        yield (nearest + shift) @ matrix


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
    if shortest < cell_heights(matrix).min() / 2:
        return shortest
    images = image_vectors(matrix, difference, shortest)
    return min(shortest, *(float(np.linalg.norm(image, axis=1).min()) for image in images))


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
    sums = sizes[:, None] + sizes[None, :]
    best = (1.0, 0, 0)
    for image in image_vectors(matrix, fractional[:, None] - fractional[None, :], float(sums.max())):
        ratios = np.linalg.norm(image, axis=-1) / sums
        # An atom is no contact of itself, but its images are.
        own = np.einsum('ii->i', ratios)
        own[own == 0] = np.inf
        first, second = np.unravel_index(int(np.argmin(ratios)), ratios.shape)
        if ratios[first, second] < best[0]:
            best = (float(ratios[first, second]), int(first), int(second))
    return best
