"""One Dict for every child of a conductivity."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_conductivity(parameters: orm.Dict, **structures: orm.StructureData) -> dict[str, orm.Dict]:
    """Return ``supercell``, ``transport`` and, for every structure, temperature and replica, ``md_<label>_<t>_<r>``.

    ``runs`` lists these, so that those that fail can be named. Temperatures are numbered as they stand in
    ``parameters``; every run has its own seed.
    """
    given = parameters.get_dict()
    plan: dict[str, Any] = {
        'supercell': {'supercell': given['supercell']},
        'transport': {'ion': 'Li', **given.get('transport', {}), 'timestep': given['md'].get('timestep', 1.0)},
    }
    for label in sorted(structures):
        for index, temperature in enumerate(given['temperatures']):
            for replica in range(given['replicas']):
                seed = derive_seed(given['seed'], 'md', label, index, replica)
                run = {**given['md'], 'temperature': temperature, 'seed': seed}
                plan[f'md_{label}_{index:02d}_{replica:02d}'] = run
    plan['runs'] = {'runs': [key.removeprefix('md_') for key in plan if key.startswith('md_')]}
    return {key: orm.Dict(value) for key, value in plan.items()}
