"""Turn the parameters of a simplification into those of its iterations."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import type_map_of
from aiida_dpasse.explore.simplify_parameters import SimplifyParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_simplify(parameters: orm.Dict, frames: FramesData) -> dict[str, Any]:
    """Return ``runs``, the record of every iteration and of its steps; by their ids the parameters of each
    ``committee`` and ``select``, with seeds derived from ``seed``; and ``split`` and ``evaluate``.

    The first frames are what `split_frames` calls its validation part: every formula gives its share.
    """
    settings = SimplifyParameters.model_validate(parameters.get_dict())
    committee = settings.committee.model_dump()
    model = committee['train']['input']['model']
    if not type_map_of(model):
        model['type_map'] = frames.elements
    contents = {
        'committee': committee,
        'select': settings.model_dump(include={'low', 'high', 'max_candidates', 'choice'}),
    }
    runs = Runs(
        Run(what, iteration=index)
        for index in range(settings.max_simplify_iterations)
        for what in ('iteration', *contents)
    )
    plan: dict[str, Any] = {
        'runs': orm.Dict(runs.to_dict()),
        'split': orm.Dict({'validation': settings.initial, 'seed': derive_seed(settings.seed, 'split')}),
        'evaluate': orm.Dict({}),
    }
    for what, content in contents.items():
        plan[what] = {
            run.id: orm.Dict({**content, 'seed': derive_seed(settings.seed, what, run.iteration or 0)})
            for run in runs.select(what=what)
        }
    return plan
