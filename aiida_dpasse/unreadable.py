"""The error of every reader of a file."""

from __future__ import annotations


class UnreadableError(ValueError):
    """A file is not what its reader expects.

    The message is one sentence for people: it names the file, the line or key where one is known, and what to do.
    """
