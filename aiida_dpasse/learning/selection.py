"""Selection of frames for labelling by the deviation among a committee of potentials.

The deviation of a frame is the largest over its atoms of the standard deviation of the force among the
committee, in eV/A: DP-GEN's criterion (Zhang et al., Comput. Phys. Commun. 253, 107206 (2020)), as LAMMPS
writes it in `max_devi_f`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ACCURATE, CANDIDATE, FAILED = 'accurate', 'candidate', 'failed'
CLASSES = (ACCURATE, CANDIDATE, FAILED)
MODES = ('fixed', 'adaptive', 'calibrated')
#: Smallest number of labelled frames for a calibration.
FEWEST_KNOWN = 10


def trust_levels(
    deviations: Any, trust: Mapping[str, Any], known: tuple[Any, Any] | None = None
) -> tuple[float, float]:
    """Return the lower and upper trust level in eV/A.

    Mode ``fixed`` returns ``low`` and ``high``. Mode ``adaptive`` multiplies both by the factor s = max(1, Q / low),
    with Q the quantile ``quantile`` of the deviations below ``explosion``: while the committee is inaccurate, that
    fraction of the frames counts as accurate and the next worse ones are selected first; as it improves the levels
    decrease towards ``low`` and ``high``, but never below. Mode ``calibrated`` interprets ``low`` and ``high`` as
    errors and divides both by
    :func:`error_per_deviation`. No level ever exceeds ``explosion``, and the result depends on the arguments only.

    :param deviations: (n,) eV/A, of the frames to be classified.
    :param trust: ``mode``, ``low``, ``high``, ``quantile`` and ``explosion``.
    :param known: deviations and true errors of frames labelled before, in eV/A, for the mode ``calibrated``.
    :raises ValueError: for an unknown mode.
    """
    low, high, explosion = (float(trust[name]) for name in ('low', 'high', 'explosion'))
    if trust['mode'] not in MODES:
        raise ValueError(f'`trust.mode` should be one of {", ".join(MODES)}, got {trust["mode"]!r}.')
    if trust['mode'] == 'adaptive':
        values = np.asarray(deviations, dtype=float)
        sound = values[np.isfinite(values) & (values < explosion)]
        if len(sound):
            factor = max(1.0, float(np.quantile(sound, trust['quantile'])) / low)
            low, high = factor * low, factor * high
    if trust['mode'] == 'calibrated' and known is not None:
        ratio = error_per_deviation(*known)
        if ratio is not None:
            low, high = low / ratio, high / ratio
    return min(low, explosion), min(high, explosion)


def error_per_deviation(deviations: Any, errors: Any) -> float | None:
    """Return the median ratio of error to deviation, or None for fewer than FEWEST_KNOWN frames.

    A committee trained on the same frames is overconfident: its deviation is smaller than its error, by a factor that
    differs between potentials. Frames with a non-finite value or zero deviation are excluded.

    :param deviations: (n,) eV/A.
    :param errors: (n,) eV/A.
    """
    spread, truth = np.asarray(deviations, dtype=float), np.asarray(errors, dtype=float)
    sound = np.isfinite(spread) & np.isfinite(truth) & (spread > 0)
    if np.count_nonzero(sound) < FEWEST_KNOWN:
        return None
    ratio = float(np.median(truth[sound] / spread[sound]))
    return ratio if ratio > 0 else None


def classify(deviations: Any, low: float, high: float) -> NDArray[np.str_]:
    """Return the class of each frame, (n,): accurate below ``low``, candidate below ``high``, else failed.

    A NaN deviation indicates an exploded frame, which is classified as failed.

    :param deviations: (n,) eV/A.
    :param low: lower trust level, eV/A.
    :param high: upper trust level, eV/A.
    """
    values = np.asarray(deviations, dtype=float)
    classes = np.full(values.shape, FAILED, dtype='U9')
    classes[values < high] = CANDIDATE
    classes[values < low] = ACCURATE
    return classes


def first_of_each(ids: Sequence[str] | NDArray[np.str_], known: set[str]) -> NDArray[np.bool_]:
    """Return the mask (n,) of the frames whose id is neither in ``known`` nor occurred before.

    :param ids: (n,), ids of the frames.
    :param known: ids to exclude.
    """
    seen = set(known)
    mask = np.zeros(len(ids), dtype=bool)
    for index, identity in enumerate(ids):
        mask[index] = str(identity) not in seen
        seen.add(str(identity))
    return mask


def choose(
    groups: Sequence[str] | NDArray[np.str_], seed: int, maximum: int, maximum_per_group: int | None = None
) -> NDArray[np.int64]:
    """Return the sorted indices of at most ``maximum`` frames, selected at random.

    :param groups: (n,), structure of each frame.
    :param seed: of the random selection.
    :param maximum: largest number of frames.
    :param maximum_per_group: largest number of frames per structure; unlimited by default.
    """
    taken: list[int] = []
    counts: Counter[str] = Counter()
    for index in np.random.default_rng(seed).permutation(len(groups)):
        group = str(groups[index])
        if len(taken) < maximum and (maximum_per_group is None or counts[group] < maximum_per_group):
            taken.append(int(index))
            counts[group] += 1
    return np.array(sorted(taken), dtype=np.int64)


def count_classes(classes: NDArray[np.str_]) -> dict[str, int]:
    """Return the number of frames ``sampled``, and of those in each class.

    :param classes: (n,), class of each frame.
    """
    return {'sampled': len(classes), **{name: int(np.count_nonzero(classes == name)) for name in CLASSES}}
