"""Turn the parameters of a simplification into those of its iterations."""

from __future__ import annotations

from copy import deepcopy

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import type_map_of
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_simplify(parameters: orm.Dict, frames: FramesData) -> dict[str, orm.Dict]:
    """Return ``split``, ``evaluate``, ``committee_000``..., ``select_000``...; each with a seed derived from ``seed``.

    The first frames are what `split_frames` calls its validation part: every formula gives its share.
    """
    settings = parameters.get_dict()
    seed = settings['seed']
    committee = deepcopy(settings['committee'])
    model = committee['train']['input']['model']
    if not type_map_of(model):
        model['type_map'] = frames.elements
    plan = {'split': {'validation': settings['initial'], 'seed': derive_seed(seed, 'split')}, 'evaluate': {}}
    choice = {name: settings[name] for name in ('low', 'high', 'max_candidates', 'choice')}
    for index in range(settings['max_simplify_iterations']):
        for name, content in (('committee', committee), ('select', choice)):
            key = f'{name}_{index:03d}'
            plan[key] = {**content, 'seed': derive_seed(seed, key)}
    return {key: orm.Dict(value) for key, value in plan.items()}
