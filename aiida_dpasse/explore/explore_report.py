"""Report of an exploration: the sampled frames of each run and their classification by the committee."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table, values_table

COLUMNS = ('structure', 'temperature', 'pressure', 'sampled', 'accurate', 'candidate', 'failed', 'chosen', 'last_step')


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the number of sampled frames and their classification.

    :param process: a `dpasse.explore`.
    """
    counts = output_dict(process, 'statistics')
    if not counts:
        return []
    judged = ', '.join(f'{counts[key]} {key}' for key in ('accurate', 'candidate', 'failed'))
    return [f'{counts["sampled"]} frames sampled: {judged}']


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the sampled frames of each run and their classification, and the totals.

    :param process: a `dpasse.explore`.
    """
    statistics = output_dict(process, 'statistics')
    runs = sorted(statistics.get('runs', {}).items())
    rows = [(label, *(run.get(name) for name in COLUMNS)) for label, run in runs]
    totals = {key: value for key, value in statistics.items() if key != 'runs'}
    return [Table('Runs', ('run', *COLUMNS), rows), values_table('Exploration', totals)]
