"""Ordered cells: numbers of atoms, charges, overlaps, symmetry, weights and energies, against exact values."""

from __future__ import annotations

from collections import Counter

import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.core.ewald import EwaldSummation

from aiida_dpasse.structures.charges import guess_charges
from aiida_dpasse.structures.order import order_crystal
from aiida_dpasse.structures.overlap import closest_pair, find_overlap

#: NaAlO4-like: two cations share the corners of a cube; two by two by one cells are enumerated by hand.
PAIR = Structure(Lattice.cubic(4.0), [{'Na': 0.5, 'Al': 0.5}, 'O'], [[0, 0, 0], [0.5, 0.5, 0.5]])


def argyrodite(bromide: bool = False) -> Structure:
    """Li6PS5I or Li6PS5Br as refined: Li on 48h and 24g sites 0.7 A apart, and S and Br exchanged."""
    disordered = {'S': 0.86, 'Br': 0.14}, {'Br': 0.86, 'S': 0.14}
    free, halide = disordered if bromide else ({'S': 1}, {'I': 1})
    species = [{'Li': 0.391}, {'Li': 0.219}, {'P': 1}, {'S': 1}, free, halide]
    places = [
        [0.0316, 0.2019, 0.7981],
        [0.0279, 0.25, 0.75],
        [0, 0, 0.5],
        [0.1147, 0.3853, 0.1147],
        [0.25, 0.25, 0.75],
        [0, 0, 0],
    ]
    return Structure.from_spacegroup('F-43m', Lattice.cubic(10.18), species, places)


def lgps() -> Structure:
    """Li10GeP2S12 as refined."""
    species = [{'Li': 0.466}, {'Li': 0.74}, {'Li': 0.81}, {'Li': 0.86}, {'Ge': 0.5, 'P': 0.5}, 'P', 'S', 'S', 'S']
    places = [
        [0.2325, 0.2367, 0.3115],
        [0.2368, 0.2368, 0.5],
        [0, 0, 0.2310],
        [0, 0.5, 0.4506],
        [0, 0.5, 0.1902],
        [0, 0, 0.5],
        [0, 0.2021, 0.3988],
        [0, 0.2852, 0.0775],
        [0, 0.2915, 0.7908],
    ]
    return Structure.from_spacegroup('P4_2/nmc', Lattice.tetragonal(8.719, 12.639), shifted(species), places)


def shifted(species):
    """Species as dictionaries."""
    return [each if isinstance(each, dict) else {each: 1} for each in species]


def test_all_cells_of_a_small_crystal_are_found_with_their_degeneracies():
    """Two Na on a square of four sites: side by side in four ways, across in two."""
    found = order_crystal(PAIR, 3, repeats=(2, 2, 1), method='random')
    assert sorted(cell.degeneracy for cell in found.cells) == [2, 4]
    weights = {cell.degeneracy: cell.weight for cell in found.cells}
    assert weights == {2: pytest.approx(1 / 3), 4: pytest.approx(2 / 3)}
    assert len(found.notes) == 1
    # Each energy is that of pymatgen for the ordered cell, and Al apart is the lowest.
    ranked = order_crystal(PAIR, 2, repeats=(2, 2, 1), charges={'Na': 1, 'Al': 3, 'O': -2})
    for cell in ranked.cells:
        charged = cell.structure.copy().add_oxidation_state_by_element({'Na': 1, 'Al': 3, 'O': -2})
        assert cell.energy == pytest.approx(EwaldSummation(charged).total_energy, abs=1e-4)
    assert [cell.degeneracy for cell in ranked.cells] == [2, 4]
    assert ranked.cells[0].energy < ranked.cells[1].energy - 0.1


def test_random_cells_are_drawn_as_often_as_they_are_many():
    drawn = Counter(
        order_crystal(PAIR, 1, seed, repeats=(2, 2, 1), method='random').cells[0].degeneracy for seed in range(90)
    )
    # A third of 90 with a standard deviation of 4.5.
    assert 17 <= drawn[2] <= 43


def test_the_smallest_size_with_whole_numbers():
    crystal = Structure(Lattice.cubic(4.2), [{'Mg': 0.9, 'Li': 0.1}, {'O': 0.9, 'F': 0.1}], [[0, 0, 0], [0.5] * 3])
    found = order_crystal(crystal, tolerance=0.01, site_tolerance=0.01)
    # Ten cells in a row would be too long.
    assert sorted(found.repeats) == [2, 2, 5]
    assert found.cells[0].structure.composition == Composition('Mg18 Li2 O18 F2')
    # Within 15 % one Li of eight will do, with one F that balances it.
    near = order_crystal(crystal, tolerance=0.25, site_tolerance=0.05)
    assert near.cells[0].structure.composition == Composition('Mg7 Li O7 F')
    assert [(each.atoms, each.sites) for each in near.occupancies if each.element == 'Li'] == [(1, 8)]
    with pytest.raises(ValueError, match=r'needs 0\.25 \(for (Li|F)\)'):
        order_crystal(crystal, tolerance=0.1, max_atoms=16)


def test_split_sites_are_not_both_occupied():
    """LGPS and an argyrodite: exact, neutral, and no Li within 1.9 A of another."""
    for crystal, formula in ((lgps(), 'Li20 Ge2 P4 S24'), (argyrodite(), 'Li24 P4 S20 I4')):
        for method in ('electrostatics', 'random'):
            found = order_crystal(crystal, 2, method=method)
            assert found.repeats == (1, 1, 1)
            assert len({cell.energy for cell in found.cells}) == 2
            for cell in found.cells:
                assert cell.structure.composition == Composition(formula)
                assert cell.structure.volume == pytest.approx(crystal.volume)
                first, second, distance, _ = closest_pair(cell.structure)
                assert {first, second} != {'Li'} or distance > 1.9


