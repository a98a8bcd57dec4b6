"""The error of every reader of a file, and what all readers share: messages of libraries, and limits."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiida_dpasse.quoting import line

#: Number of characters of a message of a library that are repeated.
LONGEST = 200
#: Words of Python, and of libraries that advise their callers, which are of no use to who gave the file.
_PYTHON = re.compile(
    r'allow_pickle|NoneType|[a-z]Error\b|object at 0x|\bargument|unhashable|subscript|\bdict\b|iterable'
    r"|codec can't|<class|not supported between|attribute '|broadcast|unpack|list index|dtype|ndarray|invalid literal"
    r'|could not convert|errno|assert',
    re.IGNORECASE,
)


class UnreadableError(ValueError):
    """A file is not what its reader expects.

    The message is one sentence for people: it names the file, the line or key where one is known, and what to do.
    """


@contextmanager
def reading(what: str, advice: str = 'give a file that is whole, and of the format') -> Iterator[None]:
    """Name the file in the errors of the code that reads it, which may be of any type.

    :param what: the file, as it is shown, for example ``XDATCAR of run 1``.
    :param advice: what to do, a clause.
    :raises UnreadableError: for any exception; one that is an `UnreadableError` is kept.
    """
    try:
        yield
    except UnreadableError:
        raise
    except MemoryError as error:
        raise UnreadableError(f'`{line(what)}` needs more memory than there is: {advice}.') from error
    except Exception as error:
        raise UnreadableError(f'`{line(what)}` cannot be read: {reason(error)}: {advice}.') from error


def reason(error: BaseException | str) -> str:
    """Return the message of a library in one line, or that the file is damaged if the message says nothing to people.

    :param error: the exception, or its message.
    """
    text = line(' '.join(str(error).split())).rstrip('.:')
    if not text or _PYTHON.search(text) or isinstance(error, KeyError | AttributeError | RecursionError):
        return 'it is damaged, or of another format'
    return text if len(text) <= LONGEST else f'{text[:LONGEST]}...'


def check_regular(path: Path, name: str | None = None) -> None:
    """Check that a path leads to a file, not to a device or a pipe, which may never end.

    :param path: the path.
    :param name: how it is shown, by default its own name.
    :raises UnreadableError: if it is no regular file, or cannot be read.
    """
    shown = line(path.name if name is None else name)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        said = (isinstance(error, OSError) and error.strerror) or 'the path is not valid'
        raise UnreadableError(f'`{shown}` cannot be read ({said}): give another file.') from error
    if not stat.S_ISREG(mode):
        raise UnreadableError(f'`{shown}` is no regular file: give a file, not a folder, device or pipe.')
