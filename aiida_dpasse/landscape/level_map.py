"""Level map of an energy landscape: the lowest energy that a path from a start to each voxel has to reach.

The minimax path between two voxels lies on the minimum spanning tree of the graph of neighbours (Hu, Oper. Res. 9, 898,
1961), which is found without a queue in Python. The map is that of Dijkstra's algorithm with a maximum in place of the
sum, to the last digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

Array = NDArray[np.float64]
Voxel = tuple[int, int, int]

#: Difference in eV of minima that count as equal.
TIE = 1e-3


def lowest_voxel(energies: ArrayLike) -> Voxel:
    """Return the voxel with the lowest energy, the first of them.

    :param energies: (n_1, n_2, n_3) eV.
    """
    values = np.asarray(energies)
    first, second, third = (int(each) for each in np.unravel_index(int(np.argmin(values)), values.shape))
    return first, second, third


def lowest_voxels(energies: ArrayLike) -> list[Voxel]:
    """Return the voxels whose energies are within `TIE` of the lowest, the lowest of them first.

    Symmetry makes minima equal, and rounding would decide which of them comes first.

    :param energies: (n_1, n_2, n_3) eV.
    """
    values = np.asarray(energies)
    ties = np.flatnonzero(values <= values.min() + TIE)
    ties = ties[np.argsort(values.ravel()[ties], kind='stable')]
    places = np.stack(np.unravel_index(ties, values.shape), axis=-1).tolist()
    return [(first, second, third) for first, second, third in places]


def level_map(energies: ArrayLike, *starts: Voxel) -> Array:
    """Return the minimum over periodic paths from one of ``starts`` of the highest energy on the path, to each voxel.

    Two voxels are neighbours if they share a face, also across the faces of the cell.

    :param energies: (n_1, n_2, n_3) eV; no path enters a voxel whose energy is infinite.
    :param starts: first voxels of the paths, with finite energies.
    :returns: (n_1, n_2, n_3) eV, infinite where no path leads.
    """
    values = np.asarray(energies, dtype=float)
    open_ = np.isfinite(values)
    nodes = np.full(values.shape, -1)
    nodes[open_] = np.arange(open_.sum())
    # Ranks, from 1: scipy takes a weight of 0 for no edge.
    heights, rank = np.unique(values[open_], return_inverse=True)
    count = int(open_.sum())
    # A node more, from which all paths begin.
    weight = np.append(rank.ravel() + 1, 0)
    pairs = [_pairs(nodes, axis) for axis in range(3)]
    pairs.append(np.array([[count, nodes[start]] for start in starts]).T)
    edges = np.concatenate(pairs, axis=1)
    edges = edges[:, (edges >= 0).all(axis=0)]
    graph = coo_array((weight[edges].max(axis=0).astype(float), tuple(edges)), shape=(count + 1, count + 1))
    order, parents = breadth_first_order(minimum_spanning_tree(graph.tocsr()), count, directed=False)
    reached = order[1:]
    levels = np.full(count, np.inf)
    levels[reached] = heights[_highest_on_path(weight, parents, count)[reached] - 1]
    found = np.full(values.shape, np.inf)
    found[open_] = levels
    return found


def _pairs(nodes: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return each pair of neighbours along an axis once, (2, pairs)."""
    length = nodes.shape[axis]
    if length == 1:
        return np.empty((2, 0), dtype=nodes.dtype)
    after = np.roll(nodes, -1, axis=axis)
    both = np.stack([nodes, after])
    if length == 2:  # the neighbours on both sides are the same voxel
        both = np.take(both, [0], axis=axis + 1)
    return both.reshape(2, -1)


def _highest_on_path(weight: NDArray[Any], parents: NDArray[Any], root: int) -> NDArray[Any]:
    """Return the largest weight on the way of each node to the root; each round doubles the part of the way seen."""
    level, ahead = weight.copy(), parents.copy()
    ahead[ahead < 0] = root  # the root, and nodes that no path reaches
    while (ahead != root).any():
        level = np.maximum(level, level[ahead])
        ahead = ahead[ahead]
    return level
