"""Shell scripts of this package, as text for the script of a job."""

from __future__ import annotations

import shlex
from importlib.resources import files


def shell_script(name: str, **variables: str | float) -> str:
    """Return a script of this package, preceded by the assignment of its variables.

    :param name: file name of the script.
    :param variables: values by the name of the shell variable.
    """
    lines = [f'{variable}={shlex.quote(str(value))}' for variable, value in variables.items()]
    return '\n'.join([*lines, files(__package__).joinpath(name).read_text()])
