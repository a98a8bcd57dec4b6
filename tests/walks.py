"""Walks whose diffusion is known exactly."""

from __future__ import annotations

import numpy as np

VECTORS = {
    'sc': [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
    'fcc': [(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)],
}


def lattice_walk(rng, frames, walkers, rate, length, size=1, noise=0.0):
    """Return clusters of ``size`` ions that hop ``length`` along an axis with probability ``rate`` a frame.

    D = rate length^2 / 6 per frame, D_sigma is ``size`` times as much; positions are (frames, walkers * size, 3), each
    blurred by ``noise`` an axis.
    """
    axis = rng.integers(3, size=(frames, walkers))
    step = rng.choice([-length, length], size=(frames, walkers)) * (rng.random((frames, walkers)) < rate)
    steps = np.zeros((frames, walkers, 3))
    np.put_along_axis(steps, axis[..., None], step[..., None], axis=2)
    positions = np.repeat(np.cumsum(steps, axis=0), size, axis=1)
    return positions + rng.normal(scale=noise, size=positions.shape) if noise else positions


def reversing_walk(rng, frames, ions, rate, length, reversal, noise=0.0):
    """Return ions that hop along an axis with probability ``rate`` a frame, back with probability ``reversal``.

    Otherwise the direction is any of the six. D = rate length^2 / 6 (1 - reversal) / (1 + reversal) per frame.
    """
    vectors = length * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    last, place, positions = rng.integers(6, size=ions), np.zeros((ions, 3)), np.empty((frames, ions, 3))
    for frame in range(frames):
        hops, back = rng.random(ions) < rate, rng.random(ions) < reversal
        last = np.where(hops, np.where(back, last ^ 1, rng.integers(6, size=ions)), last)
        place = place + vectors[last] * hops[:, None]
        positions[frame] = place
    return positions + rng.normal(scale=noise, size=positions.shape) if noise else positions


def alternating_walk(rng, frames, ions, fast, slow, length, noise=0.0):
    """Return ions on chains along each axis whose bonds are crossed with probability ``fast`` and ``slow`` in turn.

    D = 2 length^2 fast slow / (fast + slow) per frame and axis, as of conductors in series.
    """
    place, positions = rng.integers(0, 2, size=(ions, 3)), np.empty((frames, ions, 3))
    for frame in range(frames):
        draw, even = rng.random((ions, 3)), place % 2 == 0
        right, left = np.where(even, fast, slow), np.where(even, slow, fast)
        place = place + (draw < right) - ((draw >= right) & (draw < right + left))
        positions[frame] = place * length
    return positions + rng.normal(scale=noise, size=positions.shape) if noise else positions


def caged_walk(rng, frames, ions, rate, length, width, relaxation):
    """Return ions that fill cages of ``width`` an axis within ``relaxation`` frames, and hop from cage to cage.

    The hops are those of `lattice_walk`: D = rate length^2 / 6 per frame. The cages add 6 width^2 to the MSD.
    """
    memory = np.exp(-1 / relaxation)
    pushes = rng.normal(scale=width * np.sqrt(1 - memory**2), size=(frames, ions, 3))
    inside = np.empty((frames, ions, 3))
    inside[0] = rng.normal(scale=width, size=(ions, 3))
    for frame in range(1, frames):
        inside[frame] = memory * inside[frame - 1] + pushes[frame]
    return inside + lattice_walk(rng, frames, ions, rate, length)


def vacancy_walk(rng, kind, edge, steps, stride):
    """Return the ions of a lattice with one vacancy that takes ``steps`` steps, every ``stride`` of them.

    ``edge`` is that of the cell in units of the cubic lattice's spacing, half of the lattice constant for fcc.
    """
    vectors = [*VECTORS[kind], *[tuple(-x for x in vector) for vector in VECTORS[kind]]]
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    if kind == 'fcc':
        grid = grid[grid.sum(axis=1) % 2 == 0]
    number = {tuple(site): index for index, site in enumerate(grid.tolist())}
    neighbours = [[number[tuple((site + vector) % edge)] for vector in vectors] for site in grid]
    ions, vacancy = len(grid) - 1, len(grid) - 1
    at = list(range(ions + 1))
    ways = [[0, 0, 0] for _ in range(ions + 1)]
    frames = np.zeros((steps // stride, ions, 3))
    for step, choice in enumerate(rng.integers(len(vectors), size=steps).tolist()):
        site = neighbours[vacancy][choice]
        ion = at[site]
        at[vacancy], vacancy = ion, site
        for axis in range(3):
            ways[ion][axis] -= vectors[choice][axis]
        if step % stride == stride - 1:
            frames[step // stride] = ways[:ions]
    return frames
