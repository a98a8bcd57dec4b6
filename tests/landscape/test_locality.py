"""The science of the locality test against exact answers: spheres by brute force, spreads of series that are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from aiida_dpasse.landscape.locality import (
    Spread,
    atoms_within,
    force_spread,
    held_atoms,
    inefficiency,
    judge,
    pool,
    smallest_image_distance,
)


def cubic(repeats: int, edge: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return cell and positions of a simple cubic crystal."""
    return np.eye(3) * edge * repeats, edge * np.array(list(product(range(repeats), repeat=3)), dtype=float)


def test_shells_of_a_simple_cubic_crystal_are_held_as_a_whole():
    cell, positions = cubic(6)
    # 1, 6, 12, 8 and 6 atoms at 0, 1, sqrt(2), sqrt(3) and 2 edges, the centre wherever it lies.
    for centre in (0, 100, 215):
        sizes = [len(atoms_within(cell, positions, centre, 2.0 * radius)) for radius in (0, 1, 2**0.5, 3**0.5, 2)]
        assert sizes == [1, 7, 19, 27, 33]
        assert centre in atoms_within(cell, positions, centre, 0.0)


@pytest.mark.parametrize('seed', range(4))
def test_spheres_in_skewed_cells_as_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag([4.0, 5.0, 9.0]) + rng.uniform(-3, 3, (3, 3)) * (1 - np.eye(3))
    positions = rng.uniform(-10, 10, (30, 3))
    shifts = np.array(list(product(range(-12, 13), repeat=3))) @ cell
    for radius in (1.0, 3.0, 6.0):
        distances = [np.linalg.norm(place - positions[3] + shifts, axis=1).min() for place in positions]
        found = atoms_within(cell, positions, 3, radius)
        assert found.tolist() == np.flatnonzero(np.array(distances) <= radius).tolist()


def test_a_sphere_must_not_reach_its_image_and_must_leave_something():
    cell, positions = cubic(4)
    assert smallest_image_distance([3.0, 4.0, 2.0]) == 8.0
    # The cell of 8 A is the smallest for 4 A: the sphere and its images touch in three of its 33 atoms.
    assert len(held_atoms(cell, positions, 0, 4.0)) == 30
    with pytest.raises(ValueError, match=r'4\.1 A.* 8 A'):
        held_atoms(cell, positions, 0, 4.1)
    with pytest.raises(ValueError, match=r' 4 A.* 2 atoms'):
        held_atoms(cell, positions[:2], 0, 4.0)


def test_the_spread_of_white_noise_with_its_error():
    rng = np.random.default_rng(0)
    sigma = np.array([0.1, 0.2, 0.3])
    spreads = [force_spread(5.0 + sigma * rng.normal(size=(200, 3))) for _ in range(400)]
    np.testing.assert_allclose(np.mean([one.variance for one in spreads], axis=0), sigma**2, rtol=0.02)
    exact = np.sqrt((sigma**2).mean())
    values = np.array([one.rms for one in spreads])
    assert values.mean() == pytest.approx(exact, rel=0.01)
    # The estimated error is the scatter of the estimates.
    assert np.mean([one.rms_error for one in spreads]) == pytest.approx(values.std(), rel=0.15)
    assert all(one.frames == 200 for one in spreads)
    assert np.mean([one.independent for one in spreads]) > 120


def test_frames_that_repeat_each_other_count_as_fewer():
    """An autoregressive series with correlation r has an inefficiency of (1 + r) / (1 - r)."""
    rng = np.random.default_rng(1)
    r, sigma, runs, count = 0.8, 0.2, 300, 400
    series = np.empty((runs, count, 3))
    series[:, 0] = sigma * rng.normal(size=(runs, 3))
    for step in range(1, count):
        series[:, step] = r * series[:, step - 1] + sigma * np.sqrt(1 - r**2) * rng.normal(size=(runs, 3))
    assert np.mean([inefficiency(one[:, 0]) for one in series]) == pytest.approx(9.0, rel=0.2)
    spreads = [force_spread(one) for one in series]
    values = np.array([one.rms for one in spreads])
    assert values.mean() == pytest.approx(sigma, rel=0.01)
    told = np.mean([one.rms_error for one in spreads])
    assert told == pytest.approx(values.std(), rel=0.25)
    # Without correlation between frames the error would be smaller.
    naive = np.mean([one.rms_error for one in (force_spread(rng.permutation(one)) for one in series)])
    assert naive < 0.6 * values.std()


def test_forces_that_do_not_change_have_no_spread():
    still = force_spread(np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert (still.rms, still.rms_error, still.independent) == (0.0, 0.0, 5.0)
    with pytest.raises(ValueError, match='got 1'):
        force_spread([[0.0, 0.0, 0.0]])
    # By hand: two independent frames, 0.1 on either side of the mean along x.
    pair = force_spread([[0.1, 0, 0], [-0.1, 0, 0]])
    assert pair.variance == pytest.approx([0.02, 0, 0])


def test_several_centres_are_pooled_about_their_own_means():
    one = Spread(np.array([1.0, 1.0, 1.0]), 0.3, 10, 5.0)
    other = Spread(np.array([3.0, 3.0, 3.0]), 0.4, 20, 8.0)
    both = pool([one, other])
    assert both.variance == pytest.approx([2, 2, 2])
    assert (both.frames, both.independent) == (30, 13)
    # They differ by more than their own errors, 0.25, make up for.
    assert both.error == pytest.approx(1.0)
    assert pool([one]).error == 0.3
    assert pool([one, one]).error == pytest.approx(0.3 / 2**0.5)


def rows(*spreads):
    return [
        {'distance_A': 4.0 + 2 * index, 'force_spread_meV_A': spread, 'force_spread_error_meV_A': 1.0}
        for index, spread in enumerate(spreads)
    ]


def test_the_verdict_in_a_sentence():
    radius, reason = judge(rows(90.0, 40.0, 10.0), 50)
    assert radius == 3.0
    assert all(number in reason for number in ('3 A', '50 meV/A', '6 A', '40 +- 1 meV/A'))
    # Within two errors of the limit, more frames may still bring the spread above it.
    close = judge(rows(90.0, 49.0, 10.0), 50)[1]
    assert '49 +- 1 meV/A' in close
    assert 'more frames' in close
    assert 'more frames' not in reason
    # A single row below the limit does not determine the cutoff.
    assert judge(rows(40.0, 60.0, 10.0), 50)[0] == 4.0
    assert judge(rows(40.0, None, 10.0), 50)[0] == 2.0
    assert judge(rows(40.0, 30.0, 10.0), 50)[1].endswith('; no smaller distance was tried.')
    radius, reason = judge(rows(90.0, 80.0, 60.0), 50)
    assert radius is None
    assert all(number in reason for number in ('4 A', '50 meV/A', '60 +- 1 meV/A'))
    assert judge(rows(None), 50)[0] is None
