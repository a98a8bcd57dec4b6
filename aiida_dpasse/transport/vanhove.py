"""Van Hove correlation functions and the non-Gaussian parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def self_part(positions: Any, lag: int, edges: Any) -> Array:
    """Return 4 pi r^2 G_s(r, lag) per A, (bins,): the distribution of the distance an ion went; its integral is 1.

    G_s(r, t) = <sum_i delta(r - |r_i(t) - r_i(0)|)> / N, over all time origins.

    :param positions: unwrapped, (frames, ions, 3) A.
    :param lag: in frames.
    :param edges: of the bins in r, (bins + 1,) A.
    """
    points, bounds = np.asarray(positions, dtype=float), np.asarray(edges, dtype=float)
    distances = np.linalg.norm(points[lag:] - points[: len(points) - lag], axis=-1)
    counts, _ = np.histogram(distances, bounds)
    return np.asarray(counts / (distances.size * np.diff(bounds)))


def distinct_part(positions: Any, cell: Any, lag: int, edges: Any, origins: int = 50) -> Array:
    """Return G_d(r, lag), (bins,): the density of other ions where an ion was; 1 for an ideal gas.

    G_d(r, t) = <sum_{i != j} delta(r - |r_i(t) - r_j(0)|)> / (4 pi r^2 rho N), with rho = N / V and nearest images:
    the edges should not exceed half the shortest distance between the cell's faces.

    :param positions: (frames, ions, 3) A.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param origins: at most so many time origins are used, evenly spaced.
    """
    points, bounds = np.asarray(positions, dtype=float), np.asarray(edges, dtype=float)
    lattice = np.asarray(cell, dtype=float)
    inverse = np.linalg.inv(lattice)
    frames, ions, _ = points.shape
    starts = np.unique(np.linspace(0, frames - lag - 1, min(origins, frames - lag)).round().astype(int))
    counts = np.zeros(len(bounds) - 1)
    others = ~np.eye(ions, dtype=bool)
    for start in starts:
        vectors = (points[start + lag][:, None] - points[start][None, :]) @ inverse
        distances = np.linalg.norm((vectors - np.round(vectors)) @ lattice, axis=-1)
        counts += np.histogram(distances[others], bounds)[0]
    shells = 4 / 3 * np.pi * np.diff(bounds**3)
    # N - 1 others: for few ions N would be a systematic error of 1/N.
    density = (ions - 1) / abs(np.linalg.det(lattice))
    return np.asarray(counts / (len(starts) * ions * density * shells))


def non_gaussian_parameter(positions: Any, lag: int) -> float:
    """Return 3 <r^4> / (5 <r^2>^2) - 1: zero for diffusion, positive where few ions hop and most rattle."""
    points = np.asarray(positions, dtype=float)
    squares = np.sum((points[lag:] - points[: len(points) - lag]) ** 2, axis=-1)
    return float(3 * np.mean(squares**2) / (5 * np.mean(squares) ** 2) - 1)
