"""Parameters of a passport."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters


class PassportParameters(Parameters):
    """Parameters of the comparison, and of the labelling with the source to be tested."""

    slope_limit: float = Field(gt=0, description='Smallest slope of the forces that is stiff enough.')
    minimum_frames: int = Field(ge=2, description='With fewer frames the verdict is `undetermined`.')
    max_frames: int | None = Field(
        gt=0, description='Largest number of frames, which are drawn at random; null takes all.'
    )
    bootstrap_samples: int = Field(ge=100, description='Number of bootstrap samples of the intervals.')
    label: LabelParameters = Field(
        description='Labelling of the frames. All finite labels are compared: criteria of acceptance do not apply.'
    )
    seed: int = Field(ge=0, description='Seed of the drawing of frames and of the bootstrap.')

    @model_validator(mode='after')
    def _enough(self) -> PassportParameters:
        if self.max_frames is not None and self.max_frames < self.minimum_frames:
            raise ValueError(
                f'`max_frames` ({self.max_frames}) should not be less than `minimum_frames` ({self.minimum_frames})'
            )
        return self

    @model_validator(mode='after')
    def _frames_themselves(self) -> PassportParameters:
        if self.label.dynamics is not None or self.label.relaxation is not None:
            raise ValueError('`label.dynamics` and `label.relaxation` should be null: the given frames are labelled')
        return self
