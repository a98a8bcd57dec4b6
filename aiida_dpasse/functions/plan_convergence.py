"""Turn the parameters of a convergence study into those of its runs and analyses."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.plan_conductivity import watched
from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_convergence(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return ``supercell_<s>`` and ``md_<s>_<r>`` of every size and replica, and ``transport_<t>`` of every length.

    Every run is as long as the longest; shorter ones are its beginning, so that what they differ by is their length.
    """
    given = parameters.get_dict()
    ion = given.get('transport', {}).get('ion', 'Li')
    md = watched({**given['md'], 'steps': max(given['steps'])}, ion, None)
    plan: dict[str, Any] = {}
    for size, supercell in enumerate(given['supercells']):
        plan[f'supercell_{size:02d}'] = {'supercell': supercell}
        for replica in range(given['replicas']):
            seed = derive_seed(given['seed'], 'md', size, replica)
            plan[f'md_{size:02d}_{replica:02d}'] = {**md, 'temperature': given['temperature'], 'seed': seed}
    before, _ = total_steps(md)
    # Only coefficients are compared.
    analysis = {'ion': 'Li', **given.get('transport', {}), 'timestep': md.get('timestep', 1.0), 'van_hove_range': None}
    for length, steps in enumerate(given['steps']):
        plan[f'transport_{length:02d}'] = {**analysis, 'last_step': before + steps}
    return {key: orm.Dict(value) for key, value in plan.items()}
