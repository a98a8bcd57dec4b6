"""Plain-text tables of results for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiida_dpasse import quoting
from aiida_dpasse.reports.accounting import Batch
from aiida_dpasse.reports.timing import PhaseTime, clock

MISSING = '-'
#: Largest number of characters in a cell, and of rows of a table of values: an archive of others may hold any.
LONGEST, MOST_VALUES = 1000, 1000


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of values."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    @classmethod
    def of(cls, title: str, names: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> Table:
        """Return the table of records; missing values are shown as a dash.

        :param title: title of the table.
        :param names: name of each column by its key in the records.
        :param rows: the records.
        """
        return cls(title, tuple(names.values()), [tuple(row.get(key) for key in names) for row in rows])

    def render(self) -> str:
        """Return the table as text, with numbers right-aligned and words left-aligned."""
        cells = [[text(value) for value in row] for row in self.rows]
        columns = [text(column) for column in self.columns]
        widths = [max(len(column), *(len(row[i]) for row in cells), 0) for i, column in enumerate(columns)]
        right = [
            all(isinstance(row[i], int | float) or row[i] is None for row in self.rows) and bool(self.rows)
            for i in range(len(self.columns))
        ]

        def line(values: Sequence[str]) -> str:
            aligned = [v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)]
            return '  '.join(aligned).rstrip()

        rule = '  '.join('-' * width for width in widths)
        return '\n'.join([text(self.title), line(columns), rule, *(line(row) for row in cells)])


def text(value: Any) -> str:
    """Return ``value`` as shown in a table: numbers with three digits, a dash for None, text in one line."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        if value == 0 or 1e-3 <= abs(value) < 1e5:
            return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}'
        return f'{value:.2e}'
    shown = str(value)
    return quoting.line(shown if len(shown) <= LONGEST else f'{shown[:LONGEST]} …')


def phases_table(phases: Iterable[PhaseTime]) -> Table:
    """Return phases with their state, wall time and jobs.

    :param phases: times of the phases.
    """
    rows = []
    for phase in phases:
        state = phase.state if phase.exit_status in (0, None) else f'{phase.state} [{phase.exit_status}]'
        rows.append((phase.phase, state, clock(phase.wall_s), phase.jobs, phase.jobs_failed, clock(phase.job_s)))
    return Table('Phases', ('phase', 'state', 'wall time', 'jobs', 'failed', 'time in jobs'), rows)


def iterations_table(iterations: Mapping[str, Any]) -> Table:
    """Return the iterations and the verdict of an active learning run.

    :param iterations: output `iterations` of `dpasse.active_learning`.
    """
    names = {
        'iteration': 'iteration',
        'frames': 'frames',
        'sampled': 'sampled',
        'accurate': 'accurate',
        'candidate': 'candidate',
        'failed': 'failed',
        'trust_low': 'trust low (eV/Å)',
        'trust_high': 'high (eV/Å)',
        'labelled': 'labelled',
        'rejected': 'rejected',
        'energy_mae_meV_atom': 'E MAE (meV/atom)',
        'force_mae_meV_A': 'F MAE (meV/Å)',
    }
    title = f'Active learning: {iterations.get("verdict", "")}'.rstrip(': ')
    return Table.of(title, names, iterations.get('iterations', []))


def errors_table(errors: Iterable[tuple[str, Mapping[str, Any]]], title: str = 'Errors on held-out frames') -> Table:
    """Return the errors of potentials.

    :param errors: pairs of name and results of `dpasse.evaluate` for one potential.
    :param title: title of the table.
    """
    names = {
        'name': 'potential',
        'frames': 'frames',
        'energy_mae_meV_atom': 'E MAE (meV/atom)',
        'energy_rmse_meV_atom': 'E RMSE',
        'force_mae_meV_A': 'F MAE (meV/Å)',
        'force_rmse_meV_A': 'F RMSE',
    }
    return Table.of(title, names, [{**values, 'name': name} for name, values in errors])


def accounts_table(batches: Iterable[Batch]) -> Table:
    """Return the account of every batch of labels.

    :param batches: the accounts.
    """
    rows = [
        (
            batch.uuid[:8],
            batch.label,
            *((None,) * 4 if batch.fault else (batch.requested, batch.admitted, batch.rejected, batch.failed)),
            batch.fault or batch.balanced,
        )
        for batch in batches
    ]
    return Table('Labels', ('batch', 'process', 'requested', 'accepted', 'rejected', 'failed', 'consistent'), rows)


def refused_table(account: Mapping[str, Any]) -> Table:
    """Return the frames without a label, with their state and the reason.

    :param account: output `account` of a labelling chain.
    """
    rows = [{**entry, 'state': state} for state in ('rejected', 'failed') for entry in account.get(state, [])]
    return Table.of('Frames without a label', {'id': 'frame', 'state': 'state', 'reason': 'reason'}, rows)


def values_table(title: str, values: Mapping[str, Any]) -> Table:
    """Return the scalar entries of a `Dict`, with nested names joined by dots; long lists are given by their length.

    :param title: title of the table.
    :param values: content of the node.
    """
    rows = list(islice(_flat(values), MOST_VALUES + 1))
    if len(rows) > MOST_VALUES:
        rows[-1] = ('and more, which are not shown', None)
    return Table(title, ('quantity', 'value'), rows)


def _flat(values: Mapping[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        name = f'{prefix}{key}'
        if isinstance(value, Mapping):
            yield from _flat(value, f'{name}.')
        elif isinstance(value, list | tuple):
            short = len(value) <= 4 and all(not isinstance(item, Mapping | list | tuple) for item in value)
            yield name, ', '.join(text(item) for item in value) if short else f'{len(value)} entries'
        else:
            yield name, value
