"""Turn the parameters of an active learning into those of its iterations."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import type_map_of
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_active_learning(
    parameters: orm.Dict, frames: FramesData, **inputs: dict[str, orm.StructureData]
) -> dict[str, Any]:
    """Return ``runs``, the record of every iteration and of the child chains of each; by their ids the parameters of
    each ``committee`` and ``explore``; and ``split``, ``evaluate``, ``label``, ``convergence``, and, if the parameters
    have them, ``stages`` and ``conductivity``, which has one seed in all iterations.

    One committee more than explorations, for the final training. Each has a seed of its own, derived from
    ``seed``, and a type map, by default the elements of ``frames``, which stays the same in all iterations.

    :param inputs: the ``structures`` by label.
    """
    settings = ActiveLearningParameters.model_validate(parameters.get_dict())
    seed, explorations = settings.seed, range(settings.max_active_iterations)
    watched = sorted(inputs['structures']) if settings.conductivity is not None else []
    committee = settings.committee.model_dump()
    model = committee['train']['input']['model']
    if not type_map_of(model):
        model['type_map'] = frames.elements
    runs = Runs(
        [
            *(Run('explore', iteration=index) for index in explorations),
            *(
                run
                for index in range(settings.max_active_iterations + 1)
                for run in (
                    Run('iteration', iteration=index),
                    Run('committee', iteration=index),
                    *(Run('transport', n, structure=label, iteration=index) for n, label in enumerate(watched)),
                )
            ),
        ]
    )
    plan: dict[str, Any] = {
        'runs': orm.Dict(runs.to_dict()),
        'split': orm.Dict({'validation': settings.validation, 'seed': derive_seed(seed, 'split')}),
        'evaluate': orm.Dict({}),
        # What is left out stays left out: the programs that label have defaults of their own.
        'label': orm.Dict(settings.label.model_dump(exclude_unset=True)),
        'convergence': orm.Dict({**settings.convergence.model_dump(), 'stages': len(settings.stages or [None])}),
    }
    for what, content in (('committee', committee), ('explore', settings.explore.model_dump())):
        plan[what] = {
            run.id: orm.Dict({**content, 'seed': derive_seed(seed, what, run.iteration or 0)})
            for run in runs.select(what=what)
        }
    if settings.conductivity is not None:
        # The same velocities each time: what changes is the potential.
        own = {**settings.conductivity.model_dump(), 'seed': derive_seed(seed, 'conductivity')}
        plan['conductivity'] = orm.Dict(own)
    if settings.stages:
        plan['stages'] = orm.List([stage.model_dump() for stage in settings.stages])
    return plan
