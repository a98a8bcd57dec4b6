"""Learning curves of DeePMD-kit (``lcurve.out``), also of interrupted, restarted and diverged trainings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A training whose force errors have grown this many times above those of its first rows learns nothing any more: an
#: untrained model errs by the forces themselves.
EXPLODED = 100.0
#: How many rows it takes to say so.
ROWS = 3


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
            if name == 'rmse' or name.startswith('rmse_trn'):
                found.append(0 if not finite.any() else int(np.flatnonzero(finite)[-1]) + 1)
            elif finite.any():
                found.append(int(np.flatnonzero(finite)[-1]) + 1)
        return int(self.steps[min(found)]) if found else None

    @property
    def first_exploded(self) -> int | None:
        """Step from which on the forces' errors are :data:`EXPLODED` times those of the first rows, to the end.

        One row is no sign: a batch may hold the one frame whose atoms are close. So :data:`ROWS` at least are.
        """
        found = []
        for lost in self._lost_rows():
            calm = np.flatnonzero(~lost)
            first = int(calm[-1]) + 1 if len(calm) else 0
            if len(lost) - first >= ROWS:
                found.append(first)
        return int(self.steps[min(found)]) if found else None

    def _lost_rows(self) -> Iterator[NDArray[np.bool_]]:
        """Yield, by column of forces that can be judged, which rows are :data:`EXPLODED` times the first ones."""
        for name, values in self.columns.items():
            if not (name.startswith('rmse_f') and '_trn' in name) or len(values) <= 2 * ROWS:
                continue
            known = values[:ROWS][np.isfinite(values[:ROWS])]
            if len(known):
                yield values > EXPLODED * known.max()

    @property
    def first_diverged(self) -> int | None:
        """First step of a loss that is not finite or has exploded, and stays so to the end; None if there is none."""
        found = [step for step in (self.first_not_finite, self.first_exploded) if step is not None]
        return min(found) if found else None

    @property
    def diverged(self) -> bool:
        """Whether the loss of training ended as nan, infinite or exploded."""
        return self.first_diverged is not None

    @property
    def last_good_step(self) -> int:
        """Largest step whose checkpoint is known to hold finite weights, 0 if none is.

        A row is computed with the weights of the step before it, so the last row that is fine vouches for that one.
        """
        first = self.first_diverged
        if first is not None:
            # A loss that is lost comes down for a row or two: a checkpoint from there is lost all the same.
            first = min([first, *(int(step) for lost in self._lost_rows() for step in self.steps[lost][:1])])
        before = [int(step) for step in self.steps if first is None or step < first]
        return max(before[-1] - 1, 0) if before else 0


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


def join_curves(curves: Sequence[LearningCurve]) -> LearningCurve:
    """Return the curve of a training from those of its runs, each of which went on from a checkpoint of one before.

    :param curves: in the order of the runs; a run that printed nothing may be among them.

    From the first step of a run on, what the runs before it had printed is dropped: those steps were done again, from
    another state.
    """
    rows: dict[int, dict[str, float]] = {}
    order: dict[str, None] = {}
    for curve in curves:
        order |= dict.fromkeys(curve.columns)
        steps = [int(step) for step in curve.steps]
        if steps:
            rows = {step: row for step, row in rows.items() if step < steps[0]}
        for index, step in enumerate(steps):
            rows[step] = {name: float(values[index]) for name, values in curve.columns.items()}
    return LearningCurve({name: np.array([row.get(name, math.nan) for row in rows.values()]) for name in order})
