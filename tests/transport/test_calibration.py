"""What the errors of D, D_sigma and H promise, they keep: coverage over hundreds of trials, and no bias.

The larger table, with other programs beside, is made by tests/benchmarks/transport_calibration.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from walks import caged_walk, lattice_walk

from aiida_dpasse.transport.diffusion import pool, take_statistics
from aiida_dpasse.transport.fit import choose_windows, fit_msd

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


@pytest.mark.parametrize('axes', [(1.0, 0.0, 0.0), (1.0, 0.2, 0.2)])
def test_motion_along_one_axis_is_known_less_well(axes):
    """Ions along one axis scatter as much as a third as many along three, and the error says so."""
    rng, scores, bends = np.random.default_rng(5), [], []
    truth = 0.25 * sum(axes) / (6 * 0.1) * 1e-4
    for _ in range(150):
        walk = np.cumsum(rng.normal(scale=0.5 * np.sqrt(axes), size=(1000, 24, 3)), axis=0)
        result = pool([take_statistics(walk, 0.1, 1000.0)], LENGTH)
        assert result.verdict.diffusive
        scores.append((result.tracer.value - truth) / result.tracer.error)
        bends.append(result.fit.curvature[0] / result.fit.curvature[1])
    assert abs(np.mean(scores)) < 0.3
    assert 0.8 < np.std(scores) < 1.15
    assert 0.8 < np.std(bends) < 1.15


def test_filling_a_cage_is_no_diffusion():
    """Where cages are filled in 2 ps and left every 49 ps, hops count: the first window is four times too fast."""
    rng, ratios, first = np.random.default_rng(6), [], []
    rate, truth = 0.1 / 49.0, 1e-4 / 6
    for _ in range(40):
        run = take_statistics(caged_walk(rng, 1500, 24, rate, 7.0, width=1.3, relaxation=20), 0.1, 1000.0)
        result, msd = pool([run], LENGTH), run.msd.sum(axis=1)
        window = next(choose_windows(run.lags, msd, LENGTH, run.duration))
        first.append(fit_msd(run.lags, msd, window, run.frames, run.interval, 24, 3, LENGTH).slope * 1e-4 / 6 / truth)
        if result.verdict.diffusive and result.tracer is not None:
            ratios.append(result.tracer.value / truth)
    assert len(ratios) > 20
    assert np.mean(first) > 3.5
    assert 0.95 < np.mean(ratios) < 1.2


def test_a_run_that_sees_little_but_the_cage_tells_no_diffusion():
    """Left every 120 ps and watched for 60: once in ten runs at most it is taken for diffusion."""
    rng, told = np.random.default_rng(7), 0
    for _ in range(40):
        run = take_statistics(caged_walk(rng, 600, 24, 0.1 / 120, 7.0, width=1.3, relaxation=20), 0.1, 1000.0)
        result = pool([run], LENGTH)
        told += result.verdict.diffusive
    assert told <= 4
