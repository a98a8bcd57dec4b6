"""Occupancies of sites in a trajectory, with errors from blocks of the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.transport.cages import block_error

Array = NDArray[np.float64]

#: An ion further than this from every site, in A, is at none of them.
REACH = 1.2
#: Distances computed at a time, to bound the memory.
PORTION = 2_000_000


@dataclass(frozen=True)
class Occupancy:
    """Mean occupancy of equivalent sites.

    :param label: label of the sites.
    :param sites: number of the sites in the cell of the trajectory.
    :param occupancy: mean number of ions at a site.
    :param error: its standard error, from the scatter between blocks of the run.
    :param distance: root mean square distance of these ions from their sites, A.
    """

    label: str
    sites: int
    occupancy: float
    error: float
    distance: float


def site_occupancies(
    positions: ArrayLike, cell: ArrayLike, places: ArrayLike, labels: list[str]
) -> tuple[list[Occupancy], float]:
    """Return the mean occupancies of given sites, by label, and the part of the time that ions are at none.

    An ion is at the nearest site, if it is within `REACH` of it.

    :param positions: (frames, ions, 3) A, relative to the framework.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param places: fractional coordinates of the sites, (n, 3).
    :param labels: label of each site, (n,); equivalent sites share one.
    """
    points, lattice, centres = (np.asarray(values, dtype=float) for values in (positions, cell, places))
    frames, ions, _ = points.shape
    at, squares = np.full((frames, ions), -1, dtype=np.int64), np.zeros((frames, ions))
    step = max(1, PORTION // (ions * len(centres)))
    for start in range(0, frames, step):
        scaled = points[start : start + step] @ np.linalg.inv(lattice)
        apart = scaled[:, :, None] - centres
        square = np.sum(((apart - np.rint(apart)) @ lattice) ** 2, axis=-1)
        nearest = square.argmin(axis=-1)
        least = np.take_along_axis(square, nearest[..., None], axis=-1)[..., 0]
        at[start : start + step] = np.where(least <= REACH**2, nearest, -1)
        squares[start : start + step] = least
    names = list(dict.fromkeys(labels))
    kinds = np.array([names.index(label) for label in labels])
    kind_at = np.where(at >= 0, kinds[at], -1)
    sizes = np.bincount(kinds, minlength=len(names))
    counts = np.bincount(kind_at[kind_at >= 0], minlength=len(names))
    sums = np.bincount(kind_at[kind_at >= 0], weights=squares[kind_at >= 0], minlength=len(names))
    errors = block_error(kind_at, len(names)) / sizes
    found = [
        Occupancy(
            name,
            int(sizes[kind]),
            float(counts[kind] / (frames * sizes[kind])),
            float(errors[kind]),
            float(np.sqrt(sums[kind] / max(counts[kind], 1))),
        )
        for kind, name in enumerate(names)
    ]
    return found, float(np.mean(at < 0))
