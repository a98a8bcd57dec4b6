"""Power spectra of the displacements between frames: the diffusion coefficient as a function of frequency.

With x the position along an axis and dt the time between frames, D(f) = <|dx(f)|^2> / (2 dt), averaged over ions; its
limit at zero frequency is the diffusion coefficient. The transform is the discrete sine transform of the first kind,
which diagonalises the covariance of the displacements of a Brownian walker whose positions are blurred by white noise
(Vestergaard, Blainey and Flyvbjerg, Phys. Rev. E 89, 022726, 2014): its coefficients are independent, and the rattling
of ions at high frequencies does not leak into low ones.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import VOIGT

Array = NDArray[np.float64]

#: Number of bins per octave in which frequencies are averaged.
BINS_PER_OCTAVE = 12
#: Longer runs are thinned to at most this many displacements: the motion within a thinned step is averaged, not lost.
MOST_STEPS = 4096
#: Numbers transformed at a time, to bound the memory for many ions and frames.
PORTION = 2**20


def power(positions: Any, interval: float) -> dict[str, Array]:
    """Return the power spectra of one run.

    :param positions: (frames, ions, 3) A, of the carriers, unwrapped, relative to the framework's centre of mass.
    :param interval: time between frames in ps.
    :returns: ``step_ps`` (): time dt of a displacement; for each bin: ``order`` (b, 2), first and last order k, at the
        frequency k / (2 (n + 1) dt) for n displacements, n being the last order; ``power_A2_ps`` (b, ions): D(f) of
        each ion, mean over the axes; ``tracer_power_A2_ps`` and ``collective_power_A2_ps`` (b, 6): tensors in Voigt
        order, of the mean over the ions and of their collective motion; ``half_order`` (h, 2) and ``half_power_A2_ps``
        (2, h, ions): the same of each ion in both halves of the run.
    :raises ValueError: if there are fewer than two frames.
    """
    points = np.asarray(positions)
    if len(points) < 2:
        raise ValueError(f'{len(points)} frames show no displacement: give at least two.')
    stride = -(-(len(points) - 1) // MOST_STEPS)
    points = points[::stride]
    steps, ions = len(points) - 1, points.shape[1]
    edges = bin_edges(steps)
    starts, widths = edges[:-1] - 1, np.diff(edges)
    each, tracer = np.empty((len(widths), ions)), np.zeros((len(widths), 6))
    whole = np.zeros((steps, 3))
    batch = max(1, PORTION // (6 * steps))
    for first in range(0, ions, batch):
        part = sine_transform(np.diff(points[:, first : first + batch], axis=0))
        whole += part.sum(axis=1)
        for column, (i, j) in enumerate(VOIGT):
            binned = np.add.reduceat(part[..., i] * part[..., j], starts, axis=0) / widths[:, None]
            tracer[:, column] += binned.sum(axis=1) / ions
            if i == j:
                each[:, first : first + batch] = binned / 3 + (each[:, first : first + batch] if column else 0.0)
    collective = np.stack([whole[:, i] * whole[:, j] for i, j in VOIGT], axis=1) / ions
    collective = np.add.reduceat(collective, starts, axis=0) / widths[:, None]
    step = interval * stride
    return {
        'step_ps': np.array(step),
        'order': np.stack([edges[:-1], edges[1:] - 1], axis=1),
        'power_A2_ps': each / (2 * step),
        'tracer_power_A2_ps': tracer / (2 * step),
        'collective_power_A2_ps': collective / (2 * step),
        **_halves(points, step),
    }


def _halves(points: Any, step: float) -> dict[str, Array]:
    """Return the power of each ion in both halves of the run, two empty ones if they are too short."""
    steps = (len(points) - 1) // 2
    edges = bin_edges(steps)
    widths = np.diff(edges)
    both = np.empty((2, len(widths), points.shape[1]))
    batch = max(1, PORTION // (6 * max(steps, 1)))
    for half, start in enumerate((0, len(points) - 1 - steps) if steps else ()):
        for first in range(0, points.shape[1], batch):
            moves = np.diff(points[start : start + steps + 1, first : first + batch], axis=0)
            squares = np.mean(sine_transform(moves) ** 2, axis=2)
            both[half, :, first : first + batch] = np.add.reduceat(squares, edges[:-1] - 1, axis=0) / widths[:, None]
    return {
        'half_order': np.stack([edges[:-1], edges[1:] - 1], axis=1),
        'half_power_A2_ps': both / (2 * step),
    }


def bin_edges(steps: int) -> NDArray[np.int64]:
    """Return the first order of each bin, and one more than the last: 1, 2, 3, ..., then at equal ratios.

    :param steps: number of displacements, the highest order.
    """
    edges = [1]
    while edges[-1] <= steps:
        edges.append(max(edges[-1] + 1, round(edges[-1] * 2 ** (1 / BINS_PER_OCTAVE))))
    edges[-1] = steps + 1
    return np.array(edges)


def sine_transform(displacements: Any) -> Array:
    """Return the orthonormal discrete sine transform of the first kind along the first axis.

    X_k = sqrt(2 / (n + 1)) sum_m x_m sin(pi k m / (n + 1)) for k and m from 1 to n.

    :param displacements: (n, ...).
    """
    x = np.asarray(displacements, dtype=float)
    n = len(x)
    # The sum is minus the imaginary part of the Fourier transform of x, preceded by one zero and padded to 2 (n + 1).
    padded = np.concatenate([np.zeros((1, *x.shape[1:])), x])
    return np.asarray(-np.fft.rfft(padded, n=2 * (n + 1), axis=0)[1 : n + 1].imag * np.sqrt(2 / (n + 1)))
