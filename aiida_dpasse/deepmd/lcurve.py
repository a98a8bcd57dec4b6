"""Learning curves of DeePMD-kit (``lcurve.out``), including interrupted, restarted and diverged trainings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.unreadable import UnreadableError

#: A training whose force error exceeds that of its first rows by this factor has diverged: the error of an untrained
#: model is only as large as the forces themselves.
EXPLODED = 100.0
#: Smallest number of such rows.
ROWS = 3
#: Largest step that is taken for one.
LARGEST_STEP = 1e15


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Columns of a learning curve by name, all of the same length, sorted by ``step`` without duplicates.

    The names are those of the file's header, for example ``rmse_e_trn`` (eV/atom), ``rmse_f_trn`` (eV/A), ``lr``; a
    column is nan in segments that lack it.
    """

    columns: dict[str, NDArray[np.float64]]

    @property
    def steps(self) -> NDArray[np.int64]:
        """Training steps, ascending."""
        return self.columns['step'].astype(np.int64)

    @property
    def last(self) -> dict[str, float]:
        """The last row by column, finite values only; empty if there are no rows."""
        if not len(self.steps):
            return {}
        return {name: float(values[-1]) for name, values in self.columns.items() if math.isfinite(values[-1])}

    @property
    def first_not_finite(self) -> int | None:
        """Step from which a training loss is nan or infinite until the end, None if all are finite at the end.

        DeePMD-kit prints nan for missing labels, so a column counts only if it was finite before, or is the total loss.
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
        """Step from which the force error stays above :data:`EXPLODED` times that of the first rows, None if never.

        At least :data:`ROWS` rows are required, since a single batch may contain the one frame with two close atoms.
        """
        found = []
        for lost in self._lost_rows():
            calm = np.flatnonzero(~lost)
            first = int(calm[-1]) + 1 if len(calm) else 0
            if len(lost) - first >= ROWS:
                found.append(first)
        return int(self.steps[min(found)]) if found else None

    def _lost_rows(self) -> Iterator[NDArray[np.bool_]]:
        """Yield, for each long enough column of force errors, which rows exceed :data:`EXPLODED` times the first."""
        for name, values in self.columns.items():
            if not (name.startswith('rmse_f') and '_trn' in name) or len(values) <= 2 * ROWS:
                continue
            known = values[:ROWS][np.isfinite(values[:ROWS])]
            if len(known):
                yield values > EXPLODED * known.max()

    @property
    def first_diverged(self) -> int | None:
        """First step from which a loss is non-finite or has exploded until the end; None if no loss does."""
        found = [step for step in (self.first_not_finite, self.first_exploded) if step is not None]
        return min(found) if found else None

    @property
    def diverged(self) -> bool:
        """Whether the training loss was nan, infinite or exploded at the end."""
        return self.first_diverged is not None

    @property
    def last_good_step(self) -> int:
        """Largest step whose checkpoint is known to have finite weights, 0 if no checkpoint has.

        A row is computed with the weights of the step before it, so the last valid row confirms the checkpoint of that
        step.
        """
        first = self.first_diverged
        if first is not None:
            # A diverged loss may drop for a row or two, but a checkpoint from there is unusable as well.
            first = min([first, *(int(step) for lost in self._lost_rows() for step in self.steps[lost][:1])])
        before = [int(step) for step in self.steps if first is None or step < first]
        return max(before[-1] - 1, 0) if before else 0


def parse_lcurve(text: str) -> LearningCurve:
    """Read the text of a ``lcurve.out``.

    A restart appends a header and repeats steps: the later row of a step counts. Lines truncated at the end of the job,
    or inconsistent with their header, are skipped.

    :param text: content of the file.
    :raises UnreadableError: if no header names the columns.
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
        # Only the last line can lack its newline, in which case its last number may be truncated.
        if not names or len(fields) != len(names) or not line.endswith('\n'):
            continue
        try:
            values = [float(field) for field in fields]
        except ValueError:
            continue
        if 0 <= values[0] <= LARGEST_STEP:
            rows[int(values[0])] = dict(zip(names, values, strict=True))
    if not order:
        raise UnreadableError(
            'This is no learning curve of DeePMD-kit, since no line `# step ...` names its columns: give `lcurve.out`.'
        )
    steps = sorted(rows)
    return LearningCurve({name: np.array([rows[step].get(name, math.nan) for step in steps]) for name in order})


def join_curves(curves: Sequence[LearningCurve]) -> LearningCurve:
    """Return the learning curve of a training from those of its runs, each a continuation of an earlier one.

    From the first step of a run on, the rows of the earlier runs are dropped: these steps were repeated from another
    state.

    :param curves: in the order of the runs; curves without rows are allowed.
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
