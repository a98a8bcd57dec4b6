"""Shortest periodic distances against lattices whose answer is known and against pymatgen."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_dpasse.structures.distances import cell_heights, minimum_distance, shortest_lattice_vector


def test_known_lattices():
    fcc = 2.0 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    assert shortest_lattice_vector(fcc) == pytest.approx(2 * np.sqrt(2))
    assert cell_heights(np.diag([3.0, 4.0, 5.0])) == pytest.approx([3, 4, 5])
    assert minimum_distance(np.eye(3) * 3, [[0.1, 0, 0]]) == pytest.approx(3)
    assert minimum_distance(np.eye(3) * 10, [[0.5, 0, 0], [29.0, 0, 0]]) == pytest.approx(1.5)
    assert minimum_distance(np.eye(3) * 10, [[1, 2, 3], [1, 2, 3]]) == 0


def test_a_skewed_cell_has_a_short_vector_that_is_not_a_row():
    skewed = np.array([[4.0, 0, 0], [12.5, 1.0, 0], [0, 0, 6.0]])
    assert shortest_lattice_vector(skewed) == pytest.approx(np.hypot(0.5, 1.0))


@pytest.mark.parametrize('seed', range(12))
def test_equals_pymatgen_on_random_cells(seed):
    generator = np.random.default_rng(seed)
    cell = np.eye(3) * 3 + generator.normal(scale=1.5, size=(3, 3))
    positions = generator.normal(scale=5, size=(5, 3))
    structure = Structure(Lattice(cell), ['Li'] * 5, positions, coords_are_cartesian=True)
    shortest = min(structure.get_neighbor_list(8.0)[3])
    assert minimum_distance(cell, positions) == pytest.approx(shortest, abs=1e-9)
