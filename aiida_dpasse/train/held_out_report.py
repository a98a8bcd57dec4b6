"""Report of a pre-training or fine-tuning: errors on held-out frames, accounts of labels, and learning curves."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.accounting import batches
from aiida_dpasse.reports.broken import tables_of
from aiida_dpasse.reports.read import error_lines, error_results
from aiida_dpasse.reports.tables import Table, accounts_table, errors_table
from aiida_dpasse.train.train_report import plots

__all__ = ['lines', 'plots', 'tables']


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each tested potential.

    :param process: process with the output `errors`.
    """
    return error_lines(error_results(process))


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors on held-out frames, and the accounts of labels.

    :param process: process with the output `errors`.
    """
    return tables_of(
        process,
        lambda: [errors_table(error_results(process))],
        lambda: [accounts_table(batches(process))],
    )
