"""Convert the parameters of an acceptance test into those of its runs."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.distill.acceptance_parameters import AcceptanceParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed

#: Names of the potentials; their runs start from the same velocities.
POTENTIALS = ('student', 'teacher')


@calcfunction
def plan_acceptance(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, Any]:
    """Plan the runs and tests of an acceptance test.

    :param parameters: content of :class:`AcceptanceParameters`.
    :param inputs: the ``structures`` by label.
    :return: ``runs``: for each structure the long ``hot`` run of both potentials, the ``drift`` run of the student and
        the ``transport`` of both, and the tests ``against_teacher`` and ``against_reference``; ``md``, the parameters
        of each dynamics by its id; ``evaluate``, ``limits``, ``supercell`` and, if requested, ``conductivity``.
    """
    settings = AcceptanceParameters.model_validate(parameters.get_dict())
    seed, structures = settings.seed, sorted(inputs['structures'])
    both = [(label, name) for label in structures for name in POTENTIALS]
    # The two runs that are compared are adjacent, so that they run concurrently.
    hot = [Run('hot', n, structure=label, potential=name) for n, (label, name) in enumerate(both)]
    drift = [Run('drift', n, structure=label, potential='student') for n, label in enumerate(structures)]
    dynamics = {run: settings.hot for run in hot}
    if settings.drift is not None:
        dynamics |= {run: settings.drift for run in drift}
    runs = [*dynamics, Run('against_teacher'), Run('against_reference')]
    if settings.conductivity is not None:
        runs += [run.follow('transport') for run in hot]
    plan: dict[str, Any] = {
        'runs': orm.Dict(Runs(runs).to_dict()),
        'md': {
            run.id: orm.Dict({**md, 'seed': derive_seed(seed, run.what, str(run.structure))})
            for run, md in dynamics.items()
        },
        'evaluate': orm.Dict({}),
        'limits': orm.Dict(
            {
                'limits': settings.limits.model_dump(),
                'rdf_cutoff': settings.rdf_cutoff,
                'timestep': (settings.drift or {}).get('timestep', 1.0),
            }
        ),
        'supercell': orm.Dict({'supercell': settings.supercell}),
    }
    if settings.conductivity is not None:
        own = {**settings.conductivity.model_dump(), 'seed': derive_seed(seed, 'conductivity')}
        plan['conductivity'] = orm.Dict(own)
    return plan
