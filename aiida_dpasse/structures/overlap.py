"""Atoms that overlap: duplicates, or alternatives of one disordered site that are both occupied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import ArrayLike
from pymatgen.core import Structure

#: Two atoms overlap below this fraction of the sum of their covalent radii (Cordero et al., Dalton Trans. 2832, 2008).
#: The shortest bonds of inorganic solids are at 0.65 (U-N), and those of hot crystals at 0.7.
OVERLAP = 0.5


def covalent_radius(symbol: str) -> float:
    """Return the covalent radius of an element in A.

    :param symbol: chemical symbol.
    """
    return float(covalent_radii[atomic_numbers[symbol]])


def find_overlap(symbols: Sequence[str], cell: ArrayLike, positions: ArrayLike) -> str | None:
    """Find atoms that are closer than `OVERLAP` times the sum of their covalent radii.

    Periodic images are included. The cost is linear in the number of atoms.

    :param symbols: (natoms,), element of each atom.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :returns: what to say of them: the closest pair and the number of others; None if there are none.
    """
    reach = [OVERLAP * covalent_radius(symbol) for symbol in symbols]
    first, second, distances = primitive_neighbor_list(
        'ijd', [True] * 3, np.asarray(cell, dtype=float), np.asarray(positions, dtype=float), reach
    )
    if len(distances) == 0:
        return None
    closest = int(np.argmin(distances))
    one, other = (int(atoms[closest]) for atoms in (first, second))
    count = (len(distances) + 1) // 2
    more = f', and {count - 1} other pairs overlap' if count > 1 else ''
    return f'atoms {one} ({symbols[one]}) and {other} ({symbols[other]}) are {distances[closest]:.2f} A apart{more}'


def closest_pair(structure: Structure) -> tuple[str, str, float, float] | None:
    """Return the two sites whose distance is the smallest fraction of the sum of their covalent radii.

    :param structure: a crystal, which may have partial occupancies: the largest radius of a site counts.
    :returns: the species of the sites, their distance in A, and the fraction; None if all are above 1.5.
    """
    radii = np.array([max(covalent_radius(element.symbol) for element in site.species) for site in structure])
    cell, reach = np.asarray(structure.lattice.matrix), (1.5 * radii).tolist()
    first, second, distances = primitive_neighbor_list('ijd', [True] * 3, cell, structure.cart_coords, reach)
    if len(distances) == 0:
        return None
    ratios = distances / (radii[first] + radii[second])
    at = int(np.argmin(ratios))
    one, other = (structure[int(sites[at])].species_string for sites in (first, second))
    return one, other, float(distances[at]), float(ratios[at])
