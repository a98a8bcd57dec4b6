"""A frame as a program of density-functional theory had it, with what it says of its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CalculatedFrame:
    """One frame: cell (3, 3) and positions (natoms, 3) in A, energy in eV, forces (natoms, 3) in eV/A, virial (3, 3)
    in eV or None; ``converged`` as the program itself says it of the electrons, ``at_rest`` of the ions in a
    relaxation."""

    symbols: tuple[str, ...]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None
    converged: bool
    at_rest: bool = False
