"""Convert the parameters of a validation into its tests, relaxations and map."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.validate_parameters import ValidateParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed

#: All finite results of a calculator are compared: a validation rejects no frame because of a large error.
ADMIT = {'mode': 'audit', 'minimum_success': 0.0, 'dynamics': None, 'relaxation': None}


@calcfunction
def plan_validate(parameters: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, Any]:
    """Plan the tests, relaxations and the map of a validation.

    The kind of a run is ``evaluate`` for the test of a potential, ``label`` for that of a calculator, and ``relax`` for
    the relaxation of all structures with one of them.

    :param parameters: content of :class:`ValidateParameters`.
    :param inputs: ``potentials``, ``calculators``, ``test_sets`` and ``structures``, by label.
    :return: ``runs``; ``evaluate``, the parameters of each test of a potential by its id; ``label``, the parameters of
        the calculators; ``table``; with structures, ``relax`` and ``structures``; and, if a map is requested, ``map``
        and, for the descriptors of a potential, ``describe``.
    """
    settings = ValidateParameters.model_validate(parameters.get_dict())
    potentials, calculators = (sorted(inputs.get(name, {})) for name in ('potentials', 'calculators'))
    sets, shown = sorted(inputs.get('test_sets', {})), settings.descriptors
    pairs = [('evaluate', label) for label in potentials] + [('label', label) for label in calculators]
    runs = [
        Run(what, number, potential=label, data=name)
        for number, (what, label, name) in enumerate((what, label, name) for what, label in pairs for name in sets)
    ]
    label = {**ADMIT, 'batch_size': settings.batch_size}
    heads = {name: {'heads': {name: settings.heads[name]}} if name in settings.heads else {} for name in potentials}
    plan: dict[str, Any] = {
        'label': orm.Dict(label),
        'table': orm.Dict(settings.model_dump(include={'temperature_bin', 'parity_points', 'seed', 'temperatures'})),
        'evaluate': {run.id: orm.Dict(heads[str(run.potential)]) for run in runs if run.what == 'evaluate'},
    }
    if inputs.get('structures'):
        runs += [Run('relax', number, potential=name) for number, (_, name) in enumerate(pairs)]
        plan['relax'] = orm.Dict({**label, 'relaxation': settings.relaxation.model_dump()})
        plan['structures'] = orm.Dict({'decomposition': settings.decomposition})
    if shown is not None:
        plan['map'] = orm.Dict({**shown.model_dump(), 'seed': derive_seed(settings.seed, 'map')})
        if shown.potential is not None:
            runs.append(Run('describe', potential=shown.potential))
            plan['describe'] = orm.Dict({**heads[shown.potential], 'descriptors': True})
    return {'runs': orm.Dict(Runs(runs).to_dict()), **plan}
