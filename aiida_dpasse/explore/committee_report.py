"""Report of the training of a committee."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.train.train_report import plots

__all__ = ['lines', 'plots']


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the number of members.

    :param process: a `dpasse.committee`.
    """
    members = process.outputs.potentials if 'potentials' in process.outputs else {}
    return [f'{len(members)} members'] if members else []
