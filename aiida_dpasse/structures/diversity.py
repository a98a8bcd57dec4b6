"""Diversity of configurations, and selection of the most different ones.

A configuration is described by the smoothed radial distributions of its pairs of elements, a vector that is invariant
under rotation, translation, repetition of the cell and permutation of atoms of one element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.structures.radial import pair_distances, pair_names

#: Cutoff radius of the descriptor in A.
CUTOFF = 6.0
#: Number of Gaussians between 0 and the cutoff; their width equals their spacing.
BINS = 24


def radial_descriptor(
    symbols: Sequence[str], cell: ArrayLike, positions: ArrayLike, elements: Sequence[str]
) -> NDArray[np.float64]:
    """Return the descriptor of one configuration, (pairs of ``elements`` * BINS,).

    Each block belongs to a pair of elements a and b and holds the sum over their pairs of atoms of Gaussians at the
    distance r, weighted by (1 + cos(pi r / CUTOFF)) / 2 and divided by the square root of the product of the numbers of
    atoms a and b.

    :param symbols: (natoms,), element of each atom.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :param elements: all elements of the configurations to be compared.
    """
    names, counts = pair_names(elements), Counter(symbols)
    centers = CUTOFF * (np.arange(BINS) + 0.5) / BINS
    descriptor = np.zeros((len(names), BINS))
    for (a, b), r in pair_distances(symbols, cell, positions, CUTOFF).items():
        weights = 0.5 * (1 + np.cos(np.pi * r / CUTOFF)) / np.sqrt(counts[a] * counts[b])
        peaks = np.exp(-0.5 * ((r[:, None] - centers) / (CUTOFF / BINS)) ** 2)
        descriptor[names.index((a, b))] = weights @ peaks
    return descriptor.ravel()


def farthest_points(
    descriptors: ArrayLike,
    groups: Sequence[Any],
    seed: int,
    maximum: int,
    maximum_per_group: int | None = None,
) -> NDArray[np.int64]:
    """Return the sorted indices of at most ``maximum`` points, each the farthest from those selected before it.

    The first point is random; of equally distant points the first is taken. Only the distances to the last selected
    point are in memory at once.

    :param descriptors: (n, m).
    :param groups: (n,), structure of each point.
    :param seed: of the choice of the first point.
    :param maximum: largest number of points.
    :param maximum_per_group: largest number of points per structure; unlimited by default.
    """
    points = np.asarray(descriptors, dtype=float)
    chosen: list[int] = []
    counts: Counter[Any] = Counter()
    nearest = np.full(len(points), np.inf)
    open_ = np.ones(len(points), dtype=bool)
    while open_.any() and len(chosen) < maximum:
        if chosen:
            index = int(np.argmax(np.where(open_, nearest, -np.inf)))
        else:
            index = int(np.random.default_rng(seed).integers(len(points)))
        chosen.append(index)
        counts[groups[index]] += 1
        open_[index] = False
        if counts[groups[index]] == maximum_per_group:
            open_ &= np.array([group != groups[index] for group in groups])
        nearest = np.minimum(nearest, np.linalg.norm(points - points[index], axis=1))
    return np.array(sorted(chosen), dtype=np.int64)


def describe_sets(sets: Sequence[Any], wanted: ArrayLike) -> NDArray[np.float64]:
    """Return the descriptors (n, m) of selected frames.

    :param sets: sequence of `FrameSet`.
    :param wanted: (n,), indices of the frames, counted over all sets.
    """
    elements = sorted({symbol for item in sets for symbol in item.symbols})
    starts = np.concatenate([[0], np.cumsum([len(item) for item in sets])]).astype(int)
    numbers = np.asarray(wanted, dtype=int)
    found = np.zeros((len(numbers), len(pair_names(elements)) * BINS))
    for row, index in enumerate(numbers):
        member = int(np.searchsorted(starts, index, side='right')) - 1
        item, frame = sets[member], int(index - starts[member])
        found[row] = radial_descriptor(item.symbols, item.cells[frame], item.positions[frame], elements)
    return found
