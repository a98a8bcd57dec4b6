"""Split frames at random into training, validation and test parts."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.parameters.sizes import part_size
from aiida_dpasse.seeds import derive_seed


@calcfunction
def split_frames(frames: FramesData, parameters: orm.Dict) -> dict[str, FramesData]:
    """Split frames at random into ``training`` and, if requested, ``validation`` and ``test``.

    Every formula contributes its share, rounded by the largest remainder, so that a formula with enough frames is in
    each part.

    :param frames: frames to split.
    :param parameters: ``seed`` and the sizes ``validation`` and ``test``: a number of frames, or a fraction below 1.
    :returns: the frames of each part that is not empty.
    :raises ValueError: if no frame would remain for training.
    """
    groups = concatenate(frames.sets())
    total = sum(len(group) for group in groups)
    sizes = {part: part_size(parameters.get_dict().get(part, 0), total) for part in ('validation', 'test')}
    if sum(sizes.values()) >= total:
        raise ValueError(
            f'`validation` ({sizes["validation"]}) and `test` ({sizes["test"]}) leave none of {total} for training.'
        )
    orders = [
        np.random.default_rng(derive_seed(parameters['seed'], group.formula, *group.labels)).permutation(len(group))
        for group in groups
    ]
    parts: dict[str, list[FrameSet]] = {'training': [], 'validation': [], 'test': []}
    available = np.array([len(group) for group in groups])
    start = np.zeros(len(groups), dtype=int)
    for part, size in sizes.items():
        shares = _shares(size, available)
        for index, group in enumerate(groups):
            parts[part].append(group.take(np.sort(orders[index][start[index] : start[index] + shares[index]])))
        start, available = start + shares, available - shares
    for index, group in enumerate(groups):
        parts['training'].append(group.take(np.sort(orders[index][start[index] :])))
    return {part: FramesData.from_sets(sets) for part, sets in parts.items() if any(len(item) for item in sets)}


def _shares(size: int, available: np.ndarray) -> np.ndarray:
    exact = size * available / available.sum()
    shares = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - shares), kind='stable')[: size - shares.sum()]
    shares[rest] += 1
    return shares
