"""Distances between pairs of atoms in a periodic cell.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Pairs evaluated at a time, to bound the memory for many ions.
PORTION = 2**20
#: Mean number of atoms in a box, below which more boxes would cost more than they spare.
ATOMS = 16


def reach(cell: Any) -> float:
    """Return half the shortest distance between opposite faces of a cell in A, below which nearest images are unique.

    :param cell: lattice vectors as rows, (3, 3) A.
    """
    return float(0.5 / np.linalg.norm(np.linalg.inv(np.asarray(cell, dtype=float)), axis=0).max())


def pair_counts(late: Any, early: Any, cell: Any, edges: Any, same: bool) -> Array:
    """Return the number of pairs whose distance lies in each bin, (bins,).

    :param late: (n, 3) A.
    :param early: (m, 3) A.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param edges: of the bins in A, (bins + 1,).
    :param same: whether both are the same atoms, in which case an atom is not paired with itself.
    :raises ValueError: if the edges exceed `reach`.
    """
    bounds = np.asarray(edges, dtype=float)
    if bounds[-1] > reach(cell) * (1 + 1e-9):
        raise ValueError(
            f'Distances up to {bounds[-1]:g} A exceed {reach(cell):g} A, where images begin to count twice.'
        )
    lattice = np.asarray(cell, dtype=float)
    inverse = np.linalg.inv(lattice)
    metric = lattice @ lattice.T
    first, second = np.asarray(late) @ inverse, np.asarray(early) @ inverse
    squares, counts = bounds**2, np.zeros(len(bounds) - 1)
    for rows, columns in _blocks(first, second, lattice, float(bounds[-1])):
        late_part, early_part = first[rows], second[columns]
        # One axis at a time keeps the arrays small enough for the processor's cache.
        parts = []
        for axis in range(3):
            difference = late_part[:, axis][:, None] - early_part[:, axis][None]
            difference -= np.rint(difference)
            parts.append(difference)
        distances = np.zeros_like(parts[0])
        for i in range(3):
            for j in range(i, 3):
                factor = metric[i, j] * (1 if i == j else 2)
                if factor:
                    distances += factor * parts[i] * parts[j]
        if same:
            if isinstance(columns, slice):
                own = np.arange(len(late_part))
                distances[own, own + rows.start] = np.inf
            else:
                place = np.full(len(second), -1)
                place[columns] = np.arange(len(columns))
                own = place[rows]
                distances[own >= 0, own[own >= 0]] = np.inf
        near = distances[(distances >= squares[0]) & (distances < squares[-1])]
        counts += np.histogram(np.sqrt(near), bounds)[0]
    return counts


def _blocks(first: Array, second: Array, lattice: Array, farthest: float) -> Iterator[tuple[Any, Any]]:
    """Yield atoms of both sets that include every pair up to a distance, each pair once.

    Where it pays, the cell is divided into boxes that are at least as wide as the distance, and the atoms of each box
    are paired with those of the boxes around it.
    """
    most, boxes = min(len(first), len(second)) // ATOMS, np.ones(3, dtype=np.int64)
    # Fewer than six boxes in a row are nearly all beside each other.
    if most >= 6:
        widths = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
        # The tolerance is for atoms on a face of a box.
        boxes = np.clip(np.floor(widths / (max(farthest, 1e-3) * (1 + 1e-6))), 1, 1024).astype(np.int64)
        while boxes.prod() > most:
            boxes[np.argmax(boxes)] -= 1
    if 2 * np.minimum(boxes, 3).prod() > boxes.prod():
        batch = max(1, PORTION // max(len(second), 1))
        for start in range(0, len(first), batch):
            yield slice(start, start + batch), slice(None)
        return
    late, early = (np.floor((scaled - np.floor(scaled)) * boxes).astype(np.int64) % boxes for scaled in (first, second))
    numbers = np.ravel_multi_index(tuple(early.T), tuple(boxes))
    members = np.split(np.argsort(numbers, kind='stable'), np.cumsum(np.bincount(numbers, minlength=boxes.prod()))[:-1])
    around = [np.unique(np.arange(-1, 2) % count) for count in boxes]
    shifts = np.stack(np.meshgrid(*around, indexing='ij'), axis=-1).reshape(-1, 3)
    homes = np.ravel_multi_index(tuple(late.T), tuple(boxes))
    order = np.argsort(homes, kind='stable')
    for rows in np.split(order, np.flatnonzero(np.diff(homes[order])) + 1):
        beside = np.ravel_multi_index(tuple(((late[rows[0]] + shifts) % boxes).T), tuple(boxes))
        columns = np.concatenate([members[box] for box in beside])
        batch = max(1, PORTION // max(len(columns), 1))
        for start in range(0, len(rows), batch):
            yield rows[start : start + batch], columns
