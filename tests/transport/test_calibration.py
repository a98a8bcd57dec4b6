"""The errors of D*, D_sigma and the Haven ratio: coverage over hundreds of trials, and no bias.

The larger table, with other programs on the same walks, is made by tests/benchmarks/transport_calibration.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[1] / 'benchmarks'))
from transport_calibration import INTERVAL, alternating, axes, caged, lattice, populations, reversing

from aiida_dpasse.transport.diffusion import pool, take_statistics


def estimates(case, trials):
    """Return value and error, relative to the truth, and whether the 68.3 % and 95 % intervals hold it, by quantity."""
    rng, tracer = np.random.default_rng(2), case.diffusivity / INTERVAL * 1e-4
    truths = {'tracer': tracer, 'collective': case.size * tracer, 'haven': 1 / case.size}
    found = {name: [] for name in truths}
    for _ in range(trials):
        result = pool([take_statistics(case.walk(rng), INTERVAL, 1000.0) for _ in range(case.runs)])
        for name, truth in truths.items():
            if (estimate := getattr(result, name)) is not None:
                inside = [low < truth < high for low, high in (estimate.interval(0.683), estimate.interval(0.95))]
                found[name].append((estimate.value / truth, estimate.error / truth, *inside))
    return {name: np.array(rows).T for name, rows in found.items()}


@pytest.mark.parametrize(
    ('case', 'trials'),
    [
        (lattice(400, 16, 0.1, 0.0), 200),
        (lattice(1000, 16, 0.1, 0.2), 200),
        (lattice(250, 400, 1 / 250, 0.2), 60),
        (lattice(1000, 8, 0.1, 0.2, size=4, runs=2), 100),
        (lattice(300, 6, 0.1, 0.2, size=3, runs=3), 150),
        (reversing(1000, 20, 0.1, 0.4), 60),
        (reversing(1000, 20, 0.1, 0.8), 60),
        (alternating(2000, 32, 0.1, 0.004), 40),
        (caged(3000, 16), 60),
        (axes(1000, 24, 1), 100),
        (axes(1000, 24, 2), 100),
        (populations(1000, 32), 60),
    ],
    ids=lambda value: value.name if hasattr(value, 'name') else None,
)
def test_intervals_cover_the_truth_and_nothing_is_biased(case, trials):
    """Bias of at most 3 % and coverage of 68.3 % and 95 %, within what the number of trials allows."""
    found = estimates(case, trials)
    assert found['tracer'].shape[1] == trials
    for name, (value, error, narrow, wide) in found.items():
        count = len(value)
        assert count > 0.9 * trials, name
        assert abs(value.mean() - 1) < (0.03 if name == 'tracer' else 0.05) + 3 * value.std() / count**0.5, name
        assert 0.75 < np.sqrt(np.mean(error**2)) / value.std() < 1.6, name
        for part, hits in ((0.683, narrow), (0.95, wide)):
            # Three standard deviations, and 4 % by which intervals of skewed distributions are misjudged.
            assert hits.sum() >= binom(count, part).ppf(0.0015) - 0.04 * count, (name, part)


def test_what_is_determined_does_not_depend_on_the_value():
    """The mean over all estimates, determined or not, is unbiased where half of them are undetermined."""
    rng, values, determined = np.random.default_rng(5), [], 0
    case = caged(600, 16)
    for _ in range(100):
        result = pool([take_statistics(case.walk(rng), INTERVAL, 1000.0)])
        values.append(result.estimate.value / (case.diffusivity / INTERVAL * 1e-4))
        determined += result.tracer is not None
        assert (result.upper_bound is None) == (result.tracer is not None)
    assert 5 < determined < 95
    assert abs(np.mean(values) - 1) < 0.1 + 3 * np.std(values) / 10
