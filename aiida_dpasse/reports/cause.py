"""Why a node cannot be shown."""

from __future__ import annotations

import logging

from sqlalchemy.exc import SQLAlchemyError

from aiida_dpasse import quoting
from aiida_dpasse.unreadable import UnreadableError

#: Has the traceback of what is left out, at the level of debugging.
LOGGER = logging.getLogger(__name__)


def cause(error: Exception) -> str:
    """Return in words why a part of a report cannot be made.

    :param error: what was raised.
    :raises sqlalchemy.exc.SQLAlchemyError: if the database does not answer, which is no fault of a node.
    """
    if isinstance(error, SQLAlchemyError):
        raise error
    LOGGER.debug('A part of a report is left out.', exc_info=error)
    if isinstance(error, UnreadableError):
        return quoting.line(error)
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        return f'the entry `{quoting.line(error.args[0])[:80]}` is missing.'
    if isinstance(error, FileNotFoundError):
        return 'a file is missing.'
    return 'an entry is missing, or is not what it should be.'
