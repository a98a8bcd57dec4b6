"""Parameters of the scan of a crystal by its mobile ions."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.landscape.descriptors import SHIFTS, THRESHOLD
from aiida_dpasse.parameters.base import Parameters

#: Level in eV that a scan has to reach for the free volumes of the descriptor Xi.
LOWEST_LEVEL = THRESHOLD + max(SHIFTS)


class ScanParameters(Parameters):
    """Parameters of the grid, and of what is left out."""

    ion: str = Field(default='Li', description='Element of the mobile ions.')
    spacing: float = Field(
        default=0.25, ge=0.05, le=2.0, description='Largest distance in A between voxels along a lattice vector.'
    )
    minimum_distance: float = Field(
        default=1.2,
        gt=0,
        le=3.0,
        description='Distance in A to every other atom below which a voxel is not calculated.',
    )
    highest_level: float | None = Field(
        default=1.0,
        ge=LOWEST_LEVEL,
        description='Energy in eV above the lowest up to which the landscape is known; null calculates all voxels.',
    )
    symmetry: bool = Field(
        default=True,
        description='Whether one of equivalent voxels and ions is calculated. The numbers of points are then rounded '
        'up to ones that suit the symmetry.',
    )
    ions: PositiveInt | None = Field(
        default=None,
        description='Largest number of ions that are scanned, of those that symmetry does not relate; null for all. '
        'Free volumes of fewer ions are lower limits.',
    )
    seed: int = Field(default=1, ge=0, description='Seed of the choice of the ions.')

    @model_validator(mode='after')
    def _ion(self) -> ScanParameters:
        if not self.ion.isalpha():
            raise ValueError(f'`ion` should be an element, got {self.ion!r}')
        return self
