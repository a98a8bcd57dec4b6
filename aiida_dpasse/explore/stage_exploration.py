"""The conditions of one exploration of a loop whose exploration grows."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.merging import merge


@calcfunction
def stage_exploration(
    parameters: orm.Dict, stages: orm.List, iterations: orm.Dict | None = None
) -> dict[str, orm.Dict]:
    """Return ``parameters`` of the exploration with the conditions of its stage laid over them, and ``stage``.

    :param stages: ``temperatures`` (K), ``pressures`` (GPa) and ``steps`` of each, what is null left as it was.
    :param iterations: the table of the iterations so far, which knows the next stage; without one it is the first.
    """
    stage = 0 if iterations is None else iterations['next_stage']
    wanted = {name: value for name, value in stages[stage].items() if value is not None}
    steps = wanted.pop('steps', None)
    own = merge(wanted, {'md': {'steps': steps}} if steps else {})
    return {'parameters': orm.Dict(merge(parameters.get_dict(), own)), 'stage': orm.Dict({'stage': stage})}
