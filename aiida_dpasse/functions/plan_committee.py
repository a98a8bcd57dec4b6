"""Turn the parameters of a committee into those of its members."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


def without_seeds(tree: Any) -> Any:
    """Return a training input without its seeds, which would make all members equal."""
    if not isinstance(tree, dict):
        return tree
    return {key: without_seeds(value) for key, value in tree.items() if key != 'seed'}


@calcfunction
def plan_committee(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return the training parameters of each member, ``member_00``..., which differ in ``seed`` only.

    Seeds within the training input are taken out: the training fills them from its own.
    """
    settings = parameters.get_dict()
    train = {**settings['train'], 'input': without_seeds(settings['train']['input'])}
    members = [f'member_{index:02d}' for index in range(settings['members'])]
    return {key: orm.Dict({**train, 'seed': derive_seed(settings['seed'], key)}) for key in members}
