"""Make a molecular dynamics longer."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def lengthen_run(parameters: orm.Dict) -> orm.Dict:
    """Return the parameters of `dpasse.md` with twice the steps of production: with its working directory as
    `restart_folder` a run goes on where it ended."""
    return orm.Dict({**parameters.get_dict(), 'steps': 2 * parameters['steps']})
