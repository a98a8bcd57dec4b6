"""Extend a molecular dynamics run."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def lengthen_run(parameters: orm.Dict, analysis: orm.Dict) -> dict[str, orm.Dict]:
    """Double the production steps of a run and extend its analysis to the new end.

    With the working directory of the last segment as `restart_folder`, `dpasse.md` continues the run to the new length.

    :param parameters: parameters of `dpasse.md`.
    :param analysis: parameters of `dpasse.transport`.
    :returns: ``md`` with twice the ``steps``, and ``transport`` with ``last_step`` moved by the added steps.
    """
    steps = parameters['steps']
    return {
        'md': orm.Dict({**parameters.get_dict(), 'steps': 2 * steps}),
        'transport': orm.Dict({**analysis.get_dict(), 'last_step': analysis['last_step'] + steps}),
    }
