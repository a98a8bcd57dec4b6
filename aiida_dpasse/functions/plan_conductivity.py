"""One Dict for every child of a conductivity."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.plan_watch import selection
from aiida_dpasse.seeds import derive_seed

#: Follows the label of a structure in the runs of its larger cell.
LARGE = 'large'


@calcfunction
def plan_conductivity(parameters: orm.Dict, **nodes: orm.Data) -> dict[str, orm.Dict]:
    """Return ``supercell``, ``transport`` and, for every structure, temperature and replica, ``md_<label>_<t>_<r>``.

    ``runs`` lists these, so that those that fail can be named. Temperatures are numbered as they stand in
    ``parameters``; every run has its own seed. With `finite_size` there are ``supercell_large`` and
    ``md_<label>_large_<t>_<r>`` too; with a committee, the ``selection`` of candidates.

    :param nodes: structures, by label, and the potentials of a committee, whose deviation is watched then.
    """
    given = parameters.get_dict()
    structures = sorted(label for label, node in nodes.items() if isinstance(node, orm.StructureData))
    committee = any(isinstance(node, DeepPotentialData) for node in nodes.values())
    trust = given.get('trust') if committee else None
    md = watched(given['md'], given.get('transport', {}).get('ion', 'Li'), trust)
    plan: dict[str, Any] = {
        'supercell': {'supercell': given['supercell']},
        'transport': {'ion': 'Li', **given.get('transport', {}), 'timestep': given['md'].get('timestep', 1.0)},
    }
    for label in structures:
        for index, temperature in enumerate(given['temperatures']):
            for replica in range(given['replicas']):
                seed = derive_seed(given['seed'], 'md', label, index, replica)
                plan[f'md_{label}_{index:02d}_{replica:02d}'] = {**md, 'temperature': temperature, 'seed': seed}
    runs = {'runs': [key.removeprefix('md_') for key in plan if key.startswith('md_')]}
    if size := given.get('finite_size'):
        plan['supercell_large'] = {'supercell': size['supercell']}
        index = given['temperatures'].index(size['temperature'])
        larger = {
            f'{label}_{LARGE}_{index:02d}_{replica:02d}': derive_seed(given['seed'], 'large', label, index, replica)
            for label in structures
            for replica in range(size.get('replicas') or given['replicas'])
        }
        plan |= {f'md_{run}': {**md, 'temperature': size['temperature'], 'seed': s} for run, s in larger.items()}
        runs['large'] = list(larger)
    plan['runs'] = runs
    if trust:
        origins = {run: {'structure': run.rsplit('_', 2)[0]} for names in runs.values() for run in names}
        settings = {**md, 'seed': derive_seed(given['seed'], 'candidates')}
        plan['selection'] = selection(trust, settings, origins)
    return {key: orm.Dict(value) for key, value in plan.items()}


def watched(md: dict[str, Any], ion: str, trust: dict[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a dynamics with the mobile ion, and the committee's limit if any, in their watch."""
    watch = {'mobile': [ion], **md['watch']} if md.get('watch') else None
    if trust is None:
        return {**md, 'watch': watch}
    limits = {name: value for name, value in trust.items() if name != 'interval'}
    watch = {**(watch or {'mobile': [ion]}), 'deviation': limits}
    return {'sample_interval': trust['interval'], **md, 'watch': watch}
