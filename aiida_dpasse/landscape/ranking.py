"""Quality of a ranking against measured classes: the area under the ROC curve, with an interval by bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


@dataclass(frozen=True)
class Ranking:
    """Area under the ROC curve.

    :param auc: probability that a positive has a higher score than a negative; a tie counts one half.
    :param low: lower end of the interval.
    :param high: upper end of the interval.
    :param positives: number of positives.
    :param negatives: number of negatives.
    """

    auc: float
    low: float
    high: float
    positives: int
    negatives: int


def roc_auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Return the area under the ROC curve, the statistic of Mann and Whitney over the number of pairs.

    :param scores: (n,), higher for those that are expected to be positive; infinite ones are in order, too.
    :param positive: (n,), whether each is.
    :raises ValueError: if all are positive, or none is, or a score is not a number.
    """
    values, classes = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    count, others = int(classes.sum()), int((~classes).sum())
    if not count or not others:
        raise ValueError(f'a ranking is judged by both classes, got {count} positives and {others} negatives')
    if np.isnan(values).any():
        raise ValueError(f'{int(np.isnan(values).sum())} of {len(values)} scores are no numbers')
    above = rankdata(values)[classes].sum() - count * (count + 1) / 2
    return float(above / (count * others))


def judge_ranking(
    scores: ArrayLike, positive: ArrayLike, seed: int, resamples: int = 2000, confidence: float = 0.95
) -> Ranking:
    """Return the area under the ROC curve with its interval.

    Positives and negatives are drawn with replacement, each as many as there are, and the interval is that of the
    percentiles. It holds for the choice of the materials, not for errors of their labels.

    :param scores: (n,), higher for those that are expected to be positive.
    :param positive: (n,), whether each is.
    :param seed: seed of the draws.
    :param resamples: number of draws.
    :param confidence: of the interval.
    :raises ValueError: as `roc_auc`.
    """
    values, classes = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    auc = roc_auc(values, classes)
    rng = np.random.default_rng(seed)
    good, bad = values[classes], values[~classes]
    drawn_classes = np.arange(len(values)) < len(good)
    drawn = [
        roc_auc(np.concatenate([rng.choice(good, len(good)), rng.choice(bad, len(bad))]), drawn_classes)
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Ranking(auc, float(low), float(high), len(good), len(bad))
