"""Hops of ions between sites, and residence times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice

NOWHERE = -1


@dataclass(frozen=True)
class Hops:
    """Hops of ``ions`` ions between sites over ``duration`` ps.

    :param events: (n, 4): frame, ion, site left and site reached.
    :param ions: number of ions.
    :param duration: length of the run in ps.
    """

    events: NDArray[np.int64]
    ions: int
    duration: float

    @property
    def rate(self) -> tuple[float, float]:
        """Hops per ion and ps, and the standard deviation for independent (Poisson) hops."""
        return len(self.events) / (self.ions * self.duration), len(self.events) ** 0.5 / (self.ions * self.duration)

    @property
    def residence_time(self) -> float | None:
        """Mean time between the hops of an ion in ps; None if there are no hops.

        Total time over total hops: the mean of the complete stays alone would miss the long ones truncated by the run.
        """
        return self.ions * self.duration / len(self.events) if len(self.events) else None

    def back_jumps(self) -> float | None:
        """Return the fraction of second and later hops of an ion that return to the site it left; None without any."""
        order = np.lexsort((self.events[:, 0], self.events[:, 1]))
        ordered = self.events[order]
        same = ordered[1:, 1] == ordered[:-1, 1]
        return float(np.mean(ordered[1:, 3][same] == ordered[:-1, 2][same])) if same.any() else None


def find_hops(positions: Any, cell: Any, sites: Any, interval: float, core: float) -> Hops:
    """Return the hops of ions between sites.

    An ion is assigned to the last site whose core it entered, and hops when it enters the core of another, so that
    rattling across the border between two sites does not count (Northrup and Hynes, J. Chem. Phys. 73, 2700, 1980, on
    reactant and product states). Until it enters its first core an ion is assigned to the site of that core, since no
    hop to it was observed.

    :param positions: (frames, ions, 3) A, wrapped or not.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param sites: fractional coordinates (sites, 3).
    :param interval: time between frames, ps.
    :param core: radius of a core in A, less than half the distance between sites.
    :raises ValueError: if cores overlap, or there are fewer than two frames.
    """
    lattice, places = Lattice(cell), np.asarray(sites, dtype=float)
    points = lattice.get_fractional_coords(positions)
    frames, ions, _ = points.shape
    if frames < 2:
        raise ValueError(f'{frames} frames hold no hop: give at least two.')
    apart = lattice.get_all_distances(places, places)
    np.fill_diagonal(apart, np.inf)
    if core * 2 >= apart.min():
        raise ValueError(f'Cores of {core:g} A overlap: the sites are {apart.min():.3g} A apart, give a smaller core.')
    belongs = np.zeros((frames, ions), dtype=np.int64)
    everyone = np.arange(ions)
    nearest = everyone
    for frame, point in enumerate(points):
        distances = lattice.get_all_distances(point, places)
        nearest = np.asarray(distances.argmin(axis=1))
        inside = distances[everyone, nearest] < core
        belongs[frame] = np.where(inside, nearest, belongs[frame - 1] if frame else NOWHERE)
    unknown = belongs == NOWHERE
    first = np.where(unknown[-1], nearest, belongs[np.argmin(unknown, axis=0), everyone])
    belongs = np.where(unknown, first, belongs)
    before, ion = np.nonzero(belongs[1:] != belongs[:-1])
    events = np.stack([before + 1, ion, belongs[before, ion], belongs[before + 1, ion]], axis=1)
    return Hops(events, ions, (frames - 1) * interval)
