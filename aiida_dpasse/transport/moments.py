"""Displacement moments of one trajectory, from which D, D_sigma and their errors are computed.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import charge_scaled, collective_tensor, displacement_tensor

Array = NDArray[np.float64]


def moments(positions: Any, interval: float, charges: Any = None) -> dict[str, Array]:
    """Return the displacement moments of one run, for lags up to half its length.

    :param positions: (frames, ions, 3) A, of the carriers, unwrapped, relative to the framework's centre of mass.
    :param interval: time between frames in ps.
    :param charges: (ions,) in elementary charges; equal by default. The tracers are weighted by z^2.
    :returns: at ``lag_ps`` (m,): ``msd_A2`` and ``collective_A2`` (m, 3) per axis, ``cross_A2`` and
        ``collective_cross_A2`` (m, 3), the yz, xz and xy elements of the same tensors; at ``probe_ps`` (k,):
        ``quartic_A4`` (k,), see :func:`fourth_moment`, and ``shared`` (k,), see :func:`shared_motion`.
    :raises ValueError: if no ion carries a charge.
    """
    points = np.asarray(positions) if charges is None else charge_scaled(positions, charges)
    frames, ions, _ = points.shape
    count, probes = frames // 2 + 1, probe_lags(frames)
    tracer, whole = displacement_tensor(points, count), collective_tensor(points, np.ones(ions), count)
    return {
        'lag_ps': np.arange(count) * interval,
        'msd_A2': tracer[:, :3],
        'cross_A2': tracer[:, 3:],
        'collective_A2': whole[:, :3],
        'collective_cross_A2': whole[:, 3:],
        'probe_ps': probes * interval,
        'quartic_A4': np.array([fourth_moment(points, lag) for lag in probes]),
        'shared': np.array([shared_motion(points, lag) for lag in probes]),
    }


def probe_lags(frames: int, count: int = 16) -> NDArray[np.int64]:
    """Return lags (k,) in frames, evenly spaced in their logarithm from 1 to a third of the run.

    :param frames: number of frames.
    :param count: largest number of lags.
    """
    return np.unique(np.geomspace(1, max(frames // 3, 1), count).round().astype(np.int64))


def fourth_moment(positions: Any, lag: int) -> float:
    """Return <|r_i(t+lag) - r_i(t)|^4> in A^4 over ions and at most about 2000 evenly spaced origins.

    :param positions: (frames, ions, 3) A, unwrapped.
    :param lag: in frames.
    """
    steps = _steps(np.asarray(positions), lag, max(1, -(-(len(positions) - lag) // 2000)))
    return float(np.mean(np.einsum('fai,fai->fa', steps, steps) ** 2))


def shared_motion(positions: Any, lag: int) -> float:
    """Return N sum_{i != j} C_ij^2 / (sum_i C_ii)^2, a measure of the correlation between ions.

    C is the covariance of the ions' displacements over ``lag`` frames. The MSD of N ions is known only as well as that
    of N / (1 + s) independent ones, with s the number returned: 0 for independent ions, n - 1 for rigid clusters of n.
    The contribution of statistical noise to C_ij^2 is subtracted (as in the unbiased estimate of tr C^2: Srivastava, J.
    Jpn Stat. Soc. 35, 251, 2005).

    :param positions: (frames, ions, 3) A, unwrapped.
    :param lag: in frames; the origins are one lag apart.
    """
    steps = _steps(np.asarray(positions), lag, lag)
    _, ions, _ = steps.shape
    rows = np.moveaxis(steps, 1, 2).reshape(-1, ions)
    samples = len(rows)
    diagonal = np.mean(rows**2, axis=0)
    # Both Gram matrices give tr C^2; the smaller one is cheaper.
    gram = rows @ rows.T if samples < ions else rows.T @ rows
    off = float(np.sum(gram**2)) / samples**2 - float(np.sum(diagonal**2))
    total = float(np.sum(diagonal)) ** 2
    if total == 0 or ions < 2:
        return 0.0
    chance = (total - float(np.sum(diagonal**2))) / samples
    return max(0.0, ions * (off - chance) / (1 + 1 / samples) / total)


def _steps(points: Any, lag: int, stride: int) -> Array:
    """Return displacements over ``lag`` frames from every ``stride``-th origin."""
    return np.asarray(points[lag::stride] - points[: len(points) - lag : stride], dtype=float)
