"""Van Hove maps of free walkers, whose Gaussian is known, and their mean over runs."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.transport.maps import LAGS, WIDTH, average_maps, van_hove_maps

CELL = 12.0 * np.eye(3)


def walk(seed: int, frames: int = 400, ions: int = 60) -> np.ndarray:
    """Return Gaussian walkers that start anywhere in the cell: an ideal gas."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(scale=0.1, size=(frames, ions, 3))
    return rng.uniform(0, 12, size=(ions, 3)) + np.cumsum(steps, axis=0)


def test_maps_of_an_ideal_gas():
    maps = van_hove_maps(walk(1, frames=400, ions=200), CELL, 0.05, 8.0)
    lag, own, distinct = maps['map_lag_ps'], maps['self_per_A'], maps['distinct']
    assert lag[0] == pytest.approx(0.05)
    assert lag[-1] == pytest.approx(10.0)
    assert len(lag) <= LAGS
    assert own.shape == (len(lag), 40)
    # Half the cell, not further.
    assert distinct.shape == (len(lag), 30)
    np.testing.assert_allclose(own[: len(lag) - 3].sum(axis=1) * WIDTH, 1, atol=0.02)
    place = int(np.argmin(np.abs(lag - 2.0)))
    variance = 0.01 * lag[place] / 0.05
    r = maps['self_r_A']
    gaussian = 4 * np.pi * r**2 * np.exp(-(r**2) / (2 * variance)) / (2 * np.pi * variance) ** 1.5
    np.testing.assert_allclose(own[place], gaussian, atol=0.06)
    np.testing.assert_allclose(distinct[:, 15:].mean(axis=0), 1, atol=0.1)
    assert np.abs(maps['non_gaussian'][:place]).max() < 0.1


def test_runs_are_averaged_over_what_they_share():
    one = van_hove_maps(walk(1), CELL, 0.05, 8.0)
    small = van_hove_maps(walk(2), 10.0 * np.eye(3), 0.05, 8.0)
    longer = van_hove_maps(walk(3, frames=800), CELL, 0.05, 8.0)
    mean = average_maps([one, small, longer])
    np.testing.assert_allclose(mean['self_per_A'], (one['self_per_A'] + small['self_per_A']) / 2)
    assert mean['distinct'].shape == small['distinct'].shape
    assert len(mean['distinct_r_A']) == 25
    assert average_maps([]) == average_maps([{'lag_ps': np.ones(3)}]) == {}


def test_a_single_ion_and_a_tiny_cell_have_no_pairs():
    assert 'distinct' not in van_hove_maps(walk(1, ions=1), CELL, 0.05, 8.0)
    assert 'distinct' not in van_hove_maps(walk(1), 0.3 * np.eye(3), 0.05, 8.0)
