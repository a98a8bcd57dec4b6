"""Displacements of ions and their moments over all time origins.

Positions are (frames, ions, 3) in A, unwrapped, relative to the framework's centre of mass. Needs numpy only, since it
travels with a driver to the machine where the trajectory lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The products of axes that make a symmetric tensor, in Voigt's order.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: Numbers that are transformed at a time: many ions over many frames stay within bounded memory.
PORTION = 2**18


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


def _products(points: Any, pairs: tuple[tuple[int, int], ...], count: int | None) -> Array:
    """Return the mean over tracks and origins of the products of displacements at ``count`` lags, (count, pairs).

    By fast Fourier transform (Calandrini et al., Collection SFN 12, 201, 2011). The spectra are summed over the tracks
    before they are turned back, which saves half of the transforms; what is padded is only what the lags asked for
    would otherwise wrap around.

    :param points: (frames, ions, 3), any kind of number.
    :param count: number of lags from 0 on; all by default.
    """
    frames, ions, _ = points.shape
    count = frames if count is None else min(count, frames)
    length = _fast_length(frames + count - 1)
    spectra = np.zeros((len(pairs), length // 2 + 1))
    squares = np.zeros((len(pairs), frames))
    for part in _tracks(points, max(1, PORTION // length)):
        # Near zero less is lost in the difference of large squares.
        part -= part.mean(axis=2, keepdims=True)
        # Real and imaginary parts follow each other.
        transformed = np.fft.rfft(part, n=length, axis=2).view(float)
        for row, (i, j) in enumerate(pairs):
            power = np.einsum('af,af->f', transformed[:, i], transformed[:, j])
            spectra[row] += power[::2] + power[1::2]
            squares[row] += np.einsum('af,af->f', part[:, i], part[:, j])
    correlation = np.fft.irfft(spectra, n=length, axis=1)[:, :count]
    sums = np.concatenate([np.zeros((len(pairs), 1)), np.cumsum(squares, axis=1)], axis=1)
    origins = frames - np.arange(count)
    # Sum over origins of x(t) y(t) and of x(t+lag) y(t+lag), for each lag.
    early, late = sums[:, origins], sums[:, -1:] - sums[:, :count]
    return np.asarray(((early + late - 2 * correlation) / (origins * ions)).T)


def _tracks(points: Any, batch: int) -> Iterator[Array]:
    """Yield the tracks of ``batch`` ions at a time, (batch, 3, frames), contiguous in time."""
    frames, ions, _ = points.shape
    for start in range(0, ions, batch):
        part = points[:, start : start + batch]
        tracks = np.empty((part.shape[1], 3, frames))
        # Some frames at a time: what is read and what is written then both stay in the processor's cache.
        for first in range(0, frames, 512):
            tracks[:, :, first : first + 512] = np.moveaxis(part[first : first + 512], 0, 2)
        yield tracks


def _fast_length(least: int) -> int:
    """Return the smallest product of powers of 2, 3 and 5 that is even and not below ``least``."""
    best = 1 << (least - 1).bit_length()
    for five in (1, 5, 25, 125):
        for three in (1, 3, 9, 27):
            power = max(2, 1 << max(0, -(-least // (five * three)) - 1).bit_length())
            best = min(best, five * three * power) if five * three * power >= least else best
    return max(best, 2)


def mean_square_displacement(positions: Any, count: int | None = None) -> Array:
    """Return <|r_i(t+tau) - r_i(t)|^2> per axis, (frames, 3) in A^2, over all ions and all time origins.

    :param count: number of lags from 0 on; all by default.
    """
    return _products(np.asarray(positions), VOIGT[:3], count)


def displacement_tensor(positions: Any, count: int | None = None) -> Array:
    """Return the mean products of displacements, (frames, 6) in A^2: xx, yy, zz, yz, xz, xy."""
    return _products(np.asarray(positions), VOIGT, count)


def charge_scaled(positions: Any, charges: Any) -> Array:
    """Return z_i r_i / <z^2>^(1/2), (frames, ions, 3) in A, whose moments are those of the charge that moves.

    Its mean square displacement is that of the tracers, weighted by z^2; that of its sum over N^(1/2) is the collective
    one. So any number of species of carriers are treated as one.

    :param charges: (ions,) in units of the elementary charge.
    :raises ValueError: if no ion is charged.
    """
    z = np.asarray(charges, dtype=float)
    if not np.any(z):
        raise ValueError('No ion carries a charge: give at least one that is not zero.')
    return np.asarray(positions, dtype=float) * (z / np.sqrt(np.mean(z**2)))[:, None]


def collective_tensor(positions: Any, charges: Any, count: int | None = None) -> Array:
    """Return sum_ij z_i z_j <dr_i dr_j> / (N <z^2>), (frames, 6) in A^2: xx, yy, zz, yz, xz, xy.

    :param charges: (ions,) in units of the elementary charge; any number of species.
    """
    points, z = np.asarray(positions, dtype=float), np.asarray(charges, dtype=float)
    dipole = np.einsum('fai,a->fi', points, z)
    return _products(dipole[:, None], VOIGT, count) / np.sum(z**2)


def collective_square_displacement(positions: Any, charges: Any) -> Array:
    """Return |sum_i z_i dr_i|^2 / (N <z^2>) per axis, (frames, 3) in A^2, over all time origins."""
    return collective_tensor(positions, charges)[:, :3]
