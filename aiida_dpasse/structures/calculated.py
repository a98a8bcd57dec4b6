"""A frame as calculated by a density-functional theory program, with its own convergence information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CalculatedFrame:
    """One frame with its labels.

    :param symbols: (natoms,).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :param energy: eV.
    :param forces: (natoms, 3) eV/A.
    :param virial: (3, 3) eV, or None.
    :param converged: whether the program reports electronic convergence.
    :param reason: why the electrons did not converge, if the program says it.
    :param at_rest: whether the program reports ionic convergence, in a relaxation.
    """

    symbols: tuple[str, ...]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None
    converged: bool
    reason: str = ''
    at_rest: bool = False
