"""The text of `aiida-dpasse status`."""

from __future__ import annotations

from datetime import UTC, datetime

from aiida import orm

from aiida_dpasse.reports.graph import Call, call_tree, output_dict
from aiida_dpasse.reports.progress import progress
from aiida_dpasse.reports.tables import Table, iterations_table, phases_table
from aiida_dpasse.reports.timing import clock, phase_times


def latest_iterations(tree: list[Call]) -> dict:
    """Return the newest iteration table that was made below the first process of ``tree``, empty if none was."""
    made = [call for call in tree if call.entry_point == 'tabulate_iterations' and call.ok]
    return output_dict(orm.load_node(max(made, key=lambda call: call.ctime).pk), 'iterations') if made else {}


def jobs_table(tree: list[Call], now: datetime) -> Table:
    """Return the programs that run now and those that failed."""
    rows = [
        (
            job.pk,
            job.label,
            job.name,
            job.state if job.ok or not job.terminated else f'failed [{job.exit_status}]',
            clock(job.seconds(now)),
        )
        for job in tree
        if job.is_job and not job.ok
    ]
    return Table('Jobs running and failed', ('pk', 'called as', 'program', 'state', 'time'), rows)


def status_text(process: orm.ProcessNode, now: datetime | None = None) -> str:
    """Return where ``process`` stands: a headline, its phases, iterations, and the jobs that need a look."""
    now = now or datetime.now(UTC)
    now_at = progress(process, now)
    tree = call_tree(process.pk)
    parts = [f'{now_at.name}<{now_at.pk}>  {now_at.headline()}']
    if now_at.exit_message:
        parts.append(now_at.exit_message)
    tables = [phases_table(phase_times(tree, now))]
    iterations = latest_iterations(tree)
    if iterations:
        tables.append(iterations_table(iterations))
    tables.append(jobs_table(tree, now))
    parts += [table.render() for table in tables if table.rows]
    parts += ['\n'.join(now_at.lines)] if now_at.lines else []
    return '\n\n'.join(parts)
