"""Van Hove correlation functions and the non-Gaussian parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.neighbours import pair_counts

Array = NDArray[np.float64]


def self_part(positions: Any, lags: Any, edges: Any, origins: int = 1000) -> Array:
    """Return 4 pi r^2 G_s(r, lag) in 1/A: the distribution of the distance travelled by an ion, normalised to 1.

    G_s(r, t) = <sum_i delta(r - |r_i(t) - r_i(0)|)> / N (van Hove, Phys. Rev. 95, 249, 1954).

    :param positions: (frames, ions, 3) A, unwrapped.
    :param lags: in frames, one or (m,).
    :param edges: of the bins in r, (bins + 1,) A, evenly spaced or not.
    :param origins: at most this many time origins are used for each lag, evenly spaced.
    :returns: (bins,) for one lag, else (m, bins).
    :raises ValueError: if a lag is as long as the trajectory.
    """
    points, bounds = np.asarray(positions), np.asarray(edges, dtype=float)
    rows = []
    for lag in np.atleast_1d(lags):
        steps = _displacements(points, int(lag), origins)
        distances = np.sqrt(np.einsum('fai,fai->fa', steps, steps))
        rows.append(_histogram(distances.ravel(), bounds) / (distances.size * np.diff(bounds)))
    return np.asarray(rows[0] if np.ndim(lags) == 0 else rows)


def distinct_part(positions: Any, cell: Any, lags: Any, edges: Any, origins: int = 50) -> Array:
    """Return G_d(r, lag): the density of other ions around the earlier position of an ion; 1 for an ideal gas.

    G_d(r, t) = <sum_{i != j} delta(r - |r_i(t) - r_j(0)|)> / (4 pi r^2 rho N), with rho = N / V. Distances are those to
    the nearest images, so the edges may not exceed half the shortest distance between the cell's faces.

    :param positions: (frames, ions, 3) A.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param lags: in frames, one or (m,).
    :param edges: of the bins in r, (bins + 1,) A.
    :param origins: at most this many time origins are used for each lag, evenly spaced.
    :returns: (bins,) for one lag, else (m, bins).
    :raises ValueError: if the edges extend too far, or a lag is as long as the trajectory.
    """
    points, bounds = np.asarray(positions, dtype=float), np.asarray(edges, dtype=float)
    frames, ions, _ = points.shape
    rows = []
    for lag in np.atleast_1d(lags):
        starts = _origins(frames - int(lag), origins)
        counts = np.zeros(len(bounds) - 1)
        for start in starts:
            counts += pair_counts(points[start + int(lag)], points[start], cell, bounds, same=True)
        # Each ion has N - 1 others; N would cause a relative error of 1/N for few ions.
        rows.append(_density(counts, cell, bounds, len(starts) * ions * (ions - 1)))
    return np.asarray(rows[0] if np.ndim(lags) == 0 else rows)


def non_gaussian_parameter(positions: Any, lags: Any, origins: int = 1000) -> Any:
    """Return alpha_2 = 3 <r^4> / (5 <r^2>^2) - 1: zero for diffusion, positive where few ions hop and most rattle.

    Rahman, Phys. Rev. 136, A405 (1964).

    :param positions: (frames, ions, 3) A, unwrapped.
    :param lags: in frames, one or (m,).
    :param origins: at most this many time origins are used for each lag, evenly spaced.
    :returns: a number for one lag, else (m,).
    :raises ValueError: if a lag is as long as the trajectory.
    """
    points, rows = np.asarray(positions), []
    for lag in np.atleast_1d(lags):
        steps = _displacements(points, int(lag), origins)
        squares = np.einsum('fai,fai->fa', steps, steps)
        rows.append(float(3 * np.mean(squares**2) / (5 * np.mean(squares) ** 2) - 1))
    return rows[0] if np.ndim(lags) == 0 else np.array(rows)


def _origins(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``count`` time origins, evenly spaced.

    :raises ValueError: if ``count`` is not positive.
    """
    if count < 1:
        raise ValueError('The lag is as long as the trajectory: give a shorter one.')
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))


def _displacements(points: Any, lag: int, origins: int) -> Array:
    starts = _origins(len(points) - lag, origins)
    return np.asarray(points[starts + lag] - points[starts], dtype=float)


def _histogram(distances: Array, bounds: Array) -> Array:
    """Return the counts (bins,), computing the bin index directly where the bins are evenly spaced."""
    width = (bounds[-1] - bounds[0]) / (len(bounds) - 1)
    if not np.allclose(np.diff(bounds), width):
        return np.histogram(distances, bounds)[0].astype(float)
    index = ((distances - bounds[0]) * (1 / width)).astype(np.int64)
    inside = (distances >= bounds[0]) & (index < len(bounds) - 1)
    return np.bincount(index[inside], minlength=len(bounds) - 1).astype(float)


def _density(counts: Array, cell: Any, bounds: Array, pairs: int) -> Array:
    shells = 4 / 3 * np.pi * np.diff(bounds**3)
    return np.asarray(counts * abs(np.linalg.det(np.asarray(cell, dtype=float))) / (pairs * shells))
