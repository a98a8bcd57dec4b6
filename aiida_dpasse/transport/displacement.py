"""Displacements of ions and their moments over all time origins.

Positions are (frames, ions, 3) in A, unwrapped, relative to the framework's centre of mass. Depends on numpy only,
since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Elements of a symmetric tensor, in Voigt order.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: Numbers transformed at a time, to bound the memory for many ions and frames.
PORTION = 2**18


def unwrap(scaled: Any, cells: Any) -> Array:
    """Return Cartesian, unwrapped positions (frames, atoms, 3) in A.

    Jumps are counted in fractional coordinates, so that a varying cell (NPT) does not contribute to them. No atom may
    move by half a cell or more between two frames.

    :param scaled: wrapped fractional coordinates (frames, atoms, 3).
    :param cells: lattice vectors as rows, (3, 3) or (frames, 3, 3) A.
    """
    fractional = np.asarray(scaled, dtype=float)
    jumps = np.zeros_like(fractional)
    jumps[1:] = -np.cumsum(np.round(np.diff(fractional, axis=0)), axis=0)
    lattice = np.broadcast_to(np.asarray(cells, dtype=float), (len(fractional), 3, 3))
    return np.asarray(np.einsum('fai,fij->faj', fractional + jumps, lattice))


def framework_weights(masses: Any, framework: Any) -> Array:
    """Return the weights (atoms,), normalised to 1, that give the centre of mass of the framework.

    :param masses: (atoms,) in any unit.
    :param framework: mask (atoms,) of the atoms that do not conduct; if it selects none, all atoms are used.
    """
    mask = np.asarray(framework, dtype=bool)
    weights = np.where(mask if mask.any() else True, np.asarray(masses, dtype=float), 0.0)
    return np.asarray(weights / weights.sum())


def remove_drift(positions: Any, masses: Any, framework: Any) -> tuple[Array, Array]:
    """Return positions relative to the framework's centre of mass, and the drift of that centre (frames, 3) in A.

    :param positions: unwrapped positions of all atoms (frames, atoms, 3) A.
    :param masses: (atoms,) in any unit.
    :param framework: mask (atoms,) of the atoms that do not conduct; if it selects none, all atoms are used.
    """
    points = np.asarray(positions, dtype=float)
    centre = np.einsum('fai,a->fi', points, framework_weights(masses, framework))
    drift = centre - centre[0]
    return points - drift[:, None], drift


def mean_square_displacement(positions: Any, count: int | None = None) -> Array:
    """Return the MSD <|r_i(t+tau) - r_i(t)|^2> per axis, (lags, 3) in A^2, over all ions and all time origins.

    Uses the fast Fourier transform (Calandrini et al., Collection SFN 12, 201, 2011). The spectra are summed over the
    ions before the inverse transform, which halves the number of transforms; the padding covers only the lags
    requested.

    :param positions: (frames, ions, 3) A, unwrapped, any numeric type.
    :param count: number of lags from 0 on; all by default.
    """
    points = np.asarray(positions)
    frames, ions, _ = points.shape
    count = frames if count is None else min(count, frames)
    length = _fast_length(frames + count - 1)
    spectra = np.zeros((3, length // 2 + 1))
    squares = np.zeros((3, frames))
    for part in _tracks(points, max(1, PORTION // length)):
        # Centring reduces the cancellation error in the difference of large squares.
        part -= part.mean(axis=2, keepdims=True)
        # Viewed as floats, real and imaginary parts alternate: the power is the sum of neighbouring squares.
        transformed = np.fft.rfft(part, n=length, axis=2).view(float)
        for axis in range(3):
            power = np.einsum('af,af->f', transformed[:, axis], transformed[:, axis])
            spectra[axis] += power[::2] + power[1::2]
            squares[axis] += np.einsum('af,af->f', part[:, axis], part[:, axis])
    correlation = np.fft.irfft(spectra, n=length, axis=1)[:, :count]
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum(squares, axis=1)], axis=1)
    origins = frames - np.arange(count)
    # Sums over origins of x(t)^2 and of x(t+lag)^2, for each lag.
    early, late = sums[:, origins], sums[:, -1:] - sums[:, :count]
    return np.asarray(((early + late - 2 * correlation) / (origins * ions)).T)


def _tracks(points: Any, batch: int) -> Iterator[Array]:
    """Yield the trajectories of ``batch`` ions at a time, (batch, 3, frames), contiguous in time."""
    frames, ions, _ = points.shape
    for start in range(0, ions, batch):
        part = points[:, start : start + batch]
        tracks = np.empty((part.shape[1], 3, frames))
        # Transposed in blocks of frames, so that source and target both stay in the processor's cache.
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


def charge_scaled(positions: Any, charges: Any) -> Array:
    """Return z_i r_i / <z^2>^(1/2), (frames, ions, 3) in A.

    The MSD of these positions is the z^2-weighted tracer MSD; that of their sum over N^(1/2) is the collective MSD. Any
    number of carrier species is thus treated as one.

    :param positions: (frames, ions, 3) A, unwrapped.
    :param charges: (ions,) in units of the elementary charge.
    :raises ValueError: if no ion is charged.
    """
    z = np.asarray(charges, dtype=float)
    if not np.any(z):
        raise ValueError('No ion carries a charge: give at least one that is not zero.')
    return np.asarray(positions, dtype=float) * (z / np.sqrt(np.mean(z**2)))[:, None]


def collective_displacement(positions: Any, charges: Any, count: int | None = None) -> Array:
    """Return sum_ij z_i z_j <dr_i dr_j> / (N <z^2>) per axis, (lags, 3) in A^2.

    :param positions: (frames, ions, 3) A, unwrapped.
    :param charges: (ions,) in units of the elementary charge; any number of species.
    :param count: number of lags from 0 on; all by default.
    """
    points, z = np.asarray(positions, dtype=float), np.asarray(charges, dtype=float)
    dipole = np.einsum('fai,a->fi', points, z)
    return mean_square_displacement(dipole[:, None], count) / np.sum(z**2)
