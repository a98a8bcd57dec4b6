"""Text of `aiida-dpasse status`."""

from __future__ import annotations

from datetime import UTC, datetime

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.reports.broken import tables_of
from aiida_dpasse.reports.graph import EXCEPTED, LONGEST_MESSAGE, Call, call_tree, cut_short
from aiida_dpasse.reports.progress import progress
from aiida_dpasse.reports.read import latest_iterations
from aiida_dpasse.reports.tables import Table, iterations_table, phases_table
from aiida_dpasse.reports.timing import clock, phase_times


def jobs_table(tree: list[Call], now: datetime) -> Table:
    """Return the running and the failed jobs.

    :param tree: processes, of `call_tree`.
    :param now: current time.
    """
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
    return Table('Jobs running and failed', ('pk', 'label', 'program', 'state', 'time'), rows)


def held_up(tree: list[Call]) -> list[str]:
    """Return a message for each paused or excepted process, with the reason and the remedy.

    :param tree: processes, of `call_tree`.
    """
    query = orm.QueryBuilder()
    query.append(
        orm.ProcessNode,
        filters={'id': {'in': [call.pk for call in tree]}},
        project=['id', 'attributes.paused', 'attributes.process_status', 'attributes.exception'],
    )
    columns = {row[0]: row[1:] for row in query.all()}
    found = []
    for call in tree:
        paused, status, exception = columns[call.pk]
        if paused and not call.terminated:
            reason = f': {quoting.line(str(status)[:LONGEST_MESSAGE]).strip()}' if status else '.'
            found.append(
                f'{call.name}<{call.pk}> is paused{reason}\nRemove the cause, then run `verdi process play {call.pk}`.'
            )
        elif call.state == EXCEPTED:
            lines = str(exception or '')[:LONGEST_MESSAGE].strip().splitlines() or [
                'no reason was stored: read `verdi process report`'
            ]
            found.append(f'{call.name}<{call.pk}> was excepted: {quoting.line(lines[-1].strip())}')
    return found


def running_text(now: datetime | None = None) -> str:
    """Return one line for each running process without a caller, in order of creation.

    :param now: current time, by default that of the system.
    """
    query = orm.QueryBuilder()
    query.append(
        (orm.WorkChainNode, orm.CalcJobNode),
        filters={'attributes.process_state': {'in': ['created', 'running', 'waiting']}},
        tag='process',
    ).order_by({'process': {'id': 'asc'}})
    found = []
    for node in query.all(flat=True):
        if node.caller is None:
            now_at = progress(node, now)
            found += [f'{now_at.name}<{now_at.pk}>  {now_at.headline()}', *held_up(call_tree(node.pk))]
    return '\n'.join(found or ['No process runs.'])


def status_text(process: orm.ProcessNode, now: datetime | None = None) -> str:
    """Return the state of a process: a headline, its phases, its iterations, and its running and failed jobs.

    :param process: any process.
    :param now: current time, by default that of the system.
    """
    now = now or datetime.now(UTC)
    now_at = progress(process, now)
    tree = call_tree(process.pk)
    parts = [f'{now_at.name}<{now_at.pk}>  {now_at.headline()}']
    if now_at.exit_message:
        parts.append(quoting.paragraph(now_at.exit_message))
    parts += [*cut_short(tree), *held_up(tree)]
    tables = [phases_table(phase_times(tree, now))]
    tables += tables_of(process, lambda: _iterations(tree))
    tables.append(jobs_table(tree, now))
    parts += [table.render() for table in tables if table.rows]
    parts += ['\n'.join(now_at.lines)] if now_at.lines else []
    return '\n\n'.join(parts)


def _iterations(tree: list[Call]) -> list[Table]:
    iterations = latest_iterations(tree)
    return [iterations_table(iterations)] if iterations else []
