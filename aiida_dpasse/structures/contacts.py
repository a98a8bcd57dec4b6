"""Close contacts: copies of a crystal in which two neighbouring atoms are pushed together.

A potential that has never seen two elements close to each other may attract them: in potentials of Li6PS5Cl that had
been trained on perturbed crystals and short dynamics, lithium ended 1.8 A from phosphorus, 8 eV above the energy that
the potentials predicted. Neither the deviation of a committee nor the shape of the crystal showed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from aiida_dpasse.structures.disorder import require_ordered
from aiida_dpasse.structures.overlap import covalent_radius

#: Distances of the pushed atoms, as fractions of the sum of their covalent radii: from a strong repulsion to a bond.
FRACTIONS = (0.75, 1.1)
#: Largest distance in A by which atoms of a pair of elements are pushed; elements farther apart are no neighbours.
REACH = 2.0
#: Draws of a copy in which no other atoms are as close as the two may be.
ATTEMPTS = 200
#: Pairs of atoms up to this multiple of the shortest distance of their elements are neighbours.
NEIGHBOURS = 1.2


@dataclass(frozen=True)
class Contact:
    """A structure with two atoms pushed together: their `elements` and `distance` in A."""

    structure: Structure
    elements: tuple[str, str]
    distance: float


def neighbouring_pairs(structure: Structure) -> dict[tuple[str, str], NDArray[np.int64]]:
    """Return the pairs of neighbouring atoms (n, 2) by their elements, for elements that can be pushed together.

    Elements that the crystal itself has that close are left out: perturbed crystals show them.

    :param structure: an ordered structure.
    """
    names = [site.specie.symbol for site in structure]
    symbols = np.array(names)
    distances = structure.distance_matrix.copy()
    np.fill_diagonal(distances, np.inf)
    found = {}
    for one, other in combinations_with_replacement(sorted(set(names)), 2):
        near = np.where((symbols[:, None] == one) & (symbols[None] == other), distances, np.inf)
        shortest = near.min()
        farthest = FRACTIONS[1] * (covalent_radius(one) + covalent_radius(other))
        if farthest < shortest <= farthest + REACH:
            found[one, other] = np.argwhere(near <= NEIGHBOURS * shortest)
    return found


def push_together(structure: Structure, number: int, *, displacement: float, seed: int) -> list[Contact]:
    """Return copies of a structure, each with two neighbouring atoms pushed together.

    The pairs of elements take turns. Of the two atoms the more loosely bound one moves, along the line between them, to
    a distance that is uniform in `FRACTIONS`, or stays if it is closer. No other atoms come as close as the two may be,
    if `ATTEMPTS` draws find such a copy.

    :param structure: an ordered structure.
    :param number: number of copies.
    :param displacement: root mean square displacement of every atom in A, before two are pushed together.
    :param seed: of the numpy Generator; the same seed gives the same structures.
    :raises ValueError: for inputs out of range, or partial occupancies.
    """
    require_ordered(structure)
    if number < 0 or not displacement >= 0:
        raise ValueError(
            f'contacts: `number` and `displacement` should not be negative, got {number} and {displacement}.'
        )
    generator = np.random.default_rng(seed)
    neighbours = neighbouring_pairs(structure)
    least = least_distances(structure)
    distances = structure.distance_matrix.copy()
    np.fill_diagonal(distances, np.inf)
    bound = distances.min(axis=1)
    pairs = list(neighbours)
    drawn = []
    for elements in (pairs[index % len(pairs)] for index in range(number if pairs else 0)):
        for _ in range(ATTEMPTS):
            one, other = generator.permutation(neighbours[elements][generator.integers(len(neighbours[elements]))])
            mover, anchor = (one, other) if bound[one] >= bound[other] else (other, one)
            shifts = generator.normal(scale=displacement / np.sqrt(3.0), size=(len(structure), 3))
            distance = least[mover, anchor] * generator.uniform(*FRACTIONS) / FRACTIONS[0]
            pushed = push(structure, structure.cart_coords + shifts, int(mover), int(anchor), float(distance))
            short = pushed.distance_matrix < least
            short[mover, anchor] = short[anchor, mover] = False
            if not short.any():
                break
        drawn.append(Contact(pushed, elements, float(pushed.get_distance(int(mover), int(anchor)))))
    return drawn


def least_distances(structure: Structure) -> NDArray[np.float64]:
    """Return the smallest distance in A to which each two atoms are pushed, (natoms, natoms), 0 on the diagonal.

    :param structure: an ordered structure.
    """
    radii = np.array([covalent_radius(site.specie.symbol) for site in structure])
    least = FRACTIONS[0] * (radii[:, None] + radii[None])
    np.fill_diagonal(least, 0.0)
    return np.asarray(least)


def push(structure: Structure, positions: NDArray[np.float64], mover: int, anchor: int, distance: float) -> Structure:
    """Return a copy in which one atom moves towards another, unless it is closer.

    :param structure: cell and species.
    :param positions: (natoms, 3) A.
    :param mover: index of the atom that moves.
    :param anchor: index of the other.
    :param distance: A.
    """
    cell, moved = structure.lattice, positions.copy()
    fractional = cell.get_fractional_coords(positions)
    present, image = cell.get_distance_and_image(fractional[anchor], fractional[mover])
    line = (fractional[mover] + image - fractional[anchor]) @ cell.matrix
    moved[mover] += line * (min(float(present), distance) / float(present) - 1.0)
    return Structure(cell, structure.species, moved, coords_are_cartesian=True)
