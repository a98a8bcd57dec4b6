"""Quoting of text from files, nodes and archives of others, by the place that it enters.

Such text is a name, a reason or a message that nobody has checked. It may contain line breaks that forge a row of a
table, escape sequences that clear the screen, marks that reverse the direction of a line, or characters that no XML
file may contain. Each function returns text that shows all of it and does nothing.
"""

from __future__ import annotations

import html
import unicodedata

#: Unicode categories that are shown by their code: controls, invisible and direction marks, surrogates, private and
#: unassigned characters, separators of lines and of paragraphs.
_INVISIBLE = {'Cc', 'Cf', 'Cs', 'Co', 'Cn', 'Zl', 'Zp'}


def line(text: object) -> str:
    r"""Return text for one line of a terminal or of a text file: ``\n`` and an escape become ``\x0a`` and ``\x1b``.

    :param text: any text, or a value of which the text is shown.
    """
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return ''.join(character if _visible(character) else _code(character) for character in shown)


def lines(text: object) -> str:
    """Return text of several lines, which keeps its line breaks and nothing else of what :func:`line` replaces.

    :param text: any text.
    """
    return '\n'.join(line(part) for part in str(text).split('\n'))


def paragraph(text: object) -> str:
    """Return text of several lines inside a text of our own: all but its first line are marked as belonging to it.

    A message that contains a table of its own is then seen to be a message.

    :param text: any text.
    """
    return '\n  | '.join(line(part) for part in str(text).split('\n'))


def xml(text: object) -> str:
    """Return the content of an element or of an attribute of an SVG or HTML file.

    :param text: any text.
    """
    return html.escape(line(text))


def plot(text: object) -> str:
    r"""Return text for matplotlib, which would read what stands between two ``$`` as a formula.

    :param text: any text. A legend leaves out names that begin with ``_``: a space stands before it.
    """
    shown = line(text).replace('$', r'\$')
    return f' {shown}' if shown.startswith('_') else shown


def _visible(character: str) -> bool:
    return (character.isascii() and character.isprintable()) or unicodedata.category(character) not in _INVISIBLE


def _code(character: str) -> str:
    number = ord(character)
    return f'\\x{number:02x}' if number < 0x100 else f'\\u{number:04x}' if number < 0x10000 else f'\\U{number:08x}'
