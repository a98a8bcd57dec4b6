"""Parameters of `VerifyWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Temperature
from aiida_dpasse.parameters.sizes import SupercellSize
from aiida_dpasse.train.finetune_parameters import FinetuneParameters


class VerifyParameters(Parameters):
    """Dynamics of a potential, labels of its frames, the limit of its error, and its further training."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[Temperature] = Field(min_length=1, description='Temperatures in K for each structure.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md` for each run, without `temperature` and `seed`.')
    frames: int = Field(gt=0, description='Number of frames of the runs that are labelled in a round.')
    maximum_error: float = Field(
        gt=0,
        description='Largest root mean square error of the forces, as a fraction of the root mean square force.',
    )
    max_rounds: int = Field(
        ge=0, description='Largest number of trainings; 0 compares the potential with labels and trains nothing.'
    )
    label: LabelParameters = Field(description='Labels of the frames.')
    finetune: FinetuneParameters = Field(description='Further training on all frames.')
    seed: int = Field(
        ge=0,
        description='Seed of velocities, draws and trainings; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _runs(self) -> VerifyParameters:
        refuse_what_is_set(self.md, ('temperature', 'seed'))
        if self.md.get('sample_interval') is None:
            raise ValueError('`md.sample_interval` is missing: give the number of steps between two sampled frames')
        for temperature in self.temperatures:
            if message := check_parameters(MDParameters, {**self.md, 'temperature': temperature, 'seed': 1}):
                raise ValueError(f'a run has invalid parameters: {message}')
        return self
