"""Make a molecular dynamics longer."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def lengthen_run(parameters: orm.Dict, analysis: orm.Dict) -> dict[str, orm.Dict]:
    """Return ``md``, the parameters of `dpasse.md` with twice the steps of production, and ``transport``, those of the
    analysis up to the new end: with its working directory as `restart_folder` a run goes on where it ended.

    :param parameters: those of `dpasse.md`.
    :param analysis: those of `dpasse.transport`.
    """
    steps = parameters['steps']
    return {
        'md': orm.Dict({**parameters.get_dict(), 'steps': 2 * steps}),
        'transport': orm.Dict({**analysis.get_dict(), 'last_step': analysis['last_step'] + steps}),
    }
