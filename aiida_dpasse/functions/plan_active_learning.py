"""Turn the parameters of an active learning into those of its iterations."""

from __future__ import annotations

from copy import deepcopy

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import type_map_of
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_active_learning(parameters: orm.Dict, frames: FramesData) -> dict[str, orm.Data]:
    """Return ``split``, ``evaluate``, ``label``, ``convergence``, ``committee_000``..., ``explore_000``..., and, if
    the parameters have them, ``stages`` and ``conductivity``, which has one seed in all iterations.

    One committee more than explorations, for the final training. Each has a seed of its own, derived from
    ``seed``, and a type map, by default the elements of ``frames``, which stays the same in all iterations.
    """
    settings = parameters.get_dict()
    seed, iterations = settings['seed'], settings['max_active_iterations']
    committee = deepcopy(settings['committee'])
    model = committee['train']['input']['model']
    if not type_map_of(model):
        model['type_map'] = frames.elements
    plan = {
        'split': {'validation': settings['validation'], 'seed': derive_seed(seed, 'split')},
        'evaluate': {},
        'label': settings['label'],
        'convergence': settings['convergence'],
    }
    for index in range(iterations + 1):
        key = f'committee_{index:03d}'
        plan[key] = {**committee, 'seed': derive_seed(seed, key)}
    for index in range(iterations):
        key = f'explore_{index:03d}'
        plan[key] = {**settings['explore'], 'seed': derive_seed(seed, key)}
    if settings.get('conductivity'):
        # The same velocities each time: what changes is the potential.
        plan['conductivity'] = {**settings['conductivity'], 'seed': derive_seed(seed, 'conductivity')}
    stages = settings.get('stages')
    if stages:
        plan['convergence'] = {**plan['convergence'], 'stages': len(stages)}
    lists = {'stages': orm.List(stages)} if stages else {}
    return {key: orm.Dict(value) for key, value in plan.items()} | lists
