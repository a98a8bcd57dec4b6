"""Projections of points whose layout is known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.structures.projection import project


def test_a_plane_in_many_dimensions_is_found():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) * [3.0, 1.0]
    axes = np.linalg.qr(rng.normal(size=(20, 2)))[0]
    points = plane @ axes.T + 5
    coordinates, explained = project(points)
    assert explained.sum() == pytest.approx(1)
    distances = lambda xy: np.linalg.norm(xy[:, None] - xy, axis=-1)  # noqa: E731
    assert distances(coordinates) == pytest.approx(distances(plane), abs=1e-9)


@pytest.mark.parametrize('points', [np.ones((1, 5)), np.ones((4, 5)), np.arange(4.0)[:, None]])
def test_too_few_points_or_directions(points):
    coordinates, _ = project(points)
    assert coordinates.shape == (len(points), 2)
    assert np.ptp(coordinates[:, 1]) == pytest.approx(0)


def test_neighbours_stay_together_and_the_seed_decides():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(20, 8)), rng.normal(size=(20, 8)) + 20])
    coordinates, explained = project(points, 'tsne', seed=4)
    assert explained is None
    assert np.array_equal(coordinates, project(points, 'tsne', seed=4)[0])
    distances = np.linalg.norm(coordinates[:, None] - coordinates, axis=-1) + 1e9 * np.eye(40)
    nearest = distances.argmin(1)
    assert ((nearest < 20) == (np.arange(40) < 20)).all()
