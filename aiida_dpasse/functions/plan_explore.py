"""Turn the parameters of an exploration into those of its runs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_explore(parameters: orm.Dict, **structures: orm.StructureData) -> dict[str, orm.Dict]:
    """Return the parameters of each run, ``md_000``..., and ``selection`` of the choice, ``supercell``.

    Every structure meets every temperature and pressure ``replicas`` times. Where that is more than ``runs``,
    so many are drawn by the seed, in turn from each structure, so that none is left out before another has
    two.
    """
    settings = parameters.get_dict()
    seed = settings['seed']
    conditions = list(product(settings['temperatures'], settings['pressures'], range(settings['replicas'])))
    queues = []
    for label in sorted(structures):
        order = np.random.default_rng(derive_seed(seed, 'conditions', label)).permutation(len(conditions))
        queues.append([(label, conditions[index]) for index in order])
    turns = [run for turn in zip(*queues, strict=True) for run in turn]
    plan: dict[str, orm.Dict] = {}
    runs: dict[str, dict[str, Any]] = {}
    for index, (structure, (temperature, pressure, _)) in enumerate(sorted(turns[: settings['runs']])):
        key = f'md_{index:03d}'
        condition = {'temperature': temperature, 'pressure': pressure}
        plan[key] = orm.Dict({**settings['md'], **condition, 'seed': derive_seed(seed, key)})
        runs[key] = {'structure': structure, **condition, 'steps': settings['md']['steps']}
    selection = {name: settings[name] for name in ('trust', 'max_candidates', 'max_per_structure')}
    selection['choice'] = settings.get('choice', 'random')
    selection['relative_deviation'] = settings['md'].get('relative_deviation')
    plan['selection'] = orm.Dict({**selection, 'seed': derive_seed(seed, 'selection'), 'runs': runs})
    plan['supercell'] = orm.Dict({'supercell': settings['supercell']})
    return plan
