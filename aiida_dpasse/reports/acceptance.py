"""The acceptance checks of a student and their results."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table

PASSED = {True: 'passed', False: 'FAILED', None: 'not told'}


def acceptance_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the checks, with the verdict as title; empty if nothing was judged.

    :param process: process with the output `verdict`.
    """
    found = output_dict(process, 'verdict')
    if not found:
        return []
    rows = [(check['name'], PASSED[check['passed']], check['says']) for check in found['checks']]
    word = 'accepted' if found['accepted'] else 'refused'
    return [Table(f'The student is {word}', ('check', '', 'found'), rows)]
