"""The descriptor does not see what does not matter, and the choice takes one of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.structures.diversity import (
    BINS,
    CUTOFF,
    describe_sets,
    farthest_points,
    pair_names,
    radial_descriptor,
)

CELL = np.array([[5.0, 0, 0], [0.7, 5.5, 0], [0.2, 0.4, 6.0]])
SYMBOLS = ['Li', 'S', 'Li', 'Cl']
ELEMENTS = ['Cl', 'Li', 'S']


def positions(seed: int = 1) -> np.ndarray:
    """Anywhere in the cell."""
    return np.random.default_rng(seed).uniform(0, 1, (4, 3)) @ CELL


def describe(symbols=SYMBOLS, cell=CELL, points=None) -> np.ndarray:
    """The descriptor with all three elements distinguished."""
    return radial_descriptor(symbols, cell, positions() if points is None else points, ELEMENTS)


def test_turning_moving_and_renaming_change_nothing():
    expected = describe()
    assert expected.shape == (6 * BINS,)
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    assert describe(cell=CELL @ turn, points=positions() @ turn) == pytest.approx(expected, abs=1e-9)
    assert describe(points=positions() + np.array([1.3, -7.0, 2.2])) == pytest.approx(expected, abs=1e-9)
    order = [2, 1, 0, 3]
    assert describe(points=positions()[order]) == pytest.approx(expected, abs=1e-12)
    double = np.concatenate([positions(), positions() + CELL[0]])
    assert describe(SYMBOLS * 2, CELL * [[2], [1], [1]], double) == pytest.approx(expected, abs=1e-9)


def test_other_elements_and_places_change_it():
    expected = describe()
    assert np.abs(describe(symbols=['Li', 'S', 'Cl', 'Li']) - expected).max() > 0.01
    assert np.abs(describe(points=positions(3)) - expected).max() > 0.01


def test_a_pair_by_hand():
    cell = np.eye(3) * 20.0
    block = radial_descriptor(['Li', 'S'], cell, [[0, 0, 0], [3.0, 0, 0]], ['Li', 'S']).reshape(3, BINS)
    assert pair_names(['S', 'Li']) == [('Li', 'Li'), ('Li', 'S'), ('S', 'S')]
    # One atom each, at half the cutoff: half the weight, on the two Gaussians beside 3 A.
    width = CUTOFF / BINS
    assert block[1][BINS // 2] == pytest.approx(0.5 * np.exp(-0.5 * 0.5**2))
    assert block[1][BINS // 2 + 4] == pytest.approx(0.5 * np.exp(-0.5 * 4.5**2))
    assert block[[0, 2]] == pytest.approx(np.zeros((2, BINS)))
    assert width == 0.25
    alike = radial_descriptor(['Li', 'Li'], cell, [[0, 0, 0], [3.0, 0, 0]], ['Li']).reshape(1, BINS)
    assert alike[0] == pytest.approx(block[1])


def test_frames_are_counted_over_all_sets(make_frames):
    sets = [make_frames('Li Li S', 3, seed=1), make_frames('Cl Li', 2, seed=2)]
    rows = describe_sets(sets, [4, 0])
    assert rows.shape == (2, 6 * BINS)
    last = radial_descriptor(sets[1].symbols, sets[1].cells[1], sets[1].positions[1], ELEMENTS)
    assert rows[0] == pytest.approx(last)
    assert describe_sets(sets, []).shape == (0, 6 * BINS)


def test_one_of_each_cluster_is_chosen():
    rng = np.random.default_rng(4)
    corners = np.array([[0, 0], [0, 9], [9, 0], [9, 9], [20, 20]])
    labels = np.repeat(np.arange(5), [500, 3, 40, 7, 1])
    points = corners[labels] + rng.normal(0, 0.1, (len(labels), 2))
    for seed in range(10):
        chosen = farthest_points(points, ['x'] * len(points), seed, 5)
        assert sorted(labels[chosen]) == [0, 1, 2, 3, 4]


def test_the_seed_decides_and_structures_are_capped():
    points = np.random.default_rng(5).normal(size=(60, 3))
    groups = ['x'] * 50 + ['y'] * 10
    first = farthest_points(points, groups, 1, 10)
    assert first.tolist() == sorted(set(first.tolist())) == farthest_points(points, groups, 1, 10).tolist()
    assert any(farthest_points(points, groups, seed, 10).tolist() != first.tolist() for seed in range(2, 6))
    capped = farthest_points(points, groups, 1, 20, 3)
    assert [groups[index] for index in capped] == ['x'] * 3 + ['y'] * 3
    assert farthest_points(points, groups, 1, 100).tolist() == list(range(60))
    assert farthest_points(np.empty((0, 3)), [], 1, 5).tolist() == []


def test_many_points_need_little_memory():
    points = np.random.default_rng(6).normal(size=(30_000, 8))
    # All distances at once would be 7 GB.
    assert len(farthest_points(points, ['x'] * len(points), 1, 20)) == 20
