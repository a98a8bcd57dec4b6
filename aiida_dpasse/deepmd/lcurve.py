"""Learning curves of DeePMD-kit (``lcurve.out``), also of interrupted, restarted and diverged trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Columns of a learning curve by name, all of the same length, sorted by ``step`` without doubles.

    The names are those of the file's header, for example ``rmse_e_trn`` (eV/atom), ``rmse_f_trn`` (eV/A), ``lr``;
    a column that one segment lacks is nan there.
    """

    columns: dict[str, NDArray[np.float64]]

    @property
    def steps(self) -> NDArray[np.int64]:
        """Training steps, ascending."""
        return self.columns['step'].astype(np.int64)

    @property
    def last(self) -> dict[str, float]:
        """The last row by column, without what is not a number; empty if nothing was printed."""
        if not len(self.steps):
            return {}
        return {name: float(values[-1]) for name, values in self.columns.items() if math.isfinite(values[-1])}

    @property
    def first_not_finite(self) -> int | None:
        """Step from which on a loss of training is nan or infinite to the end, None if all are finite at the end.

        DeePMD-kit prints nan where a label is missing, so only a column that was finite before counts, or the total.
        """
        found = []
        for name, values in self.columns.items():
            finite = np.isfinite(values)
            if not name.startswith('rmse') or not len(values) or finite[-1]:
                continue
            if name in ('rmse_trn', 'rmse'):
                found.append(0 if not finite.any() else int(np.flatnonzero(finite)[-1]) + 1)
            elif finite.any():
                found.append(int(np.flatnonzero(finite)[-1]) + 1)
        return int(self.steps[min(found)]) if found else None

    @property
    def diverged(self) -> bool:
        """Whether the loss of training ended as nan or infinite."""
        return self.first_not_finite is not None


def parse_lcurve(text: str) -> LearningCurve:
    """Read the text of a ``lcurve.out``.

    A restart appends a header and repeats steps: the later row of a step wins. A line that was cut short by the end
    of the job, or that does not fit its header, is skipped.

    :raises ValueError: if no header names the columns.
    """
    rows: dict[int, dict[str, float]] = {}
    names: list[str] = []
    order: dict[str, None] = {}
    lines = text.splitlines(keepends=True)
    for line in lines:
        fields = line.split()
        if line.startswith('#'):
            if len(fields) > 2 and fields[1] == 'step':
                names = fields[1:]
                order |= dict.fromkeys(names)
            continue
        # Only the last line can lack its newline: a number there may have lost its last digits.
        if not names or len(fields) != len(names) or not line.endswith('\n'):
            continue
        try:
            values = [float(field) for field in fields]
        except ValueError:
            continue
        if math.isfinite(values[0]):
            rows[int(values[0])] = dict(zip(names, values, strict=True))
    if not order:
        raise ValueError('This is no learning curve of DeePMD-kit: no line `# step ...` names its columns.')
    steps = sorted(rows)
    return LearningCurve({name: np.array([rows[step].get(name, math.nan) for step in steps]) for name in order})
