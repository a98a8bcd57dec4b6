"""Random strain and displacements of crystals."""

from __future__ import annotations

from pydantic import Field

from aiida_dpasse.parameters.base import Parameters


class PerturbationParameters(Parameters):
    """Random strain and displacements, in the convention of DP-GEN."""

    number: int = Field(gt=0, description='Number of perturbed copies of each structure at each scale.')
    cell_fraction: float = Field(ge=0, lt=0.5, description='Largest relative strain of each component.')
    displacement: float = Field(ge=0, description='Root mean square displacement of an atom in A.')
    closest: float = Field(default=1.0, ge=0, description='A draw with atoms nearer than this, in A, is drawn again.')
