"""Turn the parameters of an active learning into those of its iterations."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_active_learning(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return ``split``, ``evaluate``, ``label``, ``convergence``, ``committee_000``..., ``explore_000``...

    One committee more than explorations, for the final training. Each has a seed of its own, derived from
    ``seed``.
    """
    settings = parameters.get_dict()
    seed, iterations = settings['seed'], settings['max_active_iterations']
    plan = {
        'split': {'validation': settings['validation'], 'seed': derive_seed(seed, 'split')},
        'evaluate': {},
        'label': settings['label'],
        'convergence': settings['convergence'],
    }
    for index in range(iterations + 1):
        key = f'committee_{index:03d}'
        plan[key] = {**settings['committee'], 'seed': derive_seed(seed, key)}
    for index in range(iterations):
        key = f'explore_{index:03d}'
        plan[key] = {**settings['explore'], 'seed': derive_seed(seed, key)}
    return {key: orm.Dict(value) for key, value in plan.items()}
