"""Levels of energy at which an ion percolates: through the crystal, in how many dimensions, and out of a box of cells.

The voxels below a level fall into components in the cell, which the faces of the cell join to others or to themselves.
A closed way through them that ends in another cell than it began in is a winding; the windings of all closed ways of a
component are a lattice, whose rank is the dimension in which the ion percolates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label

from aiida_dpasse.landscape.level_map import Voxel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Percolation:
    """Lowest levels in eV, infinite where there is none.

    :param dimensions: at which the windings have rank one, two and three.
    :param axes: at which there is a winding with a component along each lattice vector.
    :param box: at which a path reaches the outermost voxels of the box of three by three by three cells around the
        cell of the start, the definition of Maevskiy et al. (arXiv 2411.06804); such a path need not percolate.
    """

    dimensions: tuple[float, float, float]
    axes: tuple[float, float, float]
    box: float


def percolation(energies: ArrayLike, start: Voxel) -> Percolation:
    """Return the levels at which paths from ``start`` percolate; exact on the grid.

    :param energies: (n_1, n_2, n_3) eV; no path enters a voxel whose energy is infinite.
    :param start: first voxel of all paths.
    """
    values = np.asarray(energies, dtype=float)
    heights = np.unique(values[np.isfinite(values) & (values >= values[start])])
    seen: dict[int, Joined] = {}

    def lowest(reached: Callable[[Joined], bool]) -> float:
        below, above = -1, len(heights)
        while above - below > 1:
            middle = (below + above) // 2
            if middle not in seen:
                seen[middle] = Joined.of(values <= heights[middle], start)
            below, above = (below, middle) if reached(seen[middle]) else (middle, above)
        return float(heights[above]) if above < len(heights) else np.inf

    dimensions = [lowest(partial(_has_dimension, rank)) for rank in (1, 2, 3)]
    axes = [lowest(partial(_winds_along, axis)) for axis in range(3)]
    box = lowest(lambda joined: joined.leaves_box)
    return Percolation((dimensions[0], dimensions[1], dimensions[2]), (axes[0], axes[1], axes[2]), box)


def _has_dimension(rank: int, joined: Joined) -> bool:
    return joined.dimension >= rank


def _winds_along(axis: int, joined: Joined) -> bool:
    return bool(joined.windings[:, axis].any())


@dataclass(frozen=True)
class Joined:
    """The component of the start among the voxels below a level.

    :param windings: (m, 3), whole numbers of cells; they generate the lattice of all windings.
    :param leaves_box: whether it reaches the outermost voxels of the box of 27 cells.
    """

    windings: NDArray[np.int64]
    leaves_box: bool

    @property
    def dimension(self) -> int:
        """Rank of the windings."""
        return int(np.linalg.matrix_rank(self.windings)) if len(self.windings) else 0

    @classmethod
    def of(cls, below: NDArray[np.bool_], start: Voxel) -> Joined:
        """Return the component.

        :param below: (n_1, n_2, n_3), whether a voxel is below the level.
        :param start: a voxel below it.
        """
        parts, _ = label(below)
        first = int(parts[start])
        steps: dict[int, list[tuple[int, tuple[int, int, int]]]] = {}
        for axis in range(3):
            ahead = (int(axis == 0), int(axis == 1), int(axis == 2))
            behind = (-ahead[0], -ahead[1], -ahead[2])
            for one, other in _across(parts, axis):
                steps.setdefault(one, []).append((other, ahead))
                steps.setdefault(other, []).append((one, behind))
        places = {first: np.zeros(3, dtype=np.int64)}
        windings = set()
        queue = deque([first])
        while queue:
            part = queue.popleft()
            for other, step in steps.get(part, ()):
                place = places[part] + step
                if other not in places:
                    places[other] = place
                    queue.append(other)
                elif (place != places[other]).any():
                    windings.add(tuple(int(each) for each in place - places[other]))
        found = np.array(sorted(windings), dtype=np.int64).reshape(-1, 3)
        return cls(found, _leaves_box(parts, first, steps))


def _across(parts: NDArray[Any], axis: int) -> list[tuple[int, int]]:
    """Return the pairs of components that meet at the face, the one that is left along the lattice vector first."""
    last, first = np.take(parts, -1, axis=axis).ravel(), np.take(parts, 0, axis=axis).ravel()
    both = (last > 0) & (first > 0)
    return [(int(one), int(other)) for one, other in np.unique(np.stack([last[both], first[both]], axis=1), axis=0)]


def _leaves_box(parts: NDArray[Any], first: int, steps: dict[int, list[tuple[int, tuple[int, int, int]]]]) -> bool:
    edges = [set(np.unique(np.take(parts, side, axis=axis))) for axis in range(3) for side in (0, -1)]
    seen = {(first, (0, 0, 0))}
    queue = deque(seen)
    while queue:
        part, cell = queue.popleft()
        for axis in range(3):
            if (cell[axis] == -1 and part in edges[2 * axis]) or (cell[axis] == 1 and part in edges[2 * axis + 1]):
                return True
        for other, step in steps.get(part, ()):
            place = (cell[0] + step[0], cell[1] + step[1], cell[2] + step[2])
            if max(map(abs, place)) <= 1 and (other, place) not in seen:
                seen.add((other, place))
                queue.append((other, place))
    return False
