"""Parameters of `LearningCurveWorkChain`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.train import TrainParameters


class LearningCurveParameters(Parameters):
    """Numbers of frames and repeats, and the parameters of each training."""

    sizes: list[PositiveInt] = Field(min_length=1, description='Numbers of frames to tune on.')
    repeats: int = Field(gt=0, description='Trainings of each size, which differ in frames and weights.')
    test: float = Field(gt=0, description='Number, or fraction below 1, of `frames` for the test.')
    validation: float = Field(
        default=0,
        ge=0,
        description='Number, or fraction below 1, of `frames` for validation during the training, for `early_stop`.',
    )
    choice: Literal['random', 'diverse'] = Field(
        default='random', description='How frames are drawn: as in the paper, or the farthest from each other.'
    )
    align: bool = Field(
        default=True, description="Whether `dp change-bias` alone, which shifts the elements' energies, is tested."
    )
    from_scratch: bool = Field(
        default=True, description='Whether potentials are trained from scratch as well, on these sizes and on all.'
    )
    epochs: float | None = Field(
        gt=0,
        description='Number of times that a training uses each of its frames; null keeps `numb_steps` for every size.',
    )
    tune: TrainParameters = Field(description='Training from the pre-trained weights.')
    scratch: TrainParameters = Field(description='Training from scratch.')
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _trainings(self) -> LearningCurveParameters:
        if self.tune.finetune is None:
            raise ValueError('`tune.finetune` is missing: give it')
        if self.scratch.finetune is not None:
            raise ValueError('`scratch.finetune` should be null: a training from scratch has no pre-trained potential')
        if (self.tune.early_stop or self.scratch.early_stop) and not self.validation:
            raise ValueError('`validation` is 0, but `early_stop` needs these frames: increase it')
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError('`sizes` should name each number once')
        return self
