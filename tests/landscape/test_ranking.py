"""The area under the ROC curve, by counting pairs, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.landscape.ranking import judge_ranking, roc_auc


@pytest.mark.parametrize('seed', range(5))
def test_the_area_is_the_part_of_the_pairs_in_order(seed):
    """With ties, which count one half, and infinite scores."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=40), 1)
    scores[:2] = -np.inf, np.inf
    positive = rng.random(40) < 0.3
    pairs = [(x > y) + 0.5 * (x == y) for x in scores[positive] for y in scores[~positive]]
    assert roc_auc(scores, positive) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_known_areas():
    """In order, in reverse, without any, and with one pair of four out of order."""
    classes = [False, False, True, True]
    assert roc_auc([1, 2, 3, 4], classes) == 1.0
    assert roc_auc([4, 3, 2, 1], classes) == 0.0
    assert roc_auc([1, 1, 1, 1], classes) == 0.5
    assert roc_auc([1, 3, 2, 4], classes) == 0.75


def test_the_interval_covers_the_true_area_as_often_as_it_says():
    """Scores of two normal distributions one standard deviation apart: the area is Phi(1 / sqrt 2) = 0.760."""
    rng = np.random.default_rng(0)
    positive = np.arange(90) < 30
    inside = 0
    for seed in range(100):
        found = judge_ranking(rng.normal(size=90) + positive, positive, seed, resamples=200)
        assert found.low <= found.auc <= found.high
        inside += found.low < 0.7602 < found.high
    # 0.95 of 100, within three standard deviations of the count.
    assert 89 <= inside <= 100


def test_the_seed_decides_the_interval():
    """The same seed gives the same interval."""
    scores, positive = [0.1, 0.4, 0.35, 0.8, 0.7, 0.2], [False, False, True, True, True, False]
    assert judge_ranking(scores, positive, 1) == judge_ranking(scores, positive, 1)
    perfect = judge_ranking([1, 2, 3, 4], [False, False, True, True], 1)
    assert (perfect.auc, perfect.low, perfect.high, perfect.positives, perfect.negatives) == (1, 1, 1, 2, 2)


@pytest.mark.parametrize(
    ('scores', 'positive', 'message'),
    [
        ([1, 2], [True, True], '2 positives and 0 negatives'),
        ([], [], '0 positives and 0 negatives'),
        ([1, np.nan], [True, False], '1 of 2 scores'),
    ],
)
def test_what_cannot_be_judged_is_refused(scores, positive, message):
    """One class, or a score that is not a number."""
    with pytest.raises(ValueError, match=message):
        judge_ranking(scores, positive, 1)
