"""Report of a selection of frames from a labelled dataset."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table

COLUMNS = ('iteration', 'frames', 'sampled', 'accurate', 'candidate', 'failed', 'accurate_fraction')


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the numbers of iterations and of selected frames.

    :param process: a `dpasse.simplify`.
    """
    rows = output_dict(process, 'iterations').get('iterations', [])
    return [f'{len(rows)} iterations, {rows[-1]["frames"]} frames kept'] if rows else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the iterations.

    :param process: a `dpasse.simplify`.
    """
    rows = output_dict(process, 'iterations').get('iterations', [])
    return [Table.of('Simplification', {name: name for name in COLUMNS}, rows)]
