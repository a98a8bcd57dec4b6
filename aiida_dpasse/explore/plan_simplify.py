"""Derive the parameters of the iterations of a simplification."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.plan_committee import by_iteration, committee_on
from aiida_dpasse.explore.simplify_parameters import SimplifyParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_simplify(parameters: orm.Dict, frames: FramesData) -> dict[str, Any]:
    """Derive the parameters of all iterations of a simplification.

    The initial frames are the validation part of `split_frames`, to which every formula contributes its share.

    :param parameters: `SimplifyParameters`.
    :param frames: labelled frames to choose from.
    :returns: ``runs``, the records of iterations and their steps by id; ``committee`` and ``select``, the parameters of
        each step by the same id, with seeds derived from ``seed``; ``split`` and ``evaluate``.
    """
    settings = SimplifyParameters.model_validate(parameters.get_dict())
    contents = {
        'committee': committee_on(settings.committee, frames),
        'select': settings.model_dump(include={'low', 'high', 'max_candidates', 'choice'}),
    }
    runs = Runs(
        Run(what, iteration=index)
        for index in range(settings.max_simplify_iterations)
        for what in ('iteration', *contents)
    )
    return {
        'runs': orm.Dict(runs.to_dict()),
        'split': orm.Dict({'validation': settings.initial, 'seed': derive_seed(settings.seed, 'split')}),
        'evaluate': orm.Dict({}),
        **by_iteration(runs, contents, settings.seed),
    }
