"""Derive the parameters of the iterations of an active learning."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.explore.plan_committee import by_iteration, committee_on
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_active_learning(
    parameters: orm.Dict, frames: FramesData, **inputs: dict[str, orm.StructureData]
) -> dict[str, Any]:
    """Derive the parameters of all iterations of an active learning.

    There is one more committee than explorations, for the final training. Each committee and exploration has its own
    seed, derived from ``seed``. The type map, by default the elements of ``frames``, is the same in all iterations.

    :param parameters: `ActiveLearningParameters`.
    :param frames: initial labelled frames.
    :param inputs: namespace ``structures``, by label.
    :returns: ``runs``, the records of iterations and their child chains by id; ``committee`` and ``explore``, the
        parameters of each child by the same id; ``split``, ``evaluate``, ``label`` and ``convergence``; and, if set,
        ``stages`` and ``conductivity``, whose seed is the same in all iterations.
    """
    settings = ActiveLearningParameters.model_validate(parameters.get_dict())
    seed, explorations = settings.seed, range(settings.max_active_iterations)
    watched = sorted(inputs['structures']) if settings.conductivity is not None else []
    contents = {
        'committee': committee_on(settings.committee, frames),
        'explore': settings.explore.model_dump(),
    }
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
        # Unset fields are omitted, because the labelling programs have their own defaults.
        'label': orm.Dict(settings.label.model_dump(exclude_unset=True)),
        'convergence': orm.Dict({**settings.convergence.model_dump(), 'stages': len(settings.stages or [None])}),
        **by_iteration(runs, contents, seed),
    }
    if settings.conductivity is not None:
        # Equal initial velocities in all iterations, so that only the potential changes.
        own = {**settings.conductivity.model_dump(), 'seed': derive_seed(seed, 'conductivity')}
        plan['conductivity'] = orm.Dict(own)
    if settings.stages:
        plan['stages'] = orm.List([stage.model_dump() for stage in settings.stages])
    return plan
