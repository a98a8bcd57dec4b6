"""Grid of the positions of an ion in a cell of any shape, and the symmetry of the crystal on it.

Depends on numpy only, since it is shipped with a driver to the compute machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.structures.distances import cell_heights

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: A grid may have this many more points along an axis than the spacing needs, if more of the symmetry then maps it onto
#: itself.
MORE_POINTS = 6
#: Tolerance of fractions of a voxel, which are whole numbers up to rounding.
TOLERANCE = 1e-3
#: Tolerance in A of the positions of equivalent atoms: at 1 eV/A it changes an energy by 1 meV.
SITE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Operations:
    """Symmetry operations of a crystal in fractional coordinates: x becomes W x + w.

    :param rotations: W, (m, 3, 3), whole numbers; the group is complete.
    :param translations: w, (m, 3).
    :param origin: (3,) fractional, a point about which the translations are simple fractions.
    """

    rotations: Indices
    translations: Array
    origin: Array

    @classmethod
    def identity(cls) -> Operations:
        """Return the group of a crystal without symmetry."""
        return cls(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), np.zeros(3))

    def __len__(self) -> int:
        return len(self.rotations)

    def take(self, chosen: NDArray[np.bool_]) -> Operations:
        """Return some of the operations; the caller knows that they are a group.

        :param chosen: (m,), whether an operation is taken.
        """
        return Operations(self.rotations[chosen], self.translations[chosen], self.origin)

    def translations_about_origin(self) -> Array:
        """Return the translations (m, 3) with the origin of coordinates in `origin`."""
        return np.asarray(self.translations + self.rotations @ self.origin - self.origin, dtype=float)

    def about(self, origin: Array) -> Operations:
        """Return the same operations with another `origin`."""
        return replace(self, origin=origin)

    def on_grid(self, shape: ArrayLike) -> NDArray[np.bool_]:
        """Return (m,) whether each operation maps the grid i/n + `origin` onto itself.

        The operations that do are a group themselves.

        :param shape: n, (3,) numbers of points.
        """
        numbers = np.asarray(shape, dtype=float)
        steps = numbers[:, None] * self.rotations / numbers[None, :]
        shifts = self.translations_about_origin() * numbers
        whole = np.abs(steps - np.rint(steps)).max(axis=(1, 2)) < TOLERANCE
        return np.asarray(whole & (np.abs(shifts - np.rint(shifts)).max(axis=1) < TOLERANCE))

    def permutations(self, cell: ArrayLike, fractional: ArrayLike, tolerance: float) -> Indices:
        """Return (m, n) to which of the points each operation brings each of them.

        :param cell: lattice vectors as rows, (3, 3) A.
        :param fractional: (n, 3), points that the group maps onto each other.
        :param tolerance: A.
        :raises ValueError: if an image is farther than the tolerance from every point.
        """
        points, matrix = np.asarray(fractional, dtype=float), np.asarray(cell, dtype=float)
        found = []
        for rotation, translation in zip(self.rotations, self.translations, strict=True):
            apart = (points @ rotation.T + translation)[:, None] - points[None]
            apart -= np.rint(apart)
            distances = np.linalg.norm(apart @ matrix, axis=2)
            if distances.min(axis=1).max() > tolerance:
                raise ValueError(f'an operation moves an ion {distances.min(axis=1).max():.2g} A away from every site')
            found.append(distances.argmin(axis=1))
        return np.array(found)


@dataclass(frozen=True)
class Grid:
    """Points i/n + origin of a cell, in fractional coordinates; a voxel is numbered in C order.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param shape: numbers of points along the lattice vectors.
    :param origin: (3,) fractional.
    """

    cell: Array
    shape: tuple[int, int, int]
    origin: Array

    @classmethod
    def of(cls, cell: ArrayLike, spacing: float, operations: Operations | None = None) -> Grid:
        """Return the grid with n_k = ceil(|a_k| / spacing) points along each lattice vector.

        With the operations of a crystal, n_k may be up to `MORE_POINTS` - 1 larger, and the origin be that of the
        operations: the grid is the one with the fewest points that symmetry does not relate.

        :param cell: lattice vectors as rows, (3, 3) A.
        :param spacing: largest distance in A between points along a lattice vector.
        :param operations: symmetry of the crystal.
        """
        matrix = np.asarray(cell, dtype=float)
        # The tolerance keeps a length that is a whole number of spacings up to rounding.
        least = np.maximum(np.ceil(np.linalg.norm(matrix, axis=1) / spacing - 1e-9).astype(int), 1)
        if operations is None or len(operations) == 1:
            return cls(matrix, _three(least), np.zeros(3))
        shapes = least + np.array(list(product(range(MORE_POINTS), repeat=3)))
        groups = [operations.about(origin) for origin in (np.zeros(3), operations.origin)]
        unrelated = [[np.prod(shape) / group.on_grid(shape).sum() for shape in shapes] for group in groups]
        which, best = np.unravel_index(int(np.argmin(unrelated)), (2, len(shapes)))
        return cls(matrix, _three(shapes[best]), groups[which].origin)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def fractional(self, voxels: ArrayLike) -> Array:
        """Return the fractional coordinates (m, 3) of voxels.

        :param voxels: (m,) numbers.
        """
        return np.stack(np.unravel_index(np.asarray(voxels), self.shape), axis=-1) / np.array(self.shape) + self.origin

    def nearest(self, fractional: ArrayLike) -> Indices:
        """Return the number of the voxel, or of the eight voxels around it, of each point.

        :param fractional: (3,).
        :returns: (8,), the corners of the parallelepiped that holds the point.
        """
        low = np.floor((np.asarray(fractional, dtype=float) - self.origin) * self.shape).astype(int)
        corners = (low + np.array(list(product((0, 1), repeat=3)))) % self.shape
        return np.ravel_multi_index(tuple(corners.T), self.shape)

    def far_from(self, fractional: ArrayLike, distance: float) -> NDArray[np.bool_]:
        """Return (n_1, n_2, n_3) whether a voxel is at least ``distance`` from all points and their periodic images.

        :param fractional: (n, 3).
        :param distance: A.
        """
        far = np.ones(self.shape, dtype=bool)
        numbers = np.array(self.shape)
        reach = np.ceil(distance / cell_heights(self.cell) * numbers).astype(int) + 1
        steps = np.array(list(product(*(range(-n, n + 1) for n in reach))))
        for point in np.asarray(fractional, dtype=float):
            place = (point - self.origin) * numbers
            around = np.rint(place).astype(int) + steps
            near = np.linalg.norm((around - place) / numbers @ self.cell, axis=1) < distance
            far[tuple((around[near] % numbers).T)] = False
        return far

    def images(self, operations: Operations) -> Iterator[Indices]:
        """Yield for each operation to which voxel it brings each voxel, (voxels,).

        :param operations: all of them map the grid onto itself.
        """
        numbers = np.array(self.shape)
        voxels = np.stack(np.unravel_index(np.arange(self.size), self.shape), axis=-1)
        steps = np.rint(numbers[:, None] * operations.rotations / numbers[None, :]).astype(np.int64)
        shifts = np.rint(operations.about(self.origin).translations_about_origin() * numbers).astype(np.int64)
        for step, shift in zip(steps, shifts, strict=True):
            yield np.ravel_multi_index(tuple(((voxels @ step.T + shift) % numbers).T), self.shape)


def _three(numbers: ArrayLike) -> tuple[int, int, int]:
    first, second, third = (int(number) for number in np.asarray(numbers))
    return first, second, third
