"""Tables and plots of any process, generated from its nodes alone: an imported archive gives the same."""

from __future__ import annotations

from pathlib import Path

from aiida import orm

from aiida_dpasse.reports.chain import chain_svg
from aiida_dpasse.reports.graph import call_tree
from aiida_dpasse.reports.registry import report_of
from aiida_dpasse.reports.tables import phases_table
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
    head += [reason] if (reason := top.exit_message or process.exception or '') else []
    parts = ['\n'.join(block) for block in (head, report.lines(process)) if block]
    tables = [phases_table(phase_times(tree)), *report.tables(process)]
    return '\n\n'.join([*parts, *(table.render() for table in tables if table.rows)])


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
