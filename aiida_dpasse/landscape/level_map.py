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


def lowest_voxel(energies: ArrayLike) -> Voxel:
    """Return the voxel with the lowest energy, the first of them.

    :param energies: (n_1, n_2, n_3) eV.
    """
    values = np.asarray(energies)
    first, second, third = (int(each) for each in np.unravel_index(int(np.argmin(values)), values.shape))
    return first, second, third


def level_map(energies: ArrayLike, start: Voxel) -> Array:
    """Return the minimum over periodic paths from ``start`` of the highest energy on the path, to each voxel.

    Two voxels are neighbours if they share a face, also across the faces of the cell.

    :param energies: (n_1, n_2, n_3) eV; no path enters a voxel whose energy is infinite.
    :param start: first voxel of all paths, with a finite energy.
    :returns: (n_1, n_2, n_3) eV, infinite where no path leads.
    """
    values = np.asarray(energies, dtype=float)
    open_ = np.isfinite(values)
    nodes = np.full(values.shape, -1)
    nodes[open_] = np.arange(open_.sum())
    # Ranks, from 1: scipy takes a weight of 0 for no edge.
    heights, rank = np.unique(values[open_], return_inverse=True)
    weight = rank.ravel() + 1
    pairs = np.concatenate([_pairs(nodes, axis) for axis in range(3)], axis=1)
    pairs = pairs[:, (pairs >= 0).all(axis=0)]
    count = len(weight)
    edges = coo_array((weight[pairs].max(axis=0).astype(float), tuple(pairs)), shape=(count, count))
    root = int(nodes[start])
    order, parents = breadth_first_order(minimum_spanning_tree(edges.tocsr()), root, directed=False)
    level = _highest_on_path(weight, parents, root)
    found = np.full(values.shape, np.inf)
    reached = np.full(count, np.inf)
    reached[order] = heights[level[order] - 1]
    found[open_] = reached
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
    return np.maximum(level, weight[root])
