"""Turn the parameters of initial data into those of its steps."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_initial_data(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return ``perturb``, what the perturbation takes, ``label`` and, if asked for, ``relax``, what the labelling chain
    takes."""
    settings = parameters.get_dict()
    seed = settings['seed']
    perturb = {name: settings[name] for name in ('supercell', 'scales', 'perturbations')}
    label = dict(settings['label'])
    if settings['dynamics'] is not None:
        label['dynamics'] = {**settings['dynamics'], 'seed': derive_seed(seed, 'dynamics')}
    relax = (
        {'relax': orm.Dict({**settings['label'], 'relaxation': settings['relax']})}
        if settings.get('relax') is not None
        else {}
    )
    return relax | {'perturb': orm.Dict({**perturb, 'seed': derive_seed(seed, 'perturb')}), 'label': orm.Dict(label)}
