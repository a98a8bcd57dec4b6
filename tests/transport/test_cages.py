"""Sites, cages and exchanges of walks whose hops are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.transport.cages import Exchanges, bound_of_confined, find_cages
from aiida_dpasse.transport.diffusion import pool, take_statistics

CELL = np.array([[20.0, 0, 0], [5.0, 20, 0], [0, 0, 20]])
#: Four centres of cages in the cell, each with four sites at its corners.
CENTRES = np.array([[0.25, 0.25, 0.25], [0.75, 0.75, 0.25], [0.75, 0.25, 0.75], [0.25, 0.75, 0.75]])
CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.2


def walk(rng, frames, ions, inside, between):
    """Return ions that hop between the corners of a cage, and to the next cage, with these probabilities a frame.

    :returns: positions (frames, ions, 3), the number of hops between sites, and that of hops between cages.
    """
    corner, cage = rng.integers(4, size=ions), np.arange(ions) % 4
    images, counts = np.zeros((ions, 3)), np.zeros(2, dtype=int)
    positions = np.empty((frames, ions, 3))
    for frame in range(frames):
        if frame:
            moves, leaves = rng.random(ions) < inside, rng.random(ions) < between
            new = (corner + rng.integers(1, 4, size=ions)) % 4
            corner = np.where(moves & ~leaves, new, corner)
            # The nearest image of another cage, whatever the direction.
            other = (cage + rng.integers(1, 4, size=ions)) % 4
            step = CENTRES[other] - CENTRES[cage]
            nearest = step - np.round(step + rng.choice([-1e-6, 1e-6], size=step.shape))
            images = np.where(leaves[:, None], images + nearest - step, images)
            cage = np.where(leaves, other, cage)
            counts += [int(np.sum(moves | leaves)), int(np.sum(leaves))]
        positions[frame] = (CENTRES[cage] + images) @ CELL + CORNERS[corner]
    return positions + rng.normal(scale=0.2, size=positions.shape), counts


def test_ions_that_never_leave_their_cages_are_confined():
    """All hops are counted, none is an exchange, and D is bounded by three exchanges in the whole run."""
    positions, (hops, _) = walk(np.random.default_rng(1), 2000, 8, 0.02, 0.0)
    exchanges, sites = find_cages(positions, CELL, 0.1)
    assert (exchanges.sites, exchanges.cages, exchanges.hops, exchanges.exchanges) == (16, 4, hops, 0)
    assert exchanges.confined
    assert np.sum(sites.occupancies) == pytest.approx(8)
    run = take_statistics(positions, 0.1, 8000.0, cell=CELL)
    result = pool([run])
    assert (result.verdict.diffusive, result.reported.tracer) == (False, None)
    bound = 3.0 * exchanges.square_distance / (6 * 8 * 199.9)
    assert bound_of_confined([exchanges]) == pytest.approx(bound, rel=0.01)
    assert result.upper_bound == pytest.approx(bound * 1e-4, rel=0.01)


@pytest.mark.parametrize('seed', range(5))
def test_ions_that_hopped_once_may_be_caged(seed):
    """One hop of each ion within its cage: a spectrum without memory, and a coefficient unless a path is required."""
    positions, (hops, _) = walk(np.random.default_rng(seed), 300, 12, 0.004, 0.0)
    run = take_statistics(positions, 0.1, 8000.0, cell=CELL)
    assert run.exchanges.hops == pytest.approx(hops, abs=2)
    assert run.exchanges.on_sites
    assert not run.exchanges.meaningful
    assert pool([run]).verdict.diffusive
    result = pool([run], path=True)
    assert (result.verdict.diffusive, result.reported.tracer) == (False, None)
    assert result.upper_bound > result.estimate.value


def test_exchanges_between_cages_are_counted():
    positions, (hops, left) = walk(np.random.default_rng(2), 4000, 12, 0.05, 0.002)
    exchanges, _ = find_cages(positions, CELL, 0.1)
    assert (exchanges.sites, exchanges.percolates) == (16, True)
    assert exchanges.hops == pytest.approx(hops, rel=0.01)
    # Cages whose exchanges are more frequent than the percolating path needs count as one: a lower bound.
    assert 2 <= exchanges.cages <= 4
    assert 0.3 * left < exchanges.exchanges <= left + 3
    assert exchanges.ions_exchanged == 12
    run = take_statistics(positions, 0.1, 8000.0, cell=CELL)
    assert pool([run]).verdict.diffusive
    assert pool([run], path=True).verdict.diffusive


@pytest.mark.parametrize('shift', [0.0, 3.0, 10.0])
def test_a_site_across_the_border_of_the_cell_is_no_path(shift):
    """Two elongated sites 4 A apart, with two maxima each, between which an ion hops; wherever the origin lies."""
    rng = np.random.default_rng(6)
    places = np.array([[x, y, 0.0] for y in (0.0, 4.0) for x in (-0.8, 0.8)])
    at = (rng.integers(2, size=4000) + 2 * (np.arange(4000) // 50 % 2))[:, None]
    positions = places[at] + shift + rng.normal(scale=0.2, size=(4000, 1, 3))
    exchanges, _ = find_cages(positions, np.eye(3) * 20, 0.1)
    assert (exchanges.sites, exchanges.hops) == (2, 79)
    assert not exchanges.percolates


def test_rattling_across_a_border_is_no_hop():
    """Two sites 2.4 A apart, and an ion at each that rattles by 0.25 A an axis."""
    rng = np.random.default_rng(3)
    positions = np.array([[5.0, 5, 5], [7.4, 5, 5]]) + rng.normal(scale=0.25, size=(4000, 2, 3))
    exchanges, _ = find_cages(positions, CELL, 0.1)
    assert (exchanges.hops, exchanges.exchanges, exchanges.ions_exchanged) == (0, 0, 0)
    assert exchanges.confined


def test_ions_without_sites_are_not_judged_by_hops():
    positions = np.cumsum(np.random.default_rng(4).normal(scale=0.5, size=(2000, 20, 3)), axis=0)
    exchanges, _ = find_cages(positions, CELL, 0.1)
    assert not exchanges.meaningful
    assert not exchanges.confined


def test_few_hops_are_no_cages():
    """A hop of every ion to a site that no other visits leaves too few bonds to recognise cages."""
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(4) * 6.0] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    hops = np.zeros((400, 64, 3))
    hops[rng.integers(50, 350, size=64), np.arange(64), rng.integers(3, size=64)] = 3.0
    positions = grid + np.cumsum(hops, axis=0) + rng.normal(scale=0.15, size=hops.shape)
    exchanges, _ = find_cages(positions, np.eye(3) * 24, 0.1)
    assert exchanges.hops == pytest.approx(64, abs=3)
    assert not exchanges.meaningful
    assert Exchanges.from_dict(exchanges.to_dict()) == exchanges
