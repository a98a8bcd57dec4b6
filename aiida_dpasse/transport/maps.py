"""Van Hove maps: self and distinct correlation functions over distance and time, binned coarsely enough to be stored.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.neighbours import reach
from aiida_dpasse.transport.vanhove import distinct_part, non_gaussian_parameter, self_part

Array = NDArray[np.float64]

#: Width of the bins in A, and number of lags, evenly spaced in their logarithm up to half the run.
WIDTH, LAGS = 0.2, 24
#: Approximate number of pairs evaluated for the distinct part: about ten seconds on one core.
PAIRS = 2e8
#: Largest and smallest number of time origins of the distinct part.
MOST_ORIGINS, FEWEST_ORIGINS = 50, 4
#: Maps averaged over runs, and their distance axes.
MAPS = {'self_per_A': 'self_r_A', 'distinct': 'distinct_r_A'}


def van_hove_maps(positions: Any, cell: Any, interval: float, farthest: float) -> dict[str, Array]:
    """Return 4 pi r^2 G_s, G_d and alpha_2; see `self_part`, `distinct_part` and `non_gaussian_parameter`.

    :param positions: (frames, ions, 3) A, unwrapped, relative to the framework.
    :param cell: lattice vectors as rows, (3, 3) A.
    :param interval: time between frames in ps.
    :param farthest: largest distance in A; the distinct part ends earlier if images would be counted twice.
    :returns: at the lags ``map_lag_ps`` (m,): ``self_per_A`` (m, k) on ``self_r_A`` (k,), ``distinct`` (m, l) on
        ``distinct_r_A`` (l,), absent if there is one ion only or the cell is too small, and ``non_gaussian`` (m,).
    """
    points = np.asarray(positions)
    frames, ions, _ = points.shape
    lags = np.unique(np.geomspace(1, max(frames // 2, 1), LAGS).round().astype(np.int64))
    alone = _edges(farthest)
    maps = {
        'map_lag_ps': lags * interval,
        'self_r_A': 0.5 * (alone[1:] + alone[:-1]),
        'self_per_A': self_part(points, lags, alone),
        'non_gaussian': np.asarray(non_gaussian_parameter(points, lags)),
    }
    pairs = _edges(min(farthest, reach(cell)))
    if ions > 1 and len(pairs) > 1:
        origins = int(np.clip(PAIRS / (len(lags) * ions**2), FEWEST_ORIGINS, MOST_ORIGINS))
        maps['distinct_r_A'] = 0.5 * (pairs[1:] + pairs[:-1])
        maps['distinct'] = distinct_part(points, cell, lags, pairs, origins)
    return maps


def average_maps(runs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the mean of the maps of several runs, truncated to the distances common to all.

    Runs without maps, or with other lags than the first, are skipped; empty if the first run has no maps.

    :param runs: maps of each run, as :func:`van_hove_maps` returns them.
    """
    first = runs[0] if runs else {}
    if 'map_lag_ps' not in first:
        return {}
    lags = first['map_lag_ps']
    alike = [
        run
        for run in runs
        if len(run.get('map_lag_ps', ())) == len(lags) and np.allclose(run['map_lag_ps'], lags, rtol=1e-6)
    ]
    found = {'map_lag_ps': lags, 'non_gaussian': np.mean([run['non_gaussian'] for run in alike], axis=0)}
    for name, place in MAPS.items():
        if all(name in run for run in alike):
            count = min(len(run[place]) for run in alike)
            found[place] = first[place][:count]
            found[name] = np.mean([run[name][:, :count] for run in alike], axis=0)
    return found


def _edges(farthest: float) -> Array:
    # The tolerance keeps the last bin of a distance that is a whole number of bins up to rounding.
    return np.asarray(WIDTH * np.arange(int(farthest / WIDTH + 1e-9) + 1))
