"""Meshes of k-points."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def kpoint_mesh(cells: ArrayLike, kpoints: Mapping[str, Any] | None) -> tuple[int, int, int]:
    """Return the k-point mesh for the cells of one run.

    :param cells: lattice vectors as rows, (n, 3, 3) A.
    :param kpoints: ``mesh``, or ``spacing`` in 1/A as VASP's KSPACING: n_i = max(1, ceil(|b_i| / spacing)), with b_i
        including the factor 2 pi; the cell that requires most points decides. None is the Gamma point.
    """
    if kpoints is None:
        return 1, 1, 1
    if kpoints.get('mesh') is not None:
        first, second, third = (int(number) for number in kpoints['mesh'])
        return first, second, third
    reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(cells, dtype=float)).transpose(0, 2, 1)
    lengths = np.linalg.norm(reciprocal, axis=-1).max(axis=0)
    # A length that is a whole number of spacings up to rounding should not get one point more.
    first, second, third = (max(1, ceil(length / kpoints['spacing'] - 1e-6)) for length in lengths)
    return first, second, third
