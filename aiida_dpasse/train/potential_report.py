"""Report of freezing a checkpoint or of migrating an older one."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import output


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the forms of the potential that the process gives.

    :param process: a `dpasse.freeze` or `dpasse.migrate`, or the work chain that restarts it.
    """
    forms = [name for name in ('checkpoint', 'frozen', 'compressed', 'potential') if output(process, name) is not None]
    return [' and '.join(forms)] if forms else []
