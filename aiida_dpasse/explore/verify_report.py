"""Report of a verification: the error of a potential in its own dynamics, by round."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table

COLUMNS = {
    'round': 'round',
    'frames': 'labels',
    'force_rms_meV_A': 'F rms (meV/Å)',
    'force_rmse_meV_A': 'F RMSE (meV/Å)',
    'relative_error': 'relative',
    'accepted': 'accepted',
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the error of the forces in each round.

    :param process: a `dpasse.verify`.
    """
    rows = output_dict(process, 'rounds').get('rounds', [])
    errors = ', '.join(f'{row["relative_error"]:.0%}' for row in rows)
    return [f'forces in its own dynamics wrong by {errors}'] if rows else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the rounds.

    :param process: a `dpasse.verify`.
    """
    rows = output_dict(process, 'rounds').get('rounds', [])
    return [Table.of('Verification by labels of its own dynamics', COLUMNS, rows)]
