"""Reading of the model deviation of a committee, which DeePMD-kit's pair style writes during the dynamics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Columns after the step, by DeePMD-kit's names: deviation of the virial (eV/atom) and of the force (eV/A), the latter
#: as maximum, minimum and mean over the atoms.
COLUMNS = ('max_devi_v', 'min_devi_v', 'avg_devi_v', 'max_devi_f', 'min_devi_f', 'avg_devi_f')


#: Largest step that is taken for one.
LARGEST_STEP = 10**15


def parse_deviation(text: str) -> dict[str, NDArray[np.float64]]:
    """Return ``step`` (n,) and each of the six :data:`COLUMNS` (n,).

    Truncated lines are skipped and `nan` is kept; of a repeated step the later line counts.

    :param text: content of the deviation file.
    """
    rows: dict[int, list[float]] = {}
    lines = text.split('\n')
    # Text after the last line break is incomplete, even if it has all columns.
    for line in lines[:-1]:
        fields = line.split()
        if line.startswith('#') or len(fields) < 1 + len(COLUMNS):
            continue
        try:
            if abs(step := int(fields[0])) > LARGEST_STEP:
                continue
            rows[step] = [float(value) for value in fields[1 : 1 + len(COLUMNS)]]
        except ValueError:
            continue
    steps = sorted(rows)
    table = np.array([rows[step] for step in steps], dtype=float).reshape(len(steps), len(COLUMNS))
    result = {name: table[:, index] for index, name in enumerate(COLUMNS)}
    return {'step': np.array(steps, dtype=float), **result}


def deviation_at(table: dict[str, NDArray[np.float64]], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the largest deviation of the force in eV/A at each step (m,), nan where it is unknown.

    :param table: as :func:`parse_deviation` returns it.
    :param steps: (m,) MD steps.
    """
    known = dict(zip(table['step'].astype(int).tolist(), table['max_devi_f'].tolist(), strict=True))
    return np.array([known.get(int(step), np.nan) for step in steps], dtype=float)


def left_trust(table: dict[str, NDArray[np.float64]], limit: float, rows: int, start: int) -> int | None:
    """Return the first step from which the largest force deviation exceeds ``limit`` in ``rows`` consecutive rows.

    NaN counts as exceeding the limit.

    :param table: as :func:`parse_deviation` returns it.
    :param limit: eV/A.
    :param rows: number of consecutive rows.
    :param start: step from which the rows are considered.
    :returns: the step of the first of these rows, None if there are none.
    """
    inside = table['step'] >= start
    steps, above = table['step'][inside], ~(table['max_devi_f'][inside] <= limit)
    if len(steps) < rows:
        return None
    whole = np.convolve(above, np.ones(rows, dtype=int), mode='valid') == rows
    return int(steps[np.argmax(whole)]) if whole.any() else None
