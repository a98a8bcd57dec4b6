"""Atoms that overlap: duplicates, or alternatives of one disordered site that are both occupied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Structure

#: Two atoms overlap below this fraction of the sum of their covalent radii (Cordero et al., Dalton Trans. 2832, 2008).
#: The shortest bonds of inorganic solids are at 0.65 (U-N), and those of hot crystals at 0.7.
OVERLAP = 0.5
#: Alkali ions overlap below this fraction, 1.66 A for Li and Li: they form no bonds with each other. The shortest
#: distance in the DFT frames of LGPS up to 1200 K (Huang et al., J. Chem. Phys. 154, 094703, 2021) is 1.87 A.
ALKALI_OVERLAP = 0.65
ALKALI = ('Li', 'Na', 'K', 'Rb', 'Cs')


def covalent_radius(symbol: str) -> float:
    """Return the covalent radius of an element in A.

    :param symbol: chemical symbol.
    """
    return float(covalent_radii[atomic_numbers[symbol]])


def least_distances(elements: Sequence[str]) -> NDArray[np.float64]:
    """Return the distance in A below which atoms of each two elements overlap, (elements, elements).

    :param elements: chemical symbols.
    """
    radii = np.array([covalent_radius(name) for name in elements])
    alkali = np.isin(elements, ALKALI)
    fractions = np.where(alkali[:, None] & alkali[None], ALKALI_OVERLAP, OVERLAP)
    return np.asarray(fractions * (radii[:, None] + radii[None]))


def find_overlap(symbols: Sequence[str], cell: ArrayLike, positions: ArrayLike) -> str | None:
    """Find atoms that overlap (:func:`least_distances`).

    Periodic images are included. The cost is linear in the number of atoms.

    :param symbols: (natoms,), element of each atom.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :returns: what to say of them: the closest pair and the number of others; None if there are none.
    """
    elements = sorted(set(symbols))
    kinds, least = np.searchsorted(elements, symbols), least_distances(elements)
    reach = [ALKALI_OVERLAP * covalent_radius(symbol) for symbol in symbols]
    first, second, distances = primitive_neighbor_list(
        'ijd', [True] * 3, np.asarray(cell, dtype=float), np.asarray(positions, dtype=float), reach
    )
    overlapping = distances < least[kinds[first], kinds[second]]
    first, second, distances = first[overlapping], second[overlapping], distances[overlapping]
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
