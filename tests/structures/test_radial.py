"""Numbers of neighbours of lattices that are known exactly, and how much two runs differ."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.structures.radial import compare_radial, mismatch, neighbour_numbers

EDGES = np.arange(0.05, 6.1, 0.1)


def at(numbers, distance):
    return numbers[int((distance - EDGES[0]) / 0.1)]


def test_shells_of_the_simple_cubic_lattice():
    """One atom in a cell that is smaller than the distances asked for: its images are its neighbours."""
    numbers = neighbour_numbers(['Po'], [3.0 * np.eye(3)], [[[0.0, 0.0, 0.0]]], EDGES)['Po', 'Po']
    assert at(numbers, 3.0) == 6
    assert at(numbers, 3.0 * np.sqrt(2)) == 12
    assert at(numbers, 3.0 * np.sqrt(3)) == 8
    assert at(numbers, 6.0) == 6
    assert numbers.sum() == 32


def test_pairs_of_rock_salt_in_a_primitive_and_in_a_cubic_cell():
    half = 2.5
    primitive = half * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=float)
    numbers = neighbour_numbers(['Cl', 'Li'], [primitive], [[[0, 0, 0], [half, half, half]]], EDGES)
    assert at(numbers['Cl', 'Li'], half) == 6
    assert at(numbers['Cl', 'Cl'], half * np.sqrt(2)) == 12
    corners = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) * half
    cube = np.concatenate([corners, corners + half])
    again = neighbour_numbers(['Cl'] * 4 + ['Li'] * 4, [2 * half * np.eye(3)], [cube], EDGES)
    assert mismatch(numbers, again) == pytest.approx(0.0, abs=1e-12)


def test_an_ideal_gas_is_even():
    rng = np.random.default_rng(1)
    cell = 12.0 * np.eye(3)
    numbers = neighbour_numbers(['Ar'] * 100, [cell] * 10, rng.uniform(0, 12, (10, 100, 3)), EDGES)['Ar', 'Ar']
    shells = 4 / 3 * np.pi * np.diff(EDGES**3)
    # Of the others, 99, and their images; each atom's own images are beyond the edges.
    assert numbers.sum() == pytest.approx(99 / 12**3 * shells.sum(), rel=0.02)


def test_neighbours_of_another_element_at_random_sites_have_their_density():
    """In a skewed cell, and around an atom of the first element, not of the second."""
    cell = np.array([[12.0, 0, 0], [2, 12, 0], [3, -1, 12]])
    sites = np.random.default_rng(2).random((40, 90, 3)) @ cell
    far = np.linspace(1, 5.5, 8)
    numbers = neighbour_numbers(['Ar'] * 30 + ['Ne'] * 60, [cell] * 40, sites, far)['Ar', 'Ne']
    shells = 4 / 3 * np.pi * np.diff(far**3)
    np.testing.assert_allclose(numbers / (shells * 60 / np.linalg.det(cell)), 1, atol=0.08)


def test_mismatch_is_the_part_that_moved():
    one = {('Cu', 'Cu'): np.array([0.0, 6.0, 0.0, 12.0])}
    other = {('Cu', 'Cu'): np.array([0.0, 0.0, 6.0, 12.0])}
    assert mismatch(one, one) == 0
    assert mismatch(one, other) == pytest.approx(6 / 18)
    assert mismatch(one, {('Cu', 'Cu'): np.array([18.0, 0, 0, 0])}) == 1
    # A rare pair: a twentieth of a neighbour does not make the structures differ.
    rare, moved = ({('P', 'P'): np.array(numbers)} for numbers in ([0.05, 0.0], [0.0, 0.05]))
    assert mismatch(rare, moved) == pytest.approx(0.05)
    with pytest.raises(ValueError, match='of different elements'):
        mismatch(one, {('Au', 'Au'): one['Cu', 'Cu']})


def test_two_runs_of_one_crystal_differ_by_their_noise():
    rng = np.random.default_rng(2)
    cell = 3.0 * np.eye(3) * 2
    sites = 3.0 * np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])

    def run(size, stretch=1.0):
        positions = stretch * sites + rng.normal(0, size, (60, 8, 3))
        return FrameSet(symbols=('Po',) * 8, cells=np.array([stretch * cell] * 60), positions=positions)

    value, noise = compare_radial(run(0.1), run(0.1), EDGES)
    assert value == pytest.approx(noise, rel=0.7)
    wider, _ = compare_radial(run(0.1, 1.1), run(0.1), EDGES)
    assert wider > 5 * noise
