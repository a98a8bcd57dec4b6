"""Level maps and percolation: landscapes with known saddles and channels, and searches that are slow and simple."""

from __future__ import annotations

import heapq
import time
from itertools import product

import numpy as np
import pytest

from aiida_dpasse.landscape.grid import Grid
from aiida_dpasse.landscape.level_map import level_map, lowest_voxel, lowest_voxels
from aiida_dpasse.landscape.percolation import percolation

STEPS = [step for axis in range(3) for step in (np.eye(3, dtype=int)[axis], -np.eye(3, dtype=int)[axis])]
INF = np.inf


def neighbours(voxel, shape):
    """Yield the neighbours of a voxel in the periodic cell, and the numbers of cells on the way."""
    for step in STEPS:
        place = np.array(voxel) + step
        yield tuple(int(each) for each in place % shape), place // shape


def by_queue(energies, *starts):
    """Return the level map by Dijkstra's algorithm."""
    levels = np.full(energies.shape, INF)
    queue = [(energies[start], start) for start in starts]
    heapq.heapify(queue)
    while queue:
        level, voxel = heapq.heappop(queue)
        if level >= levels[voxel]:
            continue
        levels[voxel] = level
        for other, _ in neighbours(voxel, energies.shape):
            if np.isfinite(energies[other]) and levels[other] == INF:
                heapq.heappush(queue, (max(level, energies[other]), other))
    return levels


def by_union(energies, start):
    """Return the levels of one, two and three dimensions and of the axes, voxel after voxel in the order of energy."""
    parent = {}
    windings = {}

    def root(voxel):
        place = np.zeros(3, dtype=int)
        while parent[voxel][0] != voxel:
            voxel, step = parent[voxel]
            place = place + step
        return voxel, place

    dimensions, axes = [INF] * 3, [INF] * 3
    for voxel in sorted(product(*map(range, energies.shape)), key=lambda each: energies[each]):
        if not np.isfinite(energies[voxel]):
            break
        parent[voxel], windings[voxel] = (voxel, np.zeros(3, dtype=int)), []
        for other, step in neighbours(voxel, energies.shape):
            if other not in parent:
                continue
            (one, place), (two, there) = root(voxel), root(other)
            # From the root of the second to that of the first.
            between = step + there - place
            if one == two:
                windings[one].append(-between)
            else:
                parent[one] = (two, between)
                windings[two] += windings[one]
        if start in parent:
            found = np.array(windings[root(start)[0]]).reshape(-1, 3)
            rank = int(np.linalg.matrix_rank(found)) if len(found) else 0
            for axis in range(3):
                level = max(energies[voxel], energies[start])
                dimensions[axis] = min(dimensions[axis], level if rank > axis else INF)
                axes[axis] = min(axes[axis], level if found[:, axis].any() else INF)
    return tuple(dimensions), tuple(axes)


def by_box(energies, start):
    """Return the level of the outermost voxels of 27 cells, of which the middle one holds the start."""
    shape = np.array(energies.shape)
    box = np.pad(np.tile(energies, (3, 3, 3)), 1, constant_values=INF)
    levels = np.full(box.shape, INF)
    first = tuple(int(each) for each in shape + start + 1)
    queue = [(energies[start], first)]
    while queue:
        level, voxel = heapq.heappop(queue)
        if level >= levels[voxel]:
            continue
        levels[voxel] = level
        if (np.array(voxel) == 1).any() or (np.array(voxel) == 3 * shape).any():
            return level
        for step in STEPS:
            other = tuple(int(each) for each in np.array(voxel) + step)
            if np.isfinite(box[other]):
                heapq.heappush(queue, (max(level, box[other]), other))
    return INF


