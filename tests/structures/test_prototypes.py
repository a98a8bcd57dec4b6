"""The prototypes are the published crystals: composition, symmetry, site sets and bond lengths."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from aiida_dpasse.structures.distances import minimum_distance
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt


def shortest(structure, first, second):
    """Shortest distance in A from an atom of `first` to one of `second`."""
    return min(
        neighbour.nn_distance
        for site in structure
        if site.specie.symbol == first
        for neighbour in structure.get_neighbors(site, 6.0)
        if neighbour.specie.symbol == second
    )


@pytest.mark.parametrize(('halogen', 'edge'), [('Cl', 9.859), ('Br', 9.988), ('I', 10.142)])
def test_argyrodite_composition_and_cell(halogen, edge):
    structure = argyrodite(halogen)
    assert structure.composition.as_dict() == {'Li': 24, 'P': 4, 'S': 20, halogen: 4}
    assert structure.lattice.abc == pytest.approx((edge, edge, edge))
    assert structure.lattice.angles == pytest.approx((90, 90, 90))
    primitive = argyrodite(halogen, primitive=True)
    assert primitive.composition.as_dict() == {'Li': 6, 'P': 1, 'S': 5, halogen: 1}
    assert 4 * primitive.volume == pytest.approx(structure.volume)


def test_argyrodite_symmetry_and_wyckoff_sites():
    structure = argyrodite('Cl', lithium='24g')
    analyzer = SpacegroupAnalyzer(structure, symprec=1e-3)
    assert (analyzer.get_space_group_symbol(), analyzer.get_space_group_number()) == ('F-43m', 216)
    sets = analyzer.get_symmetrized_structure()
    found = sorted((sites[0].specie.symbol, len(sites)) for sites in sets.equivalent_sites)
    assert found == [('Cl', 4), ('Li', 24), ('P', 4), ('S', 4), ('S', 16)]


@pytest.mark.parametrize('primitive', [False, True])
def test_argyrodite_framework_keeps_the_symmetry(primitive):
    structure = argyrodite('Br', primitive=primitive)
    structure.remove_species(['Li'])
    assert SpacegroupAnalyzer(structure, symprec=1e-3).get_space_group_number() == 216


def test_argyrodite_distances():
    structure = argyrodite('Cl')
    assert shortest(structure, 'P', 'S') == pytest.approx(2.05)
    assert 2.2 < shortest(structure, 'Li', 'Li') < 2.3
    assert 2.2 < shortest(structure, 'Li', 'S') < 2.6
    assert 2.4 < shortest(structure, 'Li', 'Cl') < 2.7
    assert minimum_distance(structure.lattice.matrix, structure.cart_coords) == pytest.approx(2.05)
    assert shortest(argyrodite('Cl', lithium='24g'), 'Li', 'Li') > 3.0


def test_every_free_sulfur_has_a_cage_of_six_lithium():
    structure = argyrodite('Cl')
    free = [site for site in structure if site.specie.symbol == 'S' and np.allclose(site.frac_coords % 0.5, 0.25)]
    assert len(free) == 4
    cages = [{n.index for n in structure.get_neighbors(site, 2.6) if n.specie.symbol == 'Li'} for site in free]
    assert [len(cage) for cage in cages] == [6, 6, 6, 6]
    assert len(set.union(*cages)) == 24


def test_argyrodite_is_deterministic_and_conventional_equals_four_primitives():
    assert argyrodite('Cl') == argyrodite('Cl')
    structure = argyrodite('Cl')
    assert len(structure.get_primitive_structure()) == 13
    assert structure.get_primitive_structure().volume == pytest.approx(argyrodite('Cl', primitive=True).volume)


@pytest.mark.parametrize(('anion', 'edge'), [('F', 4.026), ('Cl', 5.130), ('Br', 5.501), ('I', 6.000)])
def test_rock_salt(anion, edge):
    structure = rock_salt(anion)
    assert structure.composition.as_dict() == {'Li': 4, anion: 4}
    assert SpacegroupAnalyzer(structure).get_space_group_symbol() == 'Fm-3m'
    assert shortest(structure, 'Li', anion) == pytest.approx(edge / 2)
    assert len(rock_salt(anion, primitive=True)) == 2


def test_lattice_constant_can_be_given():
    assert rock_salt('Cl', cation='Na', a=5.64).formula == 'Na4 Cl4'
    assert argyrodite('Cl', a=10.2).lattice.a == pytest.approx(10.2)
    assert shortest(argyrodite('Cl', a=10.2), 'P', 'S') == pytest.approx(2.05)


@pytest.mark.parametrize(
    ('build', 'sentence'),
    [
        (lambda: argyrodite('At'), 'halogen: '),
        (lambda: argyrodite('Cl', lithium='4a'), 'lithium: '),
        (lambda: argyrodite('Cl', a=-1.0), 'a: '),
        (lambda: rock_salt('Cl', cation='K'), 'a: '),
    ],
)
def test_refusals(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()
