"""Conditions of an exploration in stages."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.merging import merge


@calcfunction
def stage_exploration(
    parameters: orm.Dict, stages: orm.List, iterations: orm.Dict | None = None
) -> dict[str, orm.Dict]:
    """Apply the conditions of the present stage to the parameters of an exploration.

    :param parameters: `ExploreParameters`.
    :param stages: ``temperatures`` (K), ``pressures`` (GPa) and ``steps`` of each stage; null keeps the value.
    :param iterations: table of the iterations so far, which contains the next stage; the first stage without it.
    :returns: ``parameters`` of the exploration and ``stage``, the index of the stage.
    """
    stage = 0 if iterations is None else iterations['next_stage']
    wanted = {name: value for name, value in stages[stage].items() if value is not None}
    steps = wanted.pop('steps', None)
    own = merge(wanted, {'md': {'steps': steps}} if steps else {})
    return {'parameters': orm.Dict(merge(parameters.get_dict(), own)), 'stage': orm.Dict({'stage': stage})}
