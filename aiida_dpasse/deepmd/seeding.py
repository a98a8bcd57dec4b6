"""Seeds and elements of a training input: what a plan has to fill in before it is handed to a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from aiida_dpasse.seeds import derive_seed


def seed_input(training_input: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return ``training_input`` with a seed of its own for the descriptor, the fitting net and the order of the frames.

    Descriptor and fitting net that are left empty, as a fine-tuning may have them, stay empty: the pre-trained model
    brings its own.
    """
    seeded = deepcopy(dict(training_input))
    model = seeded.get('model', {})
    for part in ('descriptor', 'fitting_net'):
        if model.get(part):
            model[part]['seed'] = derive_seed(seed, part)
    seeded.setdefault('training', {})['seed'] = derive_seed(seed, 'training')
    return seeded


def fill_type_map(training_input: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
    """Return ``training_input`` with ``elements``, sorted, as the type map, where it has none."""
    filled = deepcopy(dict(training_input))
    model = filled.setdefault('model', {})
    model['type_map'] = list(model.get('type_map') or sorted(elements))
    return filled


def prepare_training(train: Mapping[str, Any], elements: Sequence[str], seed: int) -> dict[str, Any]:
    """Return the parameters of a training with its ``input`` seeded and its type map filled in."""
    return {**train, 'input': seed_input(fill_type_map(train['input'], elements), seed)}
