"""Turn the recipe of a distillation into the parameters of its steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.select_compounds import compounds_of
from aiida_dpasse.seeds import derive_seed

#: Nearest that a perturbation may bring two atoms, in A, where the recipe does not say.
CLOSEST = 1.0


@calcfunction
def plan_distill(parameters: orm.Dict, **structures: orm.StructureData) -> dict[str, orm.Dict]:
    """Return the parameters of each step by its key.

    ``perturb``, ``starts`` (drawn from the perturbed frames), ``md_000``..., ``perturb_samples``, ``label``,
    ``split``, ``train``, ``evaluate``, ``compounds`` and, if they are asked
    for, ``rounds`` and ``acceptance``. The runs differ in their seeds only.
    """
    settings = parameters.get_dict()
    seed, dynamics = settings['seed'], settings['dynamics']
    perturb = {name: settings[name] for name in ('supercell', 'scales', 'perturbations')}
    perturbed = len(structures) * len(settings['scales']) * settings['perturbations']['number']
    generator = np.random.default_rng(derive_seed(seed, 'starts'))
    starts = generator.choice(perturbed, size=dynamics['starts'], replace=False)
    plan: dict[str, dict[str, Any]] = {
        'perturb': {**perturb, 'seed': derive_seed(seed, 'perturb')},
        'starts': {'indices': [int(index) for index in starts]},
        'perturb_samples': {
            'closest': CLOSEST,
            **settings['sample_perturbations'],
            'seed': derive_seed(seed, 'perturb_samples'),
        },
        'label': settings['label'],
        'split': {**{'validation': 0, 'test': 0.1}, **settings.get('split', {}), 'seed': derive_seed(seed, 'split')},
        'train': {**settings['train'], 'seed': derive_seed(seed, 'train')},
        'evaluate': {},
        'compounds': {'compounds': compounds_of(structures.values())},
    }
    if settings.get('rounds') is not None:
        plan['rounds'] = settings['rounds']
    if settings.get('acceptance') is not None:
        plan['acceptance'] = {**settings['acceptance'], 'seed': derive_seed(seed, 'acceptance')}
    run = {**dynamics['md'], 'sample_interval': dynamics['md']['steps'] // dynamics['frames']}
    for index in range(dynamics['starts']):
        key = f'md_{index:03d}'
        plan[key] = {**run, 'seed': derive_seed(seed, key)}
    return {key: orm.Dict(value) for key, value in plan.items()}
