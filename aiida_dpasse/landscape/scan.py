"""Scan of one ion through the crystal with all other atoms held (Maevskiy et al., arXiv 2411.06804).

Depends on numpy only, since it is shipped with a driver to the compute machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.landscape.grid import Grid, Operations

Array = NDArray[np.float64]

#: Distance between the voxels from which a scan up to a level begins, in voxels along each lattice vector.
STRIDE = 2


@dataclass(frozen=True)
class Scan:
    """Energies of one ion.

    :param energies: (n_1, n_2, n_3) eV above the lowest. Voxels that are not needed, or too near to another atom, are
        infinite in a scan up to a level; in a complete scan the latter have the highest energy of the others.
    :param lowest: lowest energy in eV, absolute.
    :param valid: number of voxels that are far enough from all other atoms.
    :param calls: number of energies that were calculated.
    """

    energies: Array
    lowest: float
    valid: int
    calls: int


def representatives(grid: Grid, operations: Operations) -> NDArray[np.int64]:
    """Return for each voxel the first of those that the operations relate to it, (voxels,).

    :param grid: the grid.
    :param operations: a group that maps the grid and the other atoms onto themselves.
    """
    found = np.arange(grid.size)
    for image in grid.images(operations):
        np.minimum(found, image, out=found)
    return found


def scan_ion(
    energies_of: Callable[[NDArray[np.int64]], ArrayLike],
    grid: Grid,
    valid: NDArray[np.bool_],
    home: ArrayLike,
    operations: Operations | None = None,
    highest: float | None = None,
) -> Scan:
    """Calculate the energies of an ion on a grid.

    Symmetry is exact: one voxel of each set of equivalent ones is calculated. A scan up to the level ``highest``
    calculates every second voxel along each lattice vector, the voxels around ``home``, and then the neighbours of
    every voxel below the level, until there are none left. All voxels that paths below the level reach from one of
    these are known exactly, and so are level maps and percolation up to it. Only a pocket below the level that contains
    none of the first voxels is missed: it is smaller than a ball whose radius is the half-diagonal of two voxels.

    :param energies_of: returns the energies (m,) in eV of the crystal with the ion at each of the voxels (m,).
    :param grid: the grid.
    :param valid: (n_1, n_2, n_3), whether a voxel is far enough from all other atoms.
    :param home: (3,), fractional position of the ion in the crystal.
    :param operations: a group that maps the grid and the other atoms onto themselves.
    :param highest: level in eV above the lowest energy, or None for all voxels.
    :raises ValueError: if no voxel is valid, or an energy is not finite.
    """
    allowed = np.asarray(valid, dtype=bool).ravel()
    if not allowed.any():
        raise ValueError('no voxel is far enough from the other atoms')
    first = np.arange(grid.size) if operations is None else representatives(grid, operations)
    known = np.full(grid.size, np.nan)
    calls = 0

    def calculate(wanted: NDArray[np.bool_]) -> None:
        nonlocal calls
        chosen = np.unique(first[wanted & allowed])
        chosen = chosen[np.isnan(known[chosen])]
        values = np.asarray(energies_of(chosen), dtype=float) if len(chosen) else np.empty(0)
        if not np.isfinite(values).all():
            raise ValueError(f'{int((~np.isfinite(values)).sum())} of {len(values)} energies are not finite')
        known[chosen] = values
        calls += len(chosen)

    if highest is None:
        calculate(allowed)
    else:
        begin = np.zeros(grid.shape, dtype=bool)
        begin[::STRIDE, ::STRIDE, ::STRIDE] = True
        begin.ravel()[grid.nearest(home)] = True
        wanted = begin.ravel()
        if not (wanted & allowed).any():
            wanted = allowed
        while (wanted & allowed & np.isnan(known[first])).any():
            calculate(wanted)
            found = known[first]
            wanted = _with_neighbours((found <= np.nanmin(found) + highest).reshape(grid.shape)).ravel()
    found = known[first]
    lowest = float(np.nanmin(found))
    found = found - lowest
    if highest is None:
        found[~allowed] = np.nanmax(found)
    else:
        found[~(found <= highest)] = np.inf
    return Scan(found.reshape(grid.shape), lowest, int(allowed.sum()), calls)


def _with_neighbours(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels together with those that share a face with one of them."""
    found = chosen.copy()
    for axis in range(3):
        for step in (1, -1):
            found |= np.roll(chosen, step, axis=axis)
    return found
