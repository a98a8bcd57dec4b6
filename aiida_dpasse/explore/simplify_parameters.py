"""Parameters of `SimplifyWorkChain`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.sizes import PartSize


class SimplifyParameters(Parameters):
    """Selection of the informative part of a dataset."""

    initial: PartSize = Field(gt=0, description='Number, or fraction below 1, of initial frames.')
    max_simplify_iterations: int = Field(gt=0, description='Largest number of iterations.')
    accurate_fraction: float = Field(
        gt=0, le=1, description='Fraction of accurate frames among the remaining ones at which the selection ends.'
    )
    low: float = Field(ge=0, description='Deviation of the committee in eV/A below which a frame is accurate.')
    high: float | None = Field(
        gt=0, description='Deviation in eV/A from which a frame is failed and not selected; null sets no limit.'
    )
    max_candidates: int = Field(gt=0, description='Largest number of frames added in an iteration.')
    choice: Literal['random', 'diverse'] = Field(
        default='random', description='Selection among the candidates: `random` or `diverse`.'
    )
    committee: CommitteeParameters = Field(description='Training of the committee.')
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _levels(self) -> SimplifyParameters:
        if self.high is not None and self.high <= self.low:
            raise ValueError(f'`high` ({self.high}) should be above `low` ({self.low}), or null')
        return self
