"""Parameters of `SimplifyWorkChain`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.sizes import PartSize


class SimplifyParameters(Parameters):
    """Selection of the informative part of a dataset."""

    initial: PartSize = Field(gt=0, description='Number of frames, or fraction below 1, to start from.')
    max_simplify_iterations: int = Field(gt=0, description='At most so many iterations.')
    accurate_fraction: float = Field(
        gt=0, le=1, description='The rest is known when this fraction of it is accurate: the choice ends.'
    )
    low: float = Field(gt=0, description='Deviation of the committee in eV/A below which a frame is known.')
    high: float | None = Field(
        gt=0, description='Deviation in eV/A from which a frame is not trusted; null trusts all labels.'
    )
    max_candidates: int = Field(gt=0, description='At most so many frames are added in an iteration.')
    choice: Literal['random', 'diverse'] = Field(
        default='random', description='How they are chosen among those that are not known.'
    )
    committee: CommitteeParameters = Field(description='Training of the committee.')
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _levels(self) -> SimplifyParameters:
        if self.high is not None and self.high <= self.low:
            raise ValueError(f'`high` ({self.high}) should be above `low` ({self.low}), or null')
        return self
