"""Turn the parameters of an acceptance into those of its runs."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed

#: Who runs; both from the same velocities.
POTENTIALS = ('student', 'teacher')


@calcfunction
def plan_acceptance(parameters: orm.Dict, **structures: orm.StructureData) -> dict[str, orm.Dict]:
    """Return ``evaluate``, ``limits``, ``supercell``, and for every structure ``hot_<label>``, ``drift_<label>`` and
    ``conductivity`` as far as the parameters have them."""
    settings = parameters.get_dict()
    seed = settings['seed']
    plan: dict[str, Any] = {
        'evaluate': {},
        'limits': {
            'limits': settings['limits'],
            'rdf_cutoff': settings['rdf_cutoff'],
            'timestep': (settings.get('drift') or {}).get('timestep', 1.0),
        },
        'supercell': {'supercell': settings['supercell']},
    }
    for label in sorted(structures):
        for name in ('hot', 'drift'):
            if (md := settings.get(name)) is not None:
                plan[f'{name}_{label}'] = {**md, 'seed': derive_seed(seed, name, label)}
    if settings.get('conductivity') is not None:
        plan['conductivity'] = {**settings['conductivity'], 'seed': derive_seed(seed, 'conductivity')}
    return {key: orm.Dict(value) for key, value in plan.items()}
