"""Distances between pairs of atoms in a periodic cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Pairs evaluated at a time, to bound the memory for many ions.
PORTION = 2**20


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
    batch = max(1, PORTION // max(len(second), 1))
    for start in range(0, len(first), batch):
        part = first[start : start + batch]
        # One axis at a time keeps the arrays small enough for the processor's cache.
        parts = []
        for axis in range(3):
            difference = part[:, axis][:, None] - second[:, axis][None]
            difference -= np.rint(difference)
            parts.append(difference)
        distances = np.zeros_like(parts[0])
        for i in range(3):
            for j in range(i, 3):
                factor = metric[i, j] * (1 if i == j else 2)
                if factor:
                    distances += factor * parts[i] * parts[j]
        if same:
            rows = np.arange(len(part))
            distances[rows, rows + start] = np.inf
        near = distances[(distances >= squares[0]) & (distances < squares[-1])]
        counts += np.histogram(np.sqrt(near), bounds)[0]
    return counts
