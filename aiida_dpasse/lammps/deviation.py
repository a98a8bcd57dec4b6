"""Reading the committee's deviation that DeePMD-kit's pair style writes beside the dynamics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Columns of the file after the step: deviation of the virial (eV per atom) and of the force (eV/A) over the atoms.
COLUMNS = ('virial_max_eV', 'virial_min_eV', 'virial_mean_eV', 'force_max_eV_A', 'force_min_eV_A', 'force_mean_eV_A')


def parse_deviation(text: str) -> dict[str, NDArray[np.float64]]:
    """Return ``steps`` (n,) and the six :data:`COLUMNS` (n,) each.

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
    return {'steps': np.array(steps, dtype=float), **result}


def deviation_at(table: dict[str, NDArray[np.float64]], steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the largest deviation of force (eV/A) at each of ``steps`` (m,), nan where there is none."""
    known = dict(zip(table['steps'].astype(int).tolist(), table['force_max_eV_A'].tolist(), strict=True))
    return np.array([known.get(int(step), np.nan) for step in steps], dtype=float)
