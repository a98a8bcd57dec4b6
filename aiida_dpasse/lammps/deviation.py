"""Reading the committee's deviation that DeePMD-kit's pair style writes beside the dynamics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Columns after the step, by DeePMD-kit's names: deviation of the virial (eV an atom), and of the force (eV/A) as its
#: largest, smallest and mean value over the atoms.
COLUMNS = ('max_devi_v', 'min_devi_v', 'avg_devi_v', 'max_devi_f', 'min_devi_f', 'avg_devi_f')


def parse_deviation(text: str) -> dict[str, NDArray[np.float64]]:
    """Return ``step`` (n,) and the six :data:`COLUMNS` (n,) each.

    A line that is cut short is left out, `nan` is kept, a step that is repeated counts once, the later line.
    """
    rows: dict[int, list[float]] = {}
    lines = text.split('\n')
    # What follows the last line break was never finished, even if it has all its columns.
    for line in lines[:-1]:
        fields = line.split()
        if line.startswith('#') or len(fields) < 1 + len(COLUMNS):
            continue
        try:
            rows[int(fields[0])] = [float(value) for value in fields[1 : 1 + len(COLUMNS)]]
        except ValueError:
            continue
    steps = sorted(rows)
    table = np.array([rows[step] for step in steps], dtype=float).reshape(len(steps), len(COLUMNS))
    result = {name: table[:, index] for index, name in enumerate(COLUMNS)}
    return {'step': np.array(steps, dtype=float), **result}


def deviation_at(table: dict[str, NDArray[np.float64]], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the largest deviation of force (eV/A) at each of ``steps`` (m,), nan where there is none."""
    known = dict(zip(table['step'].astype(int).tolist(), table['max_devi_f'].tolist(), strict=True))
    return np.array([known.get(int(step), np.nan) for step in steps], dtype=float)


def left_trust(table: dict[str, NDArray[np.float64]], limit: float, rows: int, start: int) -> int | None:
    """Return the step of the first of ``rows`` rows in a row whose largest deviation of force exceeds ``limit``.

    A number that is none counts as one that exceeds it. None if there are no such rows from step ``start`` on.
    """
    inside = table['step'] >= start
    steps, above = table['step'][inside], ~(table['max_devi_f'][inside] <= limit)
    if len(steps) < rows:
        return None
    whole = np.convolve(above, np.ones(rows, dtype=int), mode='valid') == rows
    return int(steps[np.argmax(whole)]) if whole.any() else None
