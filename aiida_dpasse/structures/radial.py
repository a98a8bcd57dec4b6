"""Radial distributions of all pairs of elements in cells of any size and shape, and their mismatch between two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import ArrayLike, NDArray

Pair = tuple[str, str]
Array = NDArray[np.float64]


def pair_names(elements: Iterable[str]) -> list[Pair]:
    """Return the unordered pairs of ``elements``, including equal ones, in alphabetical order."""
    return list(combinations_with_replacement(sorted(set(elements)), 2))


def pair_distances(symbols: Sequence[str], cell: ArrayLike, positions: ArrayLike, cutoff: float) -> dict[Pair, Array]:
    """Return the distances in A below ``cutoff`` for each pair of elements, all periodic images included.

    A pair of atoms of different elements is counted once, one of the same element from both of its atoms.

    :param symbols: (natoms,), element of each atom.
    :param cell: lattice vectors as rows, (3, 3) A; it may be smaller than the cutoff.
    :param positions: (natoms, 3) A.
    :param cutoff: A.
    """
    kinds = sorted(set(symbols))
    codes = np.searchsorted(kinds, np.asarray(symbols))
    first, second, distances = primitive_neighbor_list(
        'ijd', [True] * 3, np.asarray(cell, dtype=float), np.asarray(positions, dtype=float), cutoff
    )
    here, there = codes[first], codes[second]
    return {
        (one, other): distances[(here == kinds.index(one)) & (there == kinds.index(other))]
        for one, other in pair_names(kinds)
    }


def neighbour_numbers(
    symbols: Sequence[str], cells: ArrayLike, positions: ArrayLike, edges: ArrayLike
) -> dict[Pair, Array]:
    """Return the mean number of neighbours per distance bin, (bins,), for each pair of elements.

    Neighbours of the second element around an atom of the first are counted. All periodic images count, so the edges
    may exceed half the cell. Divided by 4 pi r^2 dr and the density of the second element, the result is g(r).

    :param symbols: (natoms,), element of each atom.
    :param cells: lattice vectors as rows, (frames, 3, 3) A.
    :param positions: (frames, natoms, 3) A.
    :param edges: of the bins in A, (bins + 1,), from 0 or above.
    """
    bounds, atoms = np.asarray(edges, dtype=float), Counter(symbols)
    counts = {pair: np.zeros(len(bounds) - 1) for pair in pair_names(symbols)}
    lattices = np.asarray(cells, dtype=float)
    for cell, places in zip(lattices, np.asarray(positions, dtype=float), strict=True):
        for pair, distances in pair_distances(symbols, cell, places, float(bounds[-1])).items():
            counts[pair] += np.histogram(distances, bounds)[0]
    return {pair: number / (len(lattices) * atoms[pair[0]]) for pair, number in counts.items()}


def mismatch(one: Mapping[Pair, Array], other: Mapping[Pair, Array]) -> float:
    """Return the largest fraction, over the pairs of elements, of neighbours at different distances.

    It is 0 for equal and 1 for disjoint distributions: half the integral of the absolute difference, divided by the
    mean number of neighbours, but by at least one, since a few encounters of a pair that rarely meets are not
    significant.

    :param one: as :func:`neighbour_numbers` returns it.
    :param other: likewise, with the same bins.
    :raises ValueError: if they are not of the same pairs of elements.
    """
    if set(one) != set(other):
        raise ValueError('The distributions are of different elements: compare runs of one compound.')
    fractions = [0.0]
    for pair, numbers in one.items():
        total = max(0.5 * float(np.sum(numbers) + np.sum(other[pair])), 1.0)
        fractions.append(0.5 * float(np.abs(numbers - other[pair]).sum()) / total)
    return max(fractions)


def halves(frames: int) -> tuple[slice, slice]:
    """Return slices of the first and the second half of a run; their difference is due to noise or drift.

    :param frames: number of frames.
    """
    return slice(0, frames // 2), slice(frames // 2, frames)


def compare_radial(student: Any, teacher: Any, edges: Iterable[float]) -> tuple[float, float]:
    """Return the mismatch between two runs of one compound, and that between the halves of the second, its noise.

    :param student: `FrameSet` of one run.
    :param teacher: `FrameSet` of the reference run.
    :param edges: of the bins in A.
    :raises ValueError: if they are not of the same elements.
    """
    bounds = np.asarray(list(edges), dtype=float)

    def numbers(item: Any, part: slice = slice(None)) -> dict[Pair, Array]:
        return neighbour_numbers(item.symbols, item.cells[part], item.positions[part], bounds)

    early, late = (numbers(teacher, part) for part in halves(len(teacher)))
    return mismatch(numbers(student), numbers(teacher)), mismatch(early, late)
