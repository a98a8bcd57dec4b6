"""What the errors of D, D_sigma and H promise, they keep: coverage over hundreds of trials, and no bias.

The larger table, with other programs beside, is made by tests/benchmarks/transport_calibration.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from walks import lattice_walk

from aiida_dpasse.transport.diffusion import pool, take_statistics

TRIALS, LENGTH, INTERVAL = 400, 2.5, 0.05


@pytest.mark.parametrize(
    ('frames', 'walkers', 'size', 'runs', 'rate', 'noise'),
    [
        (400, 16, 1, 1, 0.10, 0.0),
        (400, 8, 4, 1, 0.10, 0.0),
        (1000, 16, 1, 1, 0.05, 0.2),
        (300, 6, 3, 3, 0.10, 0.2),
    ],
)
def test_intervals_cover_the_truth_and_nothing_is_biased(frames, walkers, size, runs, rate, noise):
    """68 % and 95 %, by the error as much as by the interval, within what 400 trials allow."""
    rng = np.random.default_rng(frames + size)
    tracer = rate * LENGTH**2 / (6 * INTERVAL) * 1e-4
    truths = {'tracer': tracer, 'collective': size * tracer, 'haven': 1 / size}
    found = {name: [] for name in truths}
    for _ in range(TRIALS):
        walks = [lattice_walk(rng, frames, walkers, rate, LENGTH, size, noise) for _ in range(runs)]
        result = pool([take_statistics(walk, INTERVAL, 1000.0) for walk in walks], LENGTH)
        for name, truth in truths.items():
            if (estimate := getattr(result, name)) is not None:
                inside = [low < truth < high for low, high in (estimate.interval(0.683), estimate.interval(0.95))]
                found[name].append((estimate.value / truth, estimate.error / truth, *inside))
    for name, rows in found.items():
        # Whether a value is told does not depend on it: all trials of one kind tell it.
        assert len(rows) > 0.97 * TRIALS, name
        value, error, narrow, wide = np.array(rows).T
        assert abs(value.mean() - 1) < 3.5 * value.std() / np.sqrt(len(rows)), name
        score = np.abs(value - 1) / error
        for part, hits in ((0.683, score < 1), (0.95, score < 1.96), (0.683, narrow), (0.95, wide)):
            chance = binom(len(rows), part)
            # Three standard deviations, and the 2 % by which symmetric bounds misjudge a skewed distribution.
            assert chance.ppf(0.0015) - 0.02 * len(rows) <= hits.sum() <= chance.ppf(0.9985) + 0.02 * len(rows), name
