"""Tables and plots of any process, generated from its nodes alone: an imported archive gives the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from aiida import orm

from aiida_dpasse.reports.chain import chain_svg
from aiida_dpasse.reports.graph import call_tree
from aiida_dpasse.reports.registry import report_of
from aiida_dpasse.reports.tables import Table, phases_table
from aiida_dpasse.reports.timing import clock, phase_times


def report_text(process: orm.ProcessNode) -> str:
    """Return the tables of a process as text.

    :param process: any process.
    """
    tree = call_tree(process.pk)
    top = tree[0]
    report = report_of(process)
    ended = top.state if top.exit_status is None else f'{top.state} [{top.exit_status}]'
    head = [f'{top.name} {top.uuid[:8]}  {ended}  {clock(top.seconds())}']
    message = top.exit_message or process.exception or ''
    tables = [table for table in (phases_table(phase_times(tree)), *report.tables(process)) if table.rows]
    sentences = _sentences(tables)
    # What a table contains is not repeated above it, and what the exit message contains not below it.
    lines = [line for line in report.lines(process) if line not in message and not any(s in line for s in sentences)]
    head += [shorter] if (shorter := _without(message, sentences)) else []
    parts = ['\n'.join(block) for block in (head, lines) if block]
    return '\n\n'.join([*parts, *(table.render() for table in tables)])


def _sentences(tables: Iterable[Table]) -> list[str]:
    """Return the cells of at least five words, the longest first."""
    cells = {cell for table in tables for row in table.rows for cell in row if isinstance(cell, str)}
    return sorted((cell for cell in cells if len(cell.split()) >= 5), key=lambda cell: (-len(cell), cell))


def _without(message: str, sentences: Iterable[str]) -> str:
    """Return a message without some of its sentences, each of which may follow a temperature and a colon."""
    kept = message
    for sentence in sentences:
        kept = re.sub(rf'(\S+ K: )?{re.escape(sentence)}', '', kept)
    # A traceback keeps its line breaks.
    return message if kept == message else ' '.join(kept.split())


def write_report(process: orm.ProcessNode, directory: str | Path) -> list[Path]:
    """Write the plots and tables of a process and, for a work chain, the diagram of its phases.

    :param process: any process.
    :param directory: folder of the files, created if necessary.
    :return: the paths of the files.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = report_of(process).plots(process, directory)
    if isinstance(process, orm.WorkChainNode) and directory / 'provenance.svg' not in written:
        written.append(_write(directory / 'provenance.svg', chain_svg(process)))
    return [*written, _write(directory / 'report.txt', report_text(process) + '\n')]


def _write(path: Path, content: str) -> Path:
    path.write_text(content, encoding='utf8')
    return path