@pytest.mark.parametrize('seed', range(30))
def test_random_landscapes_against_slow_searches(seed):
    """Of all shapes, down to one voxel along an axis, some with voxels that no path enters and with equal energies."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(each) for each in rng.integers(1, 6, size=3))
    energies = rng.random(shape)
    if seed % 2:
        energies = np.round(energies, 1)
    if seed % 3 == 0:
        energies[rng.random(shape) < 0.4] = INF
    for _ in range(1 + seed % 2):
        energies[tuple(int(each) for each in rng.integers(0, shape))] = 0.0
    start = lowest_voxel(energies)
    assert (level_map(energies, start) == by_queue(energies, start)).all()
    ties = lowest_voxels(energies)
    assert ties[0] == start
    assert (level_map(energies, *ties) == by_queue(energies, *ties)).all()
    found = percolation(energies, start)
    assert (found.dimensions, found.axes) == by_union(energies, start)
    assert found.box == by_box(energies, start)


@pytest.mark.parametrize('seed', range(5))
def test_random_channels_that_wind(seed):
    """Few open voxels: ways that wind round the cell in skewed directions before they close."""
    rng = np.random.default_rng(100 + seed)
    energies = np.full((7, 6, 5), INF)
    place = np.zeros(3, dtype=int)
    for _ in range(60):
        energies[tuple(place % energies.shape)] = rng.random()
        place = place + STEPS[rng.integers(6)]
    start = lowest_voxel(energies)
    found = percolation(energies, start)
    assert (found.dimensions, found.axes) == by_union(energies, start)
    assert found.box == by_box(energies, start)
    assert (level_map(energies, start) == by_queue(energies, start)).all()


def points(shape):
    """Return the fractional coordinates of the voxels, (3, n_1, n_2, n_3)."""
    return np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing='ij'))


def test_a_sinusoidal_landscape_has_its_saddles():
    """Barriers of 0.2, 0.3 and 0.5 eV along the axes, at the middle of the cell, which is a point of the grid."""
    heights = np.array([0.2, 0.3, 0.5])
    x = points((20, 24, 16))
    energies = np.einsum('i,ijkl->jkl', heights, (1 - np.cos(2 * np.pi * x)) / 2)
    found = percolation(energies, lowest_voxel(energies))
    assert found.axes == pytest.approx(heights)
    assert found.dimensions == pytest.approx(heights)
    # The boundary of the box: along the first axis the way begins and ends in a minimum and passes one saddle.
    assert found.box == pytest.approx(0.2)
    levels = level_map(energies, (0, 0, 0))
    assert levels[10, 0, 0] == pytest.approx(0.2)
    assert (levels >= energies).all()
    # A point beyond the saddle of the first axis, above which none of its ways goes, has its own energy.
    assert levels[10, 12, 8] == pytest.approx(1.0)


def test_two_wells_are_joined_at_their_saddle():
    """E = h (1 - u^2)^2 with wells at u = -1 and 1 and a saddle of h at 0, and walls between the cells."""
    shape = (41, 9, 9)
    x = points(shape)
    u = 4 * (np.arange(shape[0]) - 20) / 40
    side = 2.0 * (x[1] - 4 / 9) ** 2 + 2.0 * (x[2] - 4 / 9) ** 2
    energies = 0.3 * (1 - u[:, None, None] ** 2) ** 2 + side + 0.05 * (u > 0.5)[:, None, None]
    left, right = (int(np.argmin(np.abs(u - well))) for well in (-1, 1))
    levels = level_map(energies, (left, 4, 4))
    assert energies[left, 4, 4] == 0.0
    assert levels[right, 4, 4] == pytest.approx(0.3)
    assert levels[left, 4, 4] == 0.0
    # The outer flank, h (1 - 4)^2 = 9 h, is the only way on along the first axis.
    assert percolation(energies, (left, 4, 4)).axes[0] == pytest.approx(0.3 * 9 + 0.05)


def test_a_wall_with_one_door():
    """The door decides the level beyond the wall; without a second one, nothing leads through the crystal."""
    energies = np.zeros((12, 8, 8))
    energies[3] = energies[9] = INF
    energies[3, 5, 6] = 0.7
    levels = level_map(energies, (0, 0, 0))
    assert (levels[4:9] == 0.7).all()
    assert (levels[[0, 1, 2, 10, 11]] == 0.0).all()
    assert (levels[9] == INF).all()
    found = percolation(energies, (0, 0, 0))
    # Between the walls the ion is free in two dimensions.
    assert found.dimensions == (0.0, 0.0, INF)
    assert found.axes == (INF, 0.0, 0.0)
    energies[9, 0, 0] = 0.9
    assert percolation(energies, (0, 0, 0)).dimensions == (0.0, 0.0, 0.9)


@pytest.mark.parametrize('dimension', [1, 2, 3])
def test_channels(dimension):
    """Straight channels along as many axes as there are dimensions."""
    energies = np.full((9, 8, 7), INF)
    for axis in range(dimension):
        place = [4, 4, 4]
        place[axis] = slice(None)
        energies[tuple(place)] = 0.1 * (axis + 1)
    energies[4, 4, 4] = 0.0
    found = percolation(energies, (4, 4, 4))
    expected = (0.1, 0.2, 0.3)
    levels = tuple(pytest.approx(level) if axis < dimension else INF for axis, level in enumerate(expected))
    assert found.dimensions == levels
    assert found.axes == levels


def test_a_diagonal_channel_is_one_dimensional():
    """It winds round all three axes at once: the axes tell no more than that, and the rank does."""
    energies = np.full((6, 6, 6), INF)
    for n in range(6):
        energies[n, n, n] = energies[(n + 1) % 6, n, n] = energies[(n + 1) % 6, (n + 1) % 6, n] = 0.2
    found = percolation(energies, (0, 0, 0))
    assert found.axes == (0.2, 0.2, 0.2)
    assert found.dimensions == (0.2, INF, INF)


def test_leaving_the_box_is_not_percolation():
    """A pocket that reaches over one cell into the next, and ends there, leaves no box; a long dead end does."""
    energies = np.full((4, 4, 4), INF)
    energies[0, 0, 0] = 0.0
    energies[3, 0, 0] = 0.1
    energies[2, 0, 0] = 0.3
    found = percolation(energies, (0, 0, 0))
    assert (found.dimensions, found.box) == ((INF, INF, INF), INF)
    # The start in the first layer: two cells to the outermost layer on one side, one voxel and a cell on the other.
    energies[1, 0, 0] = 0.5
    assert percolation(energies, (0, 0, 0)).box == percolation(energies, (0, 0, 0)).dimensions[0] == 0.5
    open_ = np.zeros((4, 4, 4))
    open_[:, :, 1:] = INF
    assert percolation(open_, (0, 0, 0)).dimensions == (0.0, 0.0, INF)


def test_a_tilted_cell_is_the_same_crystal():
    """A cell of another shape for the same lattice, with every point of the grid at a point of the other."""
    cell = np.diag([4.0, 5.0, 6.0])
    tilted = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ cell
    shape = (16, 16, 16)

    def energies_at(grid):
        x = grid.fractional(np.arange(grid.size)) @ grid.cell @ np.linalg.inv(cell)
        return (np.array([0.2, 0.3, 0.4]) * (1 - np.cos(2 * np.pi * x)) / 2).sum(axis=1).reshape(grid.shape)

    straight, other = (energies_at(Grid(each, shape, np.zeros(3))) for each in (cell, tilted))
    found = percolation(other, lowest_voxel(other))
    assert percolation(straight, (0, 0, 0)).dimensions == pytest.approx((0.2, 0.3, 0.4))
    # The neighbours of a tilted grid are others: its paths along b and c go in steps, never lower than the saddles.
    assert found.dimensions[0] == pytest.approx(0.2)
    assert (np.array(found.dimensions) >= np.array((0.2, 0.3, 0.4)) - 1e-12).all()
    assert found.dimensions == pytest.approx((0.2, 0.3, 0.4), abs=0.06)
    np.testing.assert_allclose(np.sort(straight.ravel()), np.sort(other.ravel()), atol=1e-12)


def test_a_quarter_of_a_million_voxels_take_seconds():
    """A grid of 64^3 with barriers that are those of the cosine."""
    energies = (np.array([0.2, 0.3, 0.4]).reshape(3, 1, 1, 1) * (1 - np.cos(2 * np.pi * points((64, 64, 64)))) / 2).sum(
        axis=0
    )
    began = time.process_time()
    levels, found = level_map(energies, (0, 0, 0)), percolation(energies, (0, 0, 0))
    assert time.process_time() - began < 5
    assert found.dimensions == pytest.approx((0.2, 0.3, 0.4))
    assert levels.max() == pytest.approx(0.9)
