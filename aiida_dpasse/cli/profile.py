"""Load the profile before a command runs, and only then, since `--help` does not need one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec('P')
R = TypeVar('R')


def with_profile(command: Callable[P, R]) -> Callable[P, R]:
    """Load the default profile before ``command`` unless a profile is loaded already.

    :param command: the command to wrap.
    :raises aiida.common.ConfigurationError: without a profile; `main` converts it into a message.
    """

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from aiida import load_profile
        from aiida.manage import get_manager

        if get_manager().get_profile() is None:
            load_profile()
        return command(*args, **kwargs)

    return wrapped
