"""Turn the parameters of a committee into those of its members."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


def member_parameters(train: dict[str, Any], seed: int, member: str) -> dict[str, Any]:
    """Return ``train`` with its own seeds for the weights and the order of the data of ``member``."""
    parameters = deepcopy(train)
    model = parameters['input']['model']
    for part in ('descriptor', 'fitting_net'):
        model[part]['seed'] = derive_seed(seed, member, part)
    parameters['input']['training']['seed'] = derive_seed(seed, member, 'training')
    return parameters


@calcfunction
def plan_committee(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return the training parameters of each member, ``member_00``..., which differ in their seeds only."""
    settings = parameters.get_dict()
    members = [f'member_{index:02d}' for index in range(settings['members'])]
    return {member: orm.Dict(member_parameters(settings['train'], settings['seed'], member)) for member in members}
