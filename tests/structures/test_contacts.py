"""Close contacts: seeded, of each pair of elements in turn, and of no other atoms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from aiida_dpasse.structures.contacts import FRACTIONS, neighbouring_pairs, push_together
from aiida_dpasse.structures.overlap import covalent_radius
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt


def test_pairs_that_the_crystal_lacks_at_such_distances():
    """P and S are bonded, Li and S are neighbours, and P and P are too far apart."""
    counts = {pair: len(atoms) for pair, atoms in neighbouring_pairs(argyrodite()).items()}
    # 48 of 24 x 4 Li and P: each P has 12 Li around its tetrahedron.
    assert counts == {('Cl', 'Li'): 24, ('Cl', 'S'): 64, ('Li', 'P'): 48, ('S', 'S'): 96}
    assert set(neighbouring_pairs(rock_salt())) == {('Br', 'Br'), ('Br', 'Li'), ('Li', 'Li')}


def test_same_seed_same_structures_another_seed_others():
    first, again, other = (push_together(argyrodite(), 4, displacement=0.1, seed=seed) for seed in (7, 7, 8))
    for one, two, three in zip(first, again, other, strict=True):
        assert np.array_equal(one.structure.cart_coords, two.structure.cart_coords)
        assert not np.allclose(one.structure.cart_coords, three.structure.cart_coords)


def test_only_the_two_atoms_are_close():
    found = push_together(argyrodite(), 40, displacement=0.1, seed=3)
    assert Counter(item.elements for item in found) == dict.fromkeys(neighbouring_pairs(argyrodite()), 10)
    radii = np.array([covalent_radius(site.specie.symbol) for site in argyrodite()])
    sums = radii[:, None] + radii[None]
    for item in found:
        ratios = item.structure.distance_matrix / sums
        np.fill_diagonal(ratios, np.inf)
        one, other = np.unravel_index(ratios.argmin(), ratios.shape)
        assert ratios.min() >= FRACTIONS[0] - 1e-9
        pair = tuple(sorted(item.structure[index].specie.symbol for index in (one, other)))
        own = sum(covalent_radius(element) for element in item.elements)
        assert FRACTIONS[0] - 1e-9 <= item.distance / own <= FRACTIONS[1] + 1e-9
        # The pushed pair has the stated distance, whether or not a bond of the crystal is relatively shorter.
        names = [site.specie.symbol for site in item.structure]
        matches = [
            item.structure.distance_matrix[i, j]
            for i, one_name in enumerate(names)
            for j, other_name in enumerate(names)
            if i != j and (one_name, other_name) == item.elements
        ]
        assert np.isclose(min(np.abs(np.array(matches) - item.distance)), 0.0, atol=1e-9)
        assert pair in {*neighbouring_pairs(argyrodite()), ('P', 'S'), ('Li', 'S'), ('Li', 'Li')}


def test_a_copy_without_displacement_differs_in_one_atom():
    crystal = argyrodite()
    for item in push_together(crystal, 8, displacement=0.0, seed=1):
        moved = [
            i for i, (one, other) in enumerate(zip(crystal, item.structure, strict=True)) if one.distance(other) > 1e-9
        ]
        assert len(moved) == 1
        assert crystal[moved[0]].specie.symbol != 'P'  # bonded to four S, it is the most strongly bound


def test_nothing_to_push_in_a_cell_of_one_atom():
    primitive = rock_salt().get_primitive_structure()
    assert len(primitive) == 2
    assert {item.elements for item in push_together(primitive, 3, displacement=0.0, seed=1)} == {('Br', 'Li')}


@pytest.mark.parametrize('changes', [{'number': -1}, {'displacement': -0.1}, {'displacement': float('nan')}])
def test_impossible_requests_are_refused(changes):
    with pytest.raises(ValueError, match='contacts: '):
        push_together(rock_salt(), **({'number': 1, 'displacement': 0.1, 'seed': 1} | changes))
