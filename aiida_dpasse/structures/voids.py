"""Places between the atoms of a crystal that take an interstitial ion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Lattice
from scipy.spatial import Voronoi

from aiida_dpasse.structures.arrangements import Sites, pair_distances
from aiida_dpasse.structures.distances import cell_heights
from aiida_dpasse.structures.sublattices import elements_of

Array = NDArray[np.float64]

#: Places closer to each other than this, in A, are one.
SAME = 0.3
#: Atoms within this distance of the cell, in A, decide on the places in it: no hole of a dense crystal is as large.
MARGIN = 6.0


def symmetric_places(sites: Sites, point: ArrayLike, same: float = SAME) -> Array:
    """Return the places (n, 3), fractional, that the symmetry of a crystal makes of one.

    Places within ``same`` A of each other are one, at their mean.

    :param sites: the crystal and its symmetry.
    :param point: fractional coordinates of the place, (3,).
    :param same: A.
    """
    moved = np.einsum('nij,j->ni', sites.rotations, np.asarray(point, dtype=float)) + sites.translations
    return _merged(sites.structure.lattice, moved, same)


def roomiest_places(sites: Sites, ion: str, charges: Mapping[str, float]) -> Array | None:
    """Return the places (n, 3), fractional, that are farthest from the atoms, equivalent by symmetry.

    They are vertices of the Voronoi cells of the atoms. A place has room if its distance to every atom is at least
    that at which ions are kept apart in ordered cells.

    :param sites: the crystal and its symmetry; sites with partial occupancies count as occupied.
    :param ion: chemical symbol of the ion.
    :param charges: charge of each element, with that of the ion.
    :returns: None if there is no room.
    """
    structure = sites.structure
    held = [sorted(elements_of(structure, index)) for index in range(len(structure))]
    elements = sorted({ion, *(each for group in held for each in group)})
    least = pair_distances(elements, charges)[elements.index(ion)]
    reach = np.array([max(least[elements.index(each)] for each in group) for group in held])
    lattice = structure.lattice
    steps = np.ceil(MARGIN / cell_heights(lattice.matrix)).astype(int)
    shifts = np.array(list(np.ndindex(*(2 * steps + 1)))) - steps
    cloud = (structure.frac_coords[:, None] % 1.0 + shifts[None]).reshape(-1, 3)
    margin = MARGIN / cell_heights(lattice.matrix)
    cloud = cloud[np.all((cloud > -margin) & (cloud < 1 + margin), axis=1)]
    vertices = Voronoi(cloud @ lattice.matrix).vertices @ np.linalg.inv(lattice.matrix)
    # Those outside the cell are images of others.
    vertices = vertices[np.all((vertices > -0.05) & (vertices < 1.05), axis=1)]

    def room(places: Array) -> Array:
        return np.asarray((lattice.get_all_distances(places, structure.frac_coords) / reach).min(axis=1))

    rooms = room(vertices)
    for index in np.lexsort((*vertices.round(4).T, -rooms.round(4))):
        if rooms[index] < 1:
            return None
        places = symmetric_places(sites, vertices[index])
        if room(places).min() >= 1:
            return places
    return None


def _merged(lattice: Lattice, points: Array, same: float) -> Array:
    """Return points of which those within ``same`` A of each other are one, at their mean."""
    apart = lattice.get_all_distances(points, points)
    left = list(range(len(points)))
    found = []
    while left:
        first = left[0]
        near = [index for index in left if apart[first, index] < same]
        offsets = points[near] - points[first]
        found.append(points[first] + (offsets - np.rint(offsets)).mean(axis=0))
        left = [index for index in left if index not in near]
    return np.asarray(found) % 1.0
