"""Load the profile before a command runs, and only then, since `--help` does not need one; find its nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from aiida_dpasse.cli.refusal import Refusal

#: Largest integer of a database.
LARGEST_PK = 2**63 - 1

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


def find_node(identifier: str | int, otherwise: str) -> Any:
    """Return a node of the loaded profile.

    :param identifier: PK, UUID or label.
    :param otherwise: sentence for the user if there is no such node, or several.
    :raises Refusal: with that sentence.
    """
    from aiida import orm
    from aiida.common import MultipleObjectsError, NotExistent

    if not possible(identifier):
        raise Refusal(otherwise)
    try:
        return orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError) as error:
        raise Refusal(otherwise) from error


def possible(identifier: str | int) -> bool:
    """Return whether a database takes a PK, UUID or label; an error of the database would end AiiDA's session.

    :param identifier: a number beyond 64 bits or text that is not UTF-8 is no identifier.
    """
    text = str(identifier)
    if text.lstrip('-').isdecimal():
        return len(text) <= 20 and abs(int(text)) <= LARGEST_PK
    return text.isprintable() and text.strip() != ''
