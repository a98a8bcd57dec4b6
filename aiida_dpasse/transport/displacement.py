"""Displacements of ions and their mean squares over all time origins.

Positions are (frames, ions, 3) in A, unwrapped, relative to the framework's centre of mass. Needs numpy only, since it
travels with a driver to the machine where the trajectory lies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def unwrap(scaled: Any, cells: Any) -> Array:
    """Return Cartesian, unwrapped positions (frames, atoms, 3) in A.

    :param scaled: wrapped fractional coordinates (frames, atoms, 3).
    :param cells: lattice vectors as rows, (3, 3) or (frames, 3, 3) in A. The jumps are counted in fractional
        coordinates, so that a cell that changes (NPT) does not add to them; no atom may move half a cell in one frame.
    """
    fractional = np.asarray(scaled, dtype=float)
    jumps = np.zeros_like(fractional)
    jumps[1:] = -np.cumsum(np.round(np.diff(fractional, axis=0)), axis=0)
    lattice = np.broadcast_to(np.asarray(cells, dtype=float), (len(fractional), 3, 3))
    return np.asarray(np.einsum('fai,fij->faj', fractional + jumps, lattice))


def framework_weights(masses: Any, framework: Any) -> Array:
    """Return the weights (atoms,), of sum 1, that give the centre of mass of the framework.

    :param masses: (atoms,) in any unit.
    :param framework: mask (atoms,) of the atoms that do not conduct; with none of them, all atoms are taken.
    """
    mask = np.asarray(framework, dtype=bool)
    weights = np.where(mask if mask.any() else True, np.asarray(masses, dtype=float), 0.0)
    return np.asarray(weights / weights.sum())


def remove_drift(positions: Any, masses: Any, framework: Any) -> tuple[Array, Array]:
    """Return positions relative to the framework's centre of mass, and that centre's way (frames, 3) in A.

    :param positions: unwrapped positions of all atoms (frames, atoms, 3); masses and framework as in
        :func:`framework_weights`.
    """
    points = np.asarray(positions, dtype=float)
    centre = np.einsum('fai,a->fi', points, framework_weights(masses, framework))
    drift = centre - centre[0]
    return points - drift[:, None], drift


def _square_displacement(tracks: Array) -> Array:
    """Mean over origins of the squared displacement of each track at every lag, by FFT; tracks are (frames, n)."""
    frames = len(tracks)
    centred = tracks - tracks[0]
    spectrum = np.fft.rfft(centred, n=2 * frames, axis=0)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), n=2 * frames, axis=0)[:frames]
    squares = np.concatenate([np.zeros((1, tracks.shape[1])), np.cumsum(centred**2, axis=0)])
    counts = frames - np.arange(frames)
    # Sum over origins of x(t)^2 and of x(t+lag)^2, for each lag.
    early, late = squares[counts], squares[-1] - squares[:frames][np.arange(frames)]
    return np.asarray((early + late - 2 * correlation) / counts[:, None])


def mean_square_displacement(positions: Any) -> Array:
    """Return the mean square displacement per axis, (frames, 3) in A^2, over all ions and all time origins.

    <|r_i(t+tau) - r_i(t)|^2>, by fast Fourier transform (Calandrini et al., Collection SFN 12, 201, 2011).
    """
    points = np.asarray(positions, dtype=float)
    frames, ions, _ = points.shape
    total = np.zeros((frames, 3))
    # In portions, so that many ions over many frames stay within bounded memory.
    for start in range(0, ions, 64):
        part = points[:, start : start + 64]
        total += _square_displacement(part.reshape(frames, -1)).reshape(frames, -1, 3).sum(axis=1)
    return total / ions


def collective_square_displacement(positions: Any, charges: Any) -> Array:
    """Return |sum_i z_i dr_i|^2 / (N <z^2>) per axis, (frames, 3) in A^2, over all time origins.

    :param charges: (ions,) in units of the elementary charge; any number of species.
    """
    points, z = np.asarray(positions, dtype=float), np.asarray(charges, dtype=float)
    dipole = np.einsum('fai,a->fi', points, z)
    return _square_displacement(dipole) / np.sum(z**2)
