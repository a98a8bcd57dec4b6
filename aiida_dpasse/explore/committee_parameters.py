"""Parameters of `CommitteeWorkChain`."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.train import TrainParameters


class CommitteeParameters(Parameters):
    """Number of potentials in a committee, and their training."""

    members: int = Field(ge=2, description='Number of potentials.')
    minimum_members: int = Field(
        ge=2, description='Smallest number of successful trainings; with fewer the committee fails.'
    )
    train: TrainParameters = Field(description='Training of each member; its seeds are replaced.')
    seed: int = Field(
        ge=0,
        description='Seed of all members; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _minimum(self) -> CommitteeParameters:
        if self.minimum_members > self.members:
            raise ValueError(f'`minimum_members` ({self.minimum_members}) should not exceed `members` ({self.members})')
        return self

    @model_validator(mode='after')
    def _frozen(self) -> CommitteeParameters:
        if not self.train.freeze:
            raise ValueError('`train.freeze` should be true: the members are frozen potentials')
        return self
