"""Displacement statistics of one trajectory, from which D, D_sigma and their errors are computed.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.displacement import charge_scaled, collective_displacement, mean_square_displacement
from aiida_dpasse.transport.spectrum import power

Array = NDArray[np.float64]


def moments(positions: Any, interval: float, charges: Any = None, species: Any = None) -> dict[str, Any]:
    """Return mean square displacements for lags up to half the run, and the power spectra of the displacements.

    :param positions: (frames, ions, 3) A, of the carriers, unwrapped, relative to the framework's centre of mass.
    :param interval: time between frames in ps.
    :param charges: (ions,) in elementary charges; equal by default. The tracers are weighted by z^2.
    :param species: (ions,), equal for ions that are alike; by default the charges.
    :returns: at ``lag_ps`` (m,): ``msd_A2`` and ``collective_A2`` (m, 3) per axis; ``species`` (ions,), numbered; and
        the arrays of :func:`power`.
    :raises ValueError: if no ion carries a charge, or there are fewer than two frames.
    """
    points = np.asarray(positions) if charges is None else charge_scaled(positions, charges)
    frames, ions, _ = points.shape
    count = frames // 2 + 1
    labels = charges if species is None else species
    numbers = (
        np.zeros(ions, dtype=np.int64) if labels is None else np.unique(np.asarray(labels), return_inverse=True)[1]
    )
    return {
        'lag_ps': np.arange(count) * interval,
        'msd_A2': mean_square_displacement(points, count),
        'collective_A2': collective_displacement(points, np.ones(ions), count),
        'species': numbers,
        **power(points, interval),
    }
