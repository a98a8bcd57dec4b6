"""Supercells: atom counts, determinants and image distances are exact."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from aiida_dpasse.structures.distances import shortest_lattice_vector
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt
from aiida_dpasse.structures.supercell import make_supercell, nearest_repetition, supercell_matrix


def test_three_whole_numbers():
    assert make_supercell(argyrodite(), [2, 2, 2]).composition.formula == argyrodite().composition.formula.replace(
        '24', '192'
    ).replace('P4', 'P32').replace('S20', 'S160').replace('Cl4', 'Cl32')
    assert len(make_supercell(rock_salt('Br'), (2, 2, 1))) == 32


def test_matrix_turns_the_primitive_cell_into_the_cube():
    cube = make_supercell(rock_salt('Br', primitive=True), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    assert len(cube) == 8
    assert cube.lattice.abc == pytest.approx((5.501,) * 3)


@pytest.mark.parametrize(
    ('atoms', 'repeats'),
    # Rock salt has eight atoms. 5 x 1 x 1 would be nearer to 40 than a compact cell, and is a needle.
    [(1, (1, 1, 1)), (12, (1, 1, 1)), (40, (1, 2, 2)), (64, (2, 2, 2)), (150, (2, 3, 3)), (1000, (5, 5, 5))],
)
def test_the_compact_repetition_nearest_to_a_number_of_atoms(atoms, repeats):
    assert tuple(nearest_repetition(rock_salt('Br'), atoms)) == repeats


def test_a_long_cell_is_repeated_across_and_may_stay_what_it_is():
    long = make_supercell(rock_salt('Br'), [1, 1, 4])
    assert nearest_repetition(long, 32) == [1, 1, 1]
    assert sorted(nearest_repetition(long, 32 * 16)) == [1, 4, 4]
    with pytest.raises(ValueError, match='supercell: '):
        nearest_repetition(long, 0)


def test_no_compact_repetition_is_nearer():
    cell = argyrodite()
    for atoms in (100, 777, 3000):
        found = nearest_repetition(cell, atoms)
        assert max(found) <= 2 * min(found)
        allowed = [n for n in product(range(1, 12), repeat=3) if max(n) <= 2 * min(n)]
        nearest = min(abs(len(cell) * n[0] * n[1] * n[2] - atoms) for n in allowed)
        assert abs(len(cell) * np.prod(found) - atoms) == nearest


@pytest.mark.parametrize(('distance', 'repeats'), [(5.0, 1), (5.501, 1), (5.6, 2), (11.0, 2), (16.0, 3)])
def test_minimum_image_distance_of_a_cube(distance, repeats):
    assert np.array_equal(supercell_matrix(rock_salt('Br'), distance), np.eye(3) * repeats)


def test_minimum_image_distance_is_smallest_and_kept_in_an_oblique_cell():
    primitive = argyrodite(primitive=True)  # nearest images 6.97 A apart
    matrix = supercell_matrix(primitive, 13.0)
    cell = matrix @ primitive.lattice.matrix
    assert shortest_lattice_vector(cell) >= 13.0
    assert round(np.linalg.det(matrix)) == 8
    assert np.array_equal(supercell_matrix(primitive, 6.9), np.eye(3))


@pytest.mark.parametrize(
    ('size', 'sentence'),
    [
        ([1, 1], 'three whole numbers or a 3x3 matrix'),
        ([1, 1.5, 1], 'whole numbers'),
        ('2x2', 'whole numbers'),
        ([0, 1, 1], 'should be 1 or more'),
        ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], 'determinant'),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], 'right-handed'),
        (-3.0, 'between 0 and 1000 A'),
        ([40, 40, 40], 'more than the limit of 100000'),
    ],
)
def test_refusals(size, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_supercell(rock_salt(), size)
