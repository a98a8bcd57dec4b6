"""Surface of constant energy in a landscape as triangles, and the landscape as a file for structure viewers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import cube
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: The six tetrahedra of a cube, all along its diagonal: corners (6, 4, 3).
TETRAHEDRA = np.array(
    [
        np.cumsum([np.zeros(3, dtype=int), *np.eye(3, dtype=int)[list(order)]], axis=0)
        for order in permutations(range(3))
    ]
)


def triangles(values: ArrayLike, level: float) -> Array:
    """Return the surface on which a periodic landscape has the value ``level``, by marching tetrahedra.

    :param values: (n_1, n_2, n_3); values far above the level, also infinite ones, are as good as twice the level.
    :param level: positive.
    :returns: corners (triangles, 3, 3), in fractional coordinates of the grid.
    """
    shape = np.array(np.shape(values))
    closed = np.pad(np.minimum(np.asarray(values, dtype=float), 2 * level), [(0, 1)] * 3, mode='wrap')
    corners = np.stack(np.unravel_index(np.arange(shape.prod()), tuple(shape)), axis=-1)
    found = [np.empty((0, 3, 3))]
    for tetrahedron in TETRAHEDRA:
        places = corners[:, None] + tetrahedron
        heights = closed[tuple(np.moveaxis(places, -1, 0))]
        below = heights < level
        count = below.sum(axis=1)
        # Corners below the level first.
        order = np.argsort(~below, axis=1, kind='stable')
        places = np.take_along_axis(places, order[:, :, None], axis=1).astype(float)
        heights = np.take_along_axis(heights, order, axis=1)
        for number, faces in ((1, [(1, 2, 3)]), (2, [(2, 3)]), (3, [(0, 1, 2)])):
            some = count == number
            if not some.any():
                continue
            p, h = places[some], heights[some]

            def cut(low: int, high: int, p: Array = p, h: Array = h) -> Array:
                part = (level - h[:, low]) / (h[:, high] - h[:, low])
                return np.asarray(p[:, low] + part[:, None] * (p[:, high] - p[:, low]))

            if number == 1:
                found.append(np.stack([cut(0, high) for high in faces[0]], axis=1))
            elif number == 3:
                found.append(np.stack([cut(low, 3) for low in faces[0]], axis=1))
            else:
                one, two, three, four = cut(0, 2), cut(0, 3), cut(1, 3), cut(1, 2)
                found += [np.stack([one, two, three], axis=1), np.stack([one, three, four], axis=1)]
    return np.asarray(np.concatenate(found) / shape)


def write_cube(
    path: Path, values: ArrayLike, cell: ArrayLike, origin: ArrayLike, numbers: Sequence[int], positions: ArrayLike
) -> None:
    """Write a landscape in eV as a Gaussian cube file; infinite values become the highest of the others.

    :param path: the file to write.
    :param values: (n_1, n_2, n_3) eV.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param origin: (3,) fractional, position of the first voxel.
    :param numbers: (n,), atomic numbers of the atoms drawn with it.
    :param positions: (n, 3) A.
    """
    energies, matrix = np.array(values, dtype=float), np.asarray(cell, dtype=float)
    energies[~np.isfinite(energies)] = energies[np.isfinite(energies)].max()
    atoms = Atoms(list(numbers), positions=np.asarray(positions), cell=matrix, pbc=True)
    with path.open('w') as handle:
        cube.write_cube(handle, atoms, energies, origin=np.asarray(origin) @ matrix, comment='level in eV')
