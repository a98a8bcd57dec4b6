"""What a plan fills into the parameters of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_dpasse.deepmd.training_input import fill_seeds, type_map_of


def training_settings(train: Mapping[str, Any], elements: Sequence[str], seed: int) -> dict[str, Any]:
    """Return the parameters of a training with every seed filled in, and ``elements`` as type map where it has none.

    Empty sections of the model go: a fine-tuning takes them from the pre-trained potential, seeds and all.
    """
    model = {name: section for name, section in train['input'].get('model', {}).items() if section}
    if not type_map_of(model):
        model['type_map'] = list(elements)
    return {**train, 'input': fill_seeds({**train['input'], 'model': model}, seed)}
