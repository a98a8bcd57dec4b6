"""How frames are split, where some parts may be handed in."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any


def split_settings(split: Mapping[str, Any], seed: int, held_out: Container[str]) -> dict[str, Any]:
    """Return the parameters of `split_frames`: nothing is split off for a part that is in ``held_out``.

    >>> split_settings({'validation': 0.1, 'test': 20}, 7, {'test_data': None})
    {'validation': 0.1, 'test': 0, 'seed': 7}
    """
    sizes = {part: 0 if f'{part}_data' in held_out else split[part] for part in ('validation', 'test')}
    return {**sizes, 'seed': seed}
