"""Turn the parameters of a committee into those of its members."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.functions.plan_training import training_settings
from aiida_dpasse.seeds import derive_seed


def without_seeds(tree: Any) -> Any:
    """Return a training input without its seeds, which would make all members equal."""
    if not isinstance(tree, dict):
        return tree
    return {key: without_seeds(value) for key, value in tree.items() if key != 'seed'}


@calcfunction
def plan_committee(
    parameters: orm.Dict, training_data: FramesData, **held_out: FramesData
) -> dict[str, orm.Dict]:
    """Return the training parameters of each member, ``member_00``..., which differ in their seeds only.

    A training input without a type map gets the elements of all frames; seeds that it has are replaced.
    """
    settings = parameters.get_dict()
    elements = sorted({element for node in (training_data, *held_out.values()) for element in node.elements})
    train = {**settings['train'], 'input': without_seeds(settings['train']['input'])}
    members = [f'member_{index:02d}' for index in range(settings['members'])]
    return {
        member: orm.Dict(training_settings(train, elements, derive_seed(settings['seed'], member)))
        for member in members
    }
