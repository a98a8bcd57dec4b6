"""Parameters of a screening."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.scan import ScanParameters


class ScreenParameters(Parameters):
    """Parameters of the scans, and of the molecular dynamics of the best structures."""

    scan: ScanParameters = Field(description='Scan of each structure.')
    top: PositiveInt = Field(
        default=10, description='Number of structures at the top of the ranking for `conductivity`.'
    )
    conductivity: ConductivityParameters | None = Field(
        default=None, description='Molecular dynamics of the best structures; null for none.'
    )
    seed: int = Field(default=1, ge=0, description='Seed of the choice of ions and of all velocities.')

    @model_validator(mode='after')
    def _same_ion(self) -> ScreenParameters:
        if self.conductivity is not None and self.conductivity.transport.ion != self.scan.ion:
            other = self.conductivity.transport.ion
            raise ValueError(f'`conductivity.transport.ion` ({other}) should be `scan.ion` ({self.scan.ion})')
        return self
