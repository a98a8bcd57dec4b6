"""Descriptors of the landscapes of all mobile ions of a crystal (Maevskiy et al., arXiv 2411.06804)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

#: Shifts in eV of the threshold over which a free volume is averaged.
SHIFTS = (-0.04, -0.02, 0.0, 0.02, 0.04)
#: Threshold in eV of the descriptor Xi.
THRESHOLD = 0.5


def free_volume(lowest: ArrayLike, threshold: float, shifts: Sequence[float] = SHIFTS) -> float:
    """Return the fraction of voxels that some ion finds below a threshold.

    Of the energies above the minimum of each ion it is FV_disc, of their level maps FV_conn.

    :param lowest: (n_1, n_2, n_3) eV, the minimum over the ions.
    :param threshold: eV.
    :param shifts: eV; the fraction is averaged over the thresholds shifted by each of them.
    """
    values = np.asarray(lowest, dtype=float)
    return float(np.mean([(values < threshold + shift).mean() for shift in shifts]))


def ranking_descriptor(connected: float, disconnected: float) -> float:
    """Return Xi = S[10 (log10 FV_conn + 2)] S[10 (log10 FV_disc + 1.15)], with S(x) = 1 / (1 + exp(-x)).

    :param connected: FV_conn at `THRESHOLD`.
    :param disconnected: FV_disc at `THRESHOLD`.

    >>> round(ranking_descriptor(0.01, 1.0), 3)
    0.5
    """
    return _rise(connected, 2.0) * _rise(disconnected, 1.15)


def _rise(fraction: float, shift: float) -> float:
    # exp(-10 (log10 f + s)), which is infinite for a volume of zero.
    return 0.0 if fraction <= 0 else 1 / (1 + math.exp(min(-10 * (math.log10(fraction) + shift), 700.0)))
