"""What a report shows of a damaged node: one line, and all the rest of the report.

An archive of others may lack entries and files, or hold anything in their place. Each part of a report is made on its
own; one that cannot be made is replaced by a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.reports.cause import cause
from aiida_dpasse.reports.drawing import Item, draw
from aiida_dpasse.reports.tables import Table

T = TypeVar('T')


def lines_of(process: orm.ProcessNode, *makers: Callable[[], Iterable[object]]) -> list[str]:
    """Return the lines of several parts of a report, each as one line.

    :param process: the process.
    :param makers: functions that return lines; one that fails gives a sentence.
    """
    return [quoting.line(line) for line in _each(makers, lambda reason: f'{_name(process)} is damaged: {reason}')]


def tables_of(process: orm.ProcessNode, *makers: Callable[[], Iterable[Table]]) -> list[Table]:
    """Return the tables of several parts of a report.

    :param process: the process.
    :param makers: functions that return tables; one that fails gives a table with a sentence.
    """
    return _each(makers, lambda reason: Table('Not shown', ('process', 'reason'), [(_name(process), reason)]))


def drawn(path: Path, plot: Callable[..., object], *arguments: object) -> Path:
    """Draw a picture; if it cannot be drawn, the picture says why.

    :param path: path of the picture.
    :param plot: function that draws, whose first argument is the path.
    :param arguments: its other arguments; a function is called for its result.
    :returns: the path.
    """
    try:
        plot(path, *(argument() if callable(argument) else argument for argument in arguments))
    except Exception as error:
        reason = f'This picture cannot be drawn: {cause(error)}'
        if path.suffix == '.svg':
            path.write_text(draw([Item('nothing', 'Not drawn', [reason], 'failed')], []), encoding='utf8')
            return path
        from aiida_dpasse.reports.style import note, picture

        with picture(path) as figure:
            axes = figure.subplots()
            axes.set_axis_off()
            note(axes, quoting.plot(reason))
    return path


def _each(makers: Iterable[Callable[[], Iterable[T]]], instead: Callable[[str], T]) -> list[T]:
    found: list[T] = []
    for make in makers:
        try:
            found += list(make())
        except Exception as error:
            found.append(instead(cause(error)))
    return found


def _name(process: orm.ProcessNode) -> str:
    return f'{process.process_label}<{process.pk}>'
