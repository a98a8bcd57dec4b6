"""Symmetry operations of a crystal, and the origin in which their translations are simple fractions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from aiida_dpasse.landscape.grid import SITE_TOLERANCE, Operations


def symmetry_of(
    cell: ArrayLike, symbols: Sequence[str], fractional: ArrayLike, tolerance: float = SITE_TOLERANCE
) -> Operations:
    """Return the symmetry operations of a crystal, those of its cell, the centring included.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param symbols: (n,), elements.
    :param fractional: (n, 3).
    :param tolerance: of positions in A.
    :returns: the operations; the identity alone if none are found.
    """
    crystal = Structure(np.asarray(cell), list(symbols), np.asarray(fractional))
    try:
        data = SpacegroupAnalyzer(crystal, tolerance).get_symmetry_dataset()
    except SymmetryUndeterminedError:
        return Operations.identity()
    # x_standard = P x + p is zero at the standard origin.
    origin = -np.linalg.solve(np.asarray(data.transformation_matrix, dtype=float), np.asarray(data.origin_shift))
    return Operations(np.asarray(data.rotations, dtype=np.int64), np.asarray(data.translations, dtype=float), origin)
