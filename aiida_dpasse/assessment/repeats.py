"""Errors of potentials trained alike: their mean and its standard error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Errors reported for every potential, by the names of `errors.error_table`.
ERRORS = ('energy_mae_meV_atom', 'energy_rmse_meV_atom', 'force_mae_meV_A', 'force_rmse_meV_A')


def mean_errors(points: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each of :data:`ERRORS` over ``points``, and its standard error as ``<name>_error``.

    The standard error is None for a single point.

    :param points: errors of each potential, by name.

    >>> mean_errors([dict.fromkeys(ERRORS, 1.0)])['force_mae_meV_A_error'] is None
    True
    """
    row: dict[str, float | None] = {}
    for name in ERRORS:
        values = np.array([point[name] for point in points])
        row[name] = float(values.mean())
        row[f'{name}_error'] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return row
