"""Tracks of ions through trajectories of any length."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aiida_dpasse.transport import tracks as room
from aiida_dpasse.transport.displacement import mean_square_displacement
from aiida_dpasse.transport.tracks import Tracks

CELL = np.array([[8.0, 0, 0], [1.5, 9, 0], [-2.0, 1, 10]])
SYMBOLS, MASSES = ['Li'] * 6 + ['S'] * 4, [7.0] * 6 + [32.0] * 4


def walk(frames, seed=0, scale=0.3):
    """Return lithium that walks beside sulphur at rest."""
    rng = np.random.default_rng(seed)
    positions = rng.random((10, 3)) @ CELL + np.zeros((frames, 1, 1))
    positions[:, :6] += np.cumsum(rng.normal(scale=scale, size=(frames, 6, 3)), axis=0)
    return positions


def fill(positions, limit=4000, wrapped=False, symbols=SYMBOLS, ions=('Li',)):
    """Return the tracks of a trajectory."""
    tracks = Tracks(symbols, MASSES, ions, limit, wrapped=wrapped)
    for step, points in enumerate(positions):
        tracks.add(step, CELL, points)
    return tracks


def test_wrapped_frames_that_are_thinned_out_still_count():
    """A wrapped ion is followed through every frame, whichever are kept."""
    positions = walk(300)
    folded = (positions @ np.linalg.inv(CELL) % 1.0) @ CELL
    found, expected = fill(folded, 40, wrapped=True), fill(positions, 40)
    assert found.gap() == expected.gap() == 8
    np.testing.assert_allclose(
        mean_square_displacement(found.positions()), mean_square_displacement(expected.positions()), atol=1e-8
    )


def test_moves_that_are_too_long_to_unwrap_are_refused():
    folded = (walk(60, scale=3.0) @ np.linalg.inv(CELL) % 1.0) @ CELL
    with pytest.raises(ValueError, match=r'moves between frames are longer than 0\.4 of the cell'):
        fill(folded, wrapped=True).gap()


def test_without_a_framework_no_drift_is_taken_off():
    """Where all atoms conduct, their centre is the current itself."""
    positions = walk(50)
    symbols = ['Li'] * 10
    found = fill(positions, symbols=symbols)
    np.testing.assert_allclose(found.positions(), positions, atol=1e-9)
    assert found.summary()['framework_drift_A'] == 0
    assert found.summary()['framework_displacement_A'] == 0


def test_memory_does_not_grow_with_the_length(monkeypatch):
    """Ten times as many frames take as much memory, and many ions are kept in fewer frames."""
    peaks = []
    for frames in (400, 4000):
        rng = np.random.default_rng(0)
        tracemalloc.start()
        tracks = Tracks(['Li'] * 200 + ['S'], [7.0] * 200 + [32.0], ['Li'], 100)
        for step in range(frames):
            tracks.add(step, CELL, rng.random((201, 3)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    monkeypatch.setattr(room, 'LARGEST', 200 * 3 * 50)
    assert Tracks(['Li'] * 200, [7.0] * 200, ['Li'], 4000).limit == 50
