"""Report of the acceptance of a student: its checks and their results."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table

PASSED = {True: 'passed', False: 'FAILED', None: 'undetermined'}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the verdict.

    :param process: process with the output `verdict`.
    """
    found = output_dict(process, 'verdict')
    return [f'student {_word(found)}'] if found else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the checks, with the verdict as title; empty without a verdict.

    :param process: process with the output `verdict`.
    """
    found = output_dict(process, 'verdict')
    if not found:
        return []
    rows = [(check['name'], PASSED[check['passed']], check['says']) for check in found['checks']]
    return [Table(f'The student is {_word(found)}', ('check', 'result', 'reason'), rows)]


def _word(found: dict[str, Any]) -> str:
    return 'accepted' if found['accepted'] else 'rejected'
