"""Shell lines from the entries of DP-GEN's machine.json, which end no line and start no command of their own.

DP-GEN writes these entries as they are, and users rely on ``$NAME`` and ``~``: these keep their meaning, and nothing
else has one.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r'(?:[\w@%+=:,./~^-]|\$\w+|\$\{\w+\})*', re.ASCII)
_NAME = re.compile(r'[A-Za-z_]\w*', re.ASCII)
#: What keeps a meaning between double quotes, but for the names of variables.
_ACTIVE = re.compile(r'[\\"`]|\$(?![A-Za-z_]|\{[A-Za-z_]\w*\})', re.ASCII)


def quote(text: str) -> str:
    """Return one word of the shell, in which the values of variables are filled in.

    :param text: any text.

    >>> [quote(text) for text in ('$HOME/bin', 'a b', '$(date)', "'a b'")]
    ['$HOME/bin', '"a b"', '"\\\\$(date)"', "'a b'"]
    """
    if _PLAIN.fullmatch(text):
        return text
    if len(text) > 1 and text[0] == text[-1] == "'" and "'" not in text[1:-1]:
        return text
    inner = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1] else text
    return '"' + _ACTIVE.sub(lambda match: f'\\{match[0]}', inner) + '"'


def words(text: str) -> str:
    """Return the words of a text, as arguments of one command.

    :param text: any text.

    >>> words('deepmd/3.2 cuda; date')
    'deepmd/3.2 "cuda;" date'
    """
    return ' '.join(quote(word) for word in text.split())


def assignment(name: str, value: str) -> str:
    """Return the line that assigns an environment variable.

    :param name: name of the variable.
    :param value: its value.
    :raises ValueError: if the name is none of a variable.

    >>> assignment('FLAGS', '-O3 -g')
    'export FLAGS="-O3 -g"'
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f'{name!r} is no name of a variable.')
    return f'export {name}={quote(value)}'