def test_occupancies_of_mixed_sites():
    """S and Br are exchanged on one site in four, the nearest to 0.14, and the numbers of both are kept."""
    found = order_crystal(argyrodite(bromide=True))
    assert found.cells[0].structure.composition == Composition('Li24 P4 S20 Br4')
    mixed = {(each.element, each.atoms) for each in found.occupancies if each.element != 'Li'}
    assert mixed == {('S', 3), ('Br', 1), ('S', 1), ('Br', 3)}


def test_mobile_ions_are_placed_by_electrostatics_in_random_frameworks():
    """S and Br are drawn at random, and Li is lower in energy than if it were drawn as well."""
    crystal = argyrodite(bromide=True)
    drawn = order_crystal(crystal, 3, method='random').cells
    placed = order_crystal(crystal, 3, method='random', mobile=('Li',)).cells
    lowest = order_crystal(crystal).cells[0].energy
    assert max(cell.energy for cell in placed) < min(cell.energy for cell in drawn)
    assert min(cell.energy for cell in placed) >= lowest - 0.5
    assert [cell.weight for cell in placed] == [pytest.approx(1 / 3)] * 3


def test_the_seed_decides():
    crystal = argyrodite()
    one, again, other = (order_crystal(crystal, 1, seed, method='random').cells[0] for seed in (1, 1, 2))
    assert one.structure == again.structure
    assert one.structure != other.structure


def test_crowded_pairs_hold_one_atom_each():
    """Refined occupancies of 0.52 on both halves of a split site are one atom, not two halves too many."""
    sites = [[0.05, 0, 0], [0.95, 0, 0], [0.5, 0.5, 0.5]]
    crystal = Structure(Lattice.cubic(4.0), [{'Li': 0.52}, {'Li': 0.52}, 'Cl'], sites)
    found = order_crystal(crystal, repeats=(2, 2, 2), method='random')
    cell = found.cells[0].structure
    assert cell.composition == Composition('Li8 Cl8')
    assert find_overlap([site.specie.symbol for site in cell], cell.lattice.matrix, cell.cart_coords) is None


def test_occupancies_that_round_to_one_leave_nothing_to_arrange():
    crystal = Structure(Lattice.cubic(5.0), [{'Na': 0.98}, 'Cl'], [[0, 0, 0], [0.5] * 3])
    [cell] = order_crystal(crystal, 3).cells
    assert cell.structure.composition == Composition('Na Cl')
    assert cell.degeneracy == 1


def test_an_ordered_crystal_gives_itself():
    crystal = Structure(Lattice.cubic(5.0), ['Na', 'Cl'], [[0, 0, 0], [0.5] * 3])
    [cell] = order_crystal(crystal, 5).cells
    assert cell.structure == crystal
    assert (cell.degeneracy, cell.weight) == (1, 1.0)


@pytest.mark.parametrize(
    ('formula', 'charges', 'total'),
    [
        ('Li20.056 Ge2 P4 S24', {'Li': 1, 'Ge': 4, 'P': 5, 'S': -2}, 0.056),
        ('Li1.3 Al0.3 Ti1.7 P3 O12', {'Li': 1, 'Al': 3, 'Ti': 4, 'P': 5, 'O': -2}, 0.0),
        ('Li3 V2 P3 O12', {'Li': 1, 'V': 3, 'P': 5, 'O': -2}, 0.0),
        ('Li2 V1 Cl4', {'Li': 1, 'V': 2, 'Cl': -1}, 0.0),
        ('Li1 Ce1 B4 H16', {'Li': 1, 'Ce': 3, 'B': 3, 'H': -1}, 0.0),
        ('Ge2 P4 S24', {'Ge': 4, 'P': 5, 'S': -2}, -20.0),
        ('Li46 P4 S20 Br3 Cl1', {'Li': 1, 'P': 5, 'S': -2, 'Br': -1, 'Cl': -1}, 22.0),
    ],
)
def test_usual_charges(formula, charges, total):
    found, sum_of_charges = guess_charges(Composition(formula))
    assert found == charges
    assert sum_of_charges == pytest.approx(total)


@pytest.mark.parametrize(
    ('crystal', 'settings', 'sentence'),
    [
        (PAIR, {'cells': 0}, '`cells`'),
        (PAIR, {'method': 'best'}, 'electrostatics, random'),
        (PAIR, {'repeats': (2, 2)}, 'three repetitions'),
        (PAIR, {'repeats': (5, 5, 5), 'max_atoms': 100}, '250 atoms'),
        (PAIR, {'charges': {'Na': 1, 'O': -2}}, 'charge of Al'),
        (PAIR, {'charges': {'Na': 1, 'Al': 2, 'O': -2}}, r'sum to -0\.5'),
        (PAIR, {'method': 'random', 'mobile': ('Li',)}, 'holds no Li'),
        (PAIR, {'charges': {'Na': 0, 'Al': 0, 'O': 0}}, "'random'"),
        (
            Structure(Lattice.cubic(4), [{'Li': 0.5}, 'Cl', 'Cl'], [[0.5] * 3, [0, 0, 0], [0.02, 0, 0]]),
            {},
            '0.08 A apart',
        ),
        (Structure(Lattice.cubic(3), [{'Li': 0.5}], [[0, 0, 0]]), {}, r'charges sum to \+0\.5'),
    ],
)
def test_refusals(crystal, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        order_crystal(crystal, **settings)
