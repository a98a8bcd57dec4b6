"""Site disorder: which sites, how many exactly, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_dpasse.structures.disorder import (
    exchange_sites,
    free_sites,
    require_ordered,
)
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt
from aiida_dpasse.structures.supercell import make_supercell


def test_free_sulfur_is_the_4c_set():
    structure = argyrodite('Cl')
    free = free_sites(structure)
    assert np.allclose(structure.frac_coords[free] % 0.5, 0.25)
    assert len(free) == 4
    assert len(free_sites(make_supercell(structure, [2, 1, 1]))) == 8
    assert len(free_sites(argyrodite('Cl', primitive=True))) == 1


@pytest.mark.parametrize(
    ('halogen', 'fraction', 'count'), [('Cl', 0.0, 0), ('Cl', 0.25, 1), ('Br', 0.5, 2), ('I', 1.0, 4)]
)
def test_exchange_moves_exactly_the_fraction(halogen, fraction, count):
    structure = argyrodite(halogen)
    changed = exchange_sites(structure, fraction, 11, second=halogen)
    assert changed.composition == structure.composition
    on_4c = [site for site in changed if site.specie.symbol == halogen and np.allclose(site.frac_coords % 0.5, 0.25)]
    on_4a = [site for site in changed if site.specie.symbol == halogen and np.allclose(site.frac_coords % 0.5, 0.0)]
    assert (len(on_4c), len(on_4a)) == (count, 4 - count)
    assert len(changed.get_neighbors(next(s for s in changed if s.specie.symbol == 'P'), 2.1)) == 4


def test_seed_decides():
    structure = make_supercell(argyrodite(), [2, 2, 1])
    assert exchange_sites(structure, 0.5, 1) == exchange_sites(structure, 0.5, 1)
    assert exchange_sites(structure, 0.5, 1) != exchange_sites(structure, 0.5, 2)


def test_fully_inverted_is_ordered_again():
    inverted = exchange_sites(argyrodite('Cl', lithium='24g'), 1.0, 1)
    assert inverted.get_space_group_info()[1] == 216


def test_atoms_stay_grouped_by_element_in_the_order_of_the_crystal():
    changed = exchange_sites(argyrodite(), 0.5, 3)
    assert [site.specie.symbol for site in changed] == [site.specie.symbol for site in argyrodite()]


@pytest.mark.parametrize(
    ('act', 'sentence'),
    [
        (
            lambda: exchange_sites(argyrodite(), 0.3, 1),
            r' 0\.3 of 4 .*1/4',
        ),
        (lambda: exchange_sites(argyrodite(), 1.5, 1), 'between 0 and 1'),
        (lambda: exchange_sites(argyrodite('Br'), 0.5, 1), 'no site of Cl'),
        (lambda: exchange_sites(rock_salt('Cl'), 0.5, 1), 'no site of free S'),
        (
            lambda: require_ordered(Structure(Lattice.cubic(4), [{'Li': 0.5}], [[0, 0, 0]])),
            'site 0 of Li.* is partially occupied',
        ),
    ],
)
def test_refusals(act, sentence):
    with pytest.raises(ValueError, match=sentence):
        act()
