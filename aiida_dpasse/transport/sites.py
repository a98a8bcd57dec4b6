"""Sites of the ions learnt from their density, and the occupancies of these sites."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice
from scipy.ndimage import gaussian_filter

from aiida_dpasse.transport.density import ion_density

Array = NDArray[np.float64]

#: Distance between grid points and width of the Gaussian smoothing in A: below the thermal amplitude of a mobile ion.
SPACING, SMOOTHING = 0.2, 0.4
#: A maximum is a site if its density exceeds the mean in the cell by this factor.
CONTRAST = 3.0


def density_sites(positions: Any, cell: Any, separation: float) -> Array:
    """Return the sites of the ions (n, 3) in fractional coordinates: maxima of their smoothed density.

    Of two maxima closer than ``separation`` the higher one is kept. A site is the mean position of the ions within half
    the separation of its maximum.

    :param positions: (frames, ions, 3) A, relative to the framework.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param separation: smallest distance between two sites in A.
    :raises ValueError: if the density has no distinct maximum.
    """
    lattice = Lattice(cell)
    density = ion_density(positions, cell, SPACING)
    widths = SMOOTHING * np.array(density.shape) / np.array(lattice.abc)
    smooth = gaussian_filter(density, widths, mode='wrap')
    peak = smooth > CONTRAST * smooth.mean()
    for axis in range(3):
        for step in (-1, 1):
            peak &= smooth >= np.roll(smooth, step, axis)
    places = np.argwhere(peak)
    if not len(places):
        raise ValueError('The density of the ions has no distinct maximum: they have no sites.')
    places = places[np.argsort(-smooth[tuple(places.T)], kind='stable')] / np.array(density.shape)
    kept: list[Array] = []
    for place in places:
        if not kept or lattice.get_all_distances([place], kept).min() >= separation:
            kept.append(place)
    sites = np.array(kept)
    total, number = np.zeros_like(sites), np.zeros(len(sites))
    for point in lattice.get_fractional_coords(positions):
        nearest, distances = nearest_sites(point, lattice, sites)
        near = distances < separation / 2
        away = point[near] - sites[nearest[near]]
        np.add.at(total, nearest[near], away - np.round(away))
        np.add.at(number, nearest[near], 1.0)
    return np.asarray((sites + total / np.maximum(number, 1.0)[:, None]) % 1.0)


def nearest_sites(points: Array, lattice: Lattice, sites: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the nearest site of each ion and its distance in A, (ions,) each.

    :param points: fractional coordinates (ions, 3).
    :param lattice: the cell.
    :param sites: fractional coordinates (sites, 3).
    """
    distances = lattice.get_all_distances(points, sites)
    nearest = distances.argmin(axis=1)
    return nearest, distances[np.arange(len(points)), nearest]


def occupancies(positions: Any, cell: Any, sites: Any) -> Array:
    """Return the mean number of ions that are nearest to each site, (sites,); the sum is the number of ions.

    :param positions: (frames, ions, 3) A.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param sites: fractional coordinates (sites, 3).
    """
    lattice = Lattice(cell)
    points = lattice.get_fractional_coords(positions)
    counts = np.zeros(len(sites))
    for point in points:
        counts += np.bincount(nearest_sites(point, lattice, np.asarray(sites))[0], minlength=len(sites))
    return counts / len(points)
