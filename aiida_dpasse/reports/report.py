"""Tables and plots of any process, generated from its nodes alone: an imported archive gives the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.reports.broken import drawn
from aiida_dpasse.reports.chain import chain_svg
from aiida_dpasse.reports.graph import LONGEST_MESSAGE, call_tree, cut_short
from aiida_dpasse.reports.registry import outcome, pictures_in, tables_in
from aiida_dpasse.reports.tables import Table, phases_table
from aiida_dpasse.reports.timing import clock, phase_times
from aiida_dpasse.whole import whole_files

#: Name of the file with the tables.
REPORT = 'report.txt'


def report_text(process: orm.ProcessNode) -> str:
    """Return the tables of a process as text.

    :param process: any process.
    """
    tree = call_tree(process.pk)
    top = tree[0]
    ended = top.state if top.exit_status is None else f'{top.state} [{top.exit_status}]'
    head = [f'{top.name} {top.uuid[:8]}  {ended}  {clock(top.seconds())}']
    message = top.exit_message or quoting.lines(str(process.exception or '')[:LONGEST_MESSAGE])
    tables = [table for table in (phases_table(phase_times(tree)), *tables_in(process)) if table.rows]
    sentences = _sentences(tables)
    # What a table contains is not repeated above it, and what the exit message contains not below it.
    lines = [line for line in outcome(process) if line not in message and not any(s in line for s in sentences)]
    head += [quoting.paragraph(shorter)] if (shorter := _without(message, sentences)) else []
    head += cut_short(tree)
    parts = ['\n'.join(block) for block in (head, lines) if block]
    return '\n\n'.join([*parts, *(table.render() for table in tables)])


def _sentences(tables: Iterable[Table]) -> list[str]:
    """Return the cells of at least five words, the longest first."""
    cells = {quoting.line(cell) for table in tables for row in table.rows for cell in row if isinstance(cell, str)}
    return sorted((cell for cell in cells if len(cell.split()) >= 5), key=lambda cell: (-len(cell), cell))


def _without(message: str, sentences: Iterable[str]) -> str:
    """Return a message without some of its sentences, each of which may follow a temperature and a colon."""
    kept = message
    for sentence in sentences:
        kept = re.sub(rf'(\S{{1,12}} K: )?{re.escape(sentence)}', '', kept)
    # A traceback keeps its line breaks.
    return message if kept == message else ' '.join(kept.split())


def write_report(process: orm.ProcessNode, directory: str | Path) -> list[Path]:
    """Write the plots and tables of a process and, for a work chain, the diagram of its phases.

    The files of an earlier report are replaced. All files are written, or none if there is an error.

    :param process: any process.
    :param directory: folder of the files, created if necessary.
    :return: the paths of the files.
    :raises OSError: if they cannot be written.
    """
    directory = Path(directory)
    with whole_files(directory, overwrite=True) as partial:
        written = pictures_in(process, partial)
        if isinstance(process, orm.WorkChainNode) and partial / 'provenance.svg' not in written:
            written.append(drawn(partial / 'provenance.svg', _write, lambda: chain_svg(process)))
        written.append(_write(partial / REPORT, report_text(process) + '\n'))
    return [directory / path.name for path in written]


def _write(path: Path, content: str) -> Path:
    path.write_text(content, encoding='utf8')
    return path
