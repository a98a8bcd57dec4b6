"""Parameters of a training with held-out frames."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.split import SplitParameters
from aiida_dpasse.parameters.train import TrainParameters


class HeldOutParameters(Parameters):
    """Training, split and seed of a potential that is tested on held-out frames."""

    train: TrainParameters = Field(description='Parameters of the training.')
    split: SplitParameters = Field(default=SplitParameters(), description='Frames held out of the training.')
    seed: int = Field(
        ge=0,
        description='Seed of split, weights and order of the frames; a chain that calls this one replaces it by one '
        'derived from its own.',
    )

    @model_validator(mode='after')
    def _leaves_both_forms(self) -> HeldOutParameters:
        if self.train.backend != 'pytorch' or not self.train.freeze:
            raise ValueError('`train` should leave a checkpoint and a frozen potential: set `freeze` and `pytorch`')
        return self
