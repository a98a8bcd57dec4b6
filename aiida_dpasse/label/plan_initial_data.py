"""Derive the parameters of the steps of initial data."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.label.initial_data_parameters import InitialDataParameters
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_initial_data(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Derive the parameters of each step of the initial data.

    :param parameters: `InitialDataParameters`.
    :returns: ``perturb``, the parameters of `perturb_structures`; ``label`` and, if requested, ``relax``, parameters of
        `LabelWorkChain`; if requested, ``contacts``, the parameters of `close_contacts`, and ``label_contacts`` of
        their labels.
    """
    settings = InitialDataParameters.model_validate(parameters.get_dict()).model_dump(mode='json')
    seed, label = settings['seed'], settings['label']
    perturb = {name: settings[name] for name in ('supercell', 'scales', 'perturbations')}
    steps = {'perturb': orm.Dict({**perturb, 'seed': derive_seed(seed, 'perturb')})}
    if settings['relax'] is not None:
        steps['relax'] = orm.Dict({**label, 'relaxation': settings['relax']})
    if settings['contacts'] is not None:
        contacts = {name: settings[name] for name in ('supercell', 'contacts')}
        calculations = 1 if settings['dynamics'] is None else 1 + settings['dynamics']['steps']
        steps['contacts'] = orm.Dict({**contacts, 'seed': derive_seed(seed, 'contacts')})
        steps['label_contacts'] = orm.Dict({**label, 'batch_size': label['batch_size'] * calculations})
    if settings['dynamics'] is not None:
        label = {**label, 'dynamics': {**settings['dynamics'], 'seed': derive_seed(seed, 'dynamics')}}
    return {**steps, 'label': orm.Dict(label)}
