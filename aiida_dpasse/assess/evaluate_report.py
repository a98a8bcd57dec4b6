"""Report of an evaluation: the errors of each potential."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.read import error_lines
from aiida_dpasse.reports.tables import Table, errors_table


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each potential.

    :param process: a `dpasse.evaluate`, or the work chain that restarts it.
    """
    return error_lines(sorted(output_dict(process, 'results').items()))


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors of each potential.

    :param process: a `dpasse.evaluate`, or the work chain that restarts it.
    """
    return [errors_table(sorted(output_dict(process, 'results').items()), 'Errors')]
