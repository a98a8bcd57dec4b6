"""Parameters of a locality test."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Steps, Temperature
from aiida_dpasse.parameters.sizes import SupercellSize

#: Keys of `dpasse.md` that the test sets itself for each run.
TAKEN = ('fixed', 'sample_interval', 'seed', 'steps', 'temperature')


class LocalityParameters(Parameters):
    """Parameters of the spheres, the molecular dynamics around them and the labelling."""

    supercell: SupercellSize | None = Field(
        default=None,
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A; null takes the '
        'smallest cell whose spheres do not reach their own images, twice the largest of `distances`.',
    )
    distances: list[PositiveFloat] = Field(
        min_length=1, description='Radii in A of the spheres whose atoms are held fixed, each twice a cutoff.'
    )
    centre: str | NonNegativeInt = Field(
        description='Element of the centres, or the index of one site of `structure`, counted from 0.'
    )
    centres: int = Field(default=1, gt=0, description='Number of sites of that element that are drawn at random.')
    temperature: Temperature = Field(description='Temperature in K of the atoms outside the sphere.')
    steps: Steps = Field(description='Steps of each run after its equilibration.')
    frames: int = Field(gt=1, description='Number of labelled frames of each run, at regular intervals.')
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for each run, without `temperature`, `steps`, `sample_interval`, '
        '`fixed` and `seed`.'
    )
    label: LabelParameters = Field(description='Labelling of the frames.')
    force_tolerance: float = Field(gt=0, description='Tolerated error of a force component, meV/A.')
    seed: int = Field(ge=0, description='Seed of the centres and of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> LocalityParameters:
        if len(set(self.distances)) < len(self.distances):
            raise ValueError('`distances` should contain each distance once')
        if isinstance(self.centre, int) and self.centres > 1:
            raise ValueError(f'`centres` should be 1 if `centre` is a site index, got {self.centres}')
        if self.steps % self.frames:
            raise ValueError(f'`steps` ({self.steps}) should be a multiple of `frames` ({self.frames})')
        refuse_what_is_set(self.md, TAKEN)
        run = {**self.md, 'temperature': self.temperature, 'steps': self.steps, 'fixed': [0], 'seed': 1}
        if message := check_parameters(MDParameters, run):
            raise ValueError(f'`md`: {message}')
        for name in ('dynamics', 'relaxation'):
            if getattr(self.label, name) is not None:
                raise ValueError(f'`label.{name}` should be null: frames are labelled without it')
        return self
