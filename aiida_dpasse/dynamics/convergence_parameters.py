"""Parameters of `ConvergenceWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.parameters.md import check_transport_run, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Temperature
from aiida_dpasse.parameters.sizes import SupercellSize
from aiida_dpasse.parameters.transport import DiffusionParameters


class ConvergenceParameters(DiffusionParameters):
    """Cell sizes, run lengths and replicas of a convergence study."""

    supercells: list[SupercellSize] = Field(
        min_length=1,
        description='Cell sizes, each three repetitions, a 3x3 matrix, or the smallest distance between images in A.',
    )
    steps: list[PositiveInt] = Field(min_length=1, description='Lengths of the production run, in steps.')
    replicas: int = Field(gt=1, description='Independent runs of each size, which give the spread.')
    temperature: Temperature = Field(description='Temperature in K.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature`, `steps` and `seed`.')
    relative_error: float = Field(
        gt=0, lt=1, description='Largest relative spread of a run, and deviation from the largest and longest runs.'
    )
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> ConvergenceParameters:
        refuse_what_is_set(self.md, ('temperature', 'steps', 'seed'))
        check_transport_run(self.md, temperature=self.temperature, steps=max(self.steps), seed=1)
        interval = self.md['trajectory_interval']
        if min(self.steps) < 16 * interval:
            raise ValueError(
                f'`steps` ({min(self.steps)}) should be at least {16 * interval}, 16 times `md.trajectory_interval` '
                f'({interval})'
            )
        return self
