"""Conditions of an exploration in stages."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.explore.active_learning_parameters import staged_parameters


@calcfunction
def stage_exploration(
    parameters: orm.Dict, stages: orm.List, iterations: orm.Dict | None = None
) -> dict[str, orm.Dict]:
    """Apply the conditions of the present stage to the parameters of an exploration.

    :param parameters: `ExploreParameters`.
    :param stages: content of `StageParameters` of each stage.
    :param iterations: table of the iterations so far, which contains the next stage; the first stage without it.
    :returns: ``parameters`` of the exploration and ``stage``, the index of the stage.
    """
    stage = 0 if iterations is None else iterations['next_stage']
    own = staged_parameters(parameters.get_dict(), stages[stage])
    return {'parameters': orm.Dict(own), 'stage': orm.Dict({'stage': stage})}
