"""The prototypes are the published crystals: composition, symmetry, site sets and bond lengths."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from aiida_dpasse.structures.charges import guess_charges
from aiida_dpasse.structures.distances import minimum_distance
from aiida_dpasse.structures.prototypes import argyrodite, prototype, prototypes, rock_salt, training_compounds
from aiida_dpasse.structures.sublattices import elements_of, site_names


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


#: Density in g/cm3, and shortest distances in A of a cation to S, Cl or O, or of two Li.
FACTS = {
    'Li10GeP2S12': ('Li20 Ge2 P4 S24', 2.044, ('P', 'S', 1.99)),
    'Li10SnP2S12': ('Li20 Sn2 P4 S24', 2.165, ('P', 'S', 2.00)),
    'Li10SiP2S12': ('Li20 Si2 P4 S24', 1.930, ('P', 'S', 1.98)),
    'Li7P3S11': ('Li14 P6 S22', 1.979, ('P', 'S', 2.00)),
    'Li3PS4': ('Li12 P4 S16', 1.854, ('P', 'S', 2.04)),
    'Na3SbS4': ('Na6 Sb2 S8', 2.874, ('Sb', 'S', 2.32)),
    'K3SbS4': ('K6 Sb2 S8', 2.496, ('Sb', 'S', 2.38)),
    'Li3YCl6': ('Li9 Y3 Cl18', 2.433, ('Y', 'Cl', 2.64)),
    'Li4SnS4': ('Li16 Sn4 S16', 2.605, ('Sn', 'S', 2.37)),
    'Li2P2S6': ('Li4 P4 S12', 2.155, ('P', 'S', 1.96)),
    'Li5AlS4': ('Li10 Al2 S8', 1.878, ('Al', 'S', 2.24)),
    'Li2SnS3': ('Li16 Sn8 S24', 3.507, ('Sn', 'S', 2.56)),
    'Li3SbS4': ('Li6 Sb2 S8', 2.589, ('Sb', 'S', 2.36)),
    'Li2S': ('Li8 S4', 1.631, ('Li', 'S', 2.48)),
    'Li2O': ('Li8 O4', 2.014, ('Li', 'O', 2.00)),
    'SnS2': ('Sn1 S2', 4.466, ('Sn', 'S', 2.57)),
    'Li': ('Li2', 0.533, ('Li', 'Li', 3.04)),
    'Li6PS5Cl': ('Li24 P4 S20 Cl4', 1.860, ('P', 'S', 2.05)),
    'Li6PS5Br': ('Li24 P4 S20 Br4', 2.085, ('P', 'S', 2.05)),
    'Li6PS5I': ('Li24 P4 S20 I4', 2.291, ('P', 'S', 2.05)),
    'LiF': ('Li4 F4', 2.640, ('Li', 'F', 2.01)),
    'LiCl': ('Li4 Cl4', 2.086, ('Li', 'Cl', 2.57)),
    'LiBr': ('Li4 Br4', 3.465, ('Li', 'Br', 2.75)),
    'LiI': ('Li4 I4', 4.116, ('Li', 'I', 3.00)),
}


def test_facts_of_every_prototype():
    assert set(prototypes()) == set(FACTS)


@pytest.mark.parametrize('name', FACTS)
def test_prototypes_agree_with_their_facts(name):
    """Content, density, shortest bond, space group, Wyckoff positions, neutrality, and a source."""
    fact, crystal = prototype(name), prototype(name).structure
    formula, density, (first, second, length) = FACTS[name]
    assert crystal.composition.formula == Composition(formula).formula
    assert float(crystal.density) == pytest.approx(density, abs=1e-3)
    lengths = [
        float(neighbour.nn_distance)
        for index in range(len(crystal))
        if first in elements_of(crystal, index)
        for neighbour in crystal.get_neighbors(crystal[index], 3.2)
        if second in {element.symbol for element in neighbour.species}
    ]
    assert min(lengths) == pytest.approx(length, abs=0.006)
    assert fact.source
    ordered = [index for index in range(len(crystal)) if not elements_of(crystal, index) <= {'Li'}]
    part = crystal if fact.space_group != 'F-43m' else crystal.from_sites([crystal[index] for index in ordered])
    analyzer = SpacegroupAnalyzer(part, 1e-3)
    assert analyzer.get_space_group_symbol() == fact.space_group
    for site, names in zip(crystal, site_names(crystal), strict=True):
        assert site.label == names[0]
        assert names in ((site.label,), ('48h',))
    if name != 'Li':
        assert guess_charges(crystal.composition)[1] == pytest.approx(0, abs=1e-6)


def test_compounds_of_the_training_data():
    """41, of which 20 are prototypes."""
    compounds = training_compounds()
    assert (len(compounds), sum(compounds.values())) == (41, 20)
    assert {name for name, known in compounds.items() if known} <= set(prototypes())
    assert not {name for name, known in compounds.items() if not known} & set(prototypes())
    with pytest.raises(ValueError, match='no Li7PS6: give a file of it, or one of Li10GeP2S12'):
        prototype('Li7PS6')


def test_bonds_of_thioantimonates():
    """The one free coordinate of cubic K3SbS4 gives the Sb-S bond of SbS4, 2.3 to 2.4 A in thioantimonates."""
    for name in ('Na3SbS4', 'K3SbS4', 'Li3SbS4'):
        assert 2.3 < shortest(prototype(name).structure, 'Sb', 'S') < 2.4
