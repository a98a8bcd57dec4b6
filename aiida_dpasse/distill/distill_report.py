"""Report of a distillation: labels, speed relative to the teacher, errors, and the acceptance of the student."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.distill import acceptance_report
from aiida_dpasse.label import label_report
from aiida_dpasse.reports.broken import lines_of, tables_of
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table, text
from aiida_dpasse.train import held_out_report
from aiida_dpasse.train.train_report import plots

__all__ = ['lines', 'plots', 'tables']


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the labels, the speed relative to the teacher, and the errors.

    :param process: a `dpasse.distill`.
    """
    return lines_of(
        process,
        lambda: label_report.lines(process),
        lambda: _speed(process),
        # Errors on reference labels are more informative than those on labels of the teacher.
        lambda: sorted(held_out_report.lines(process), key=lambda line: 'against teacher' in line),
    )


def _speed(process: orm.ProcessNode) -> list[str]:
    speed = output_dict(process, 'speed').get('ratio')
    return [f'{text(float(speed))} times faster than its teacher'] if speed else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors on held-out frames, the accounts of labels, and the acceptance checks.

    :param process: a `dpasse.distill`.
    """
    return tables_of(process, lambda: held_out_report.tables(process), lambda: acceptance_report.tables(process))
