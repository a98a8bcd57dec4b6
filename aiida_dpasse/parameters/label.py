"""Parameters that all labelling jobs share: acceptance of frames, dynamics and relaxation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_dpasse.labels.admission import DYNAMICS, LIMITS, RELAXATION
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.quantities import Steps, Temperature, Timestep


class DynamicsParameters(Parameters):
    """Short Langevin dynamics from every frame, whose samples are labelled."""

    temperature: Temperature = Field(description='Temperature at the start, in K.')
    final_temperature: Temperature | None = Field(
        default=None, description='Temperature at the end, in K, reached linearly; by default the initial one.'
    )
    steps: Steps = Field(description='Number of steps from each frame.')
    interval: int = Field(gt=0, description='Steps between samples; the first is the initial frame.')
    timestep: Timestep = Field(default=DYNAMICS['timestep'], description='Timestep in fs.')
    friction: float = Field(
        default=DYNAMICS['friction'], gt=0, description='Friction of the Langevin thermostat in 1/fs.'
    )
    seed: int = Field(default=DYNAMICS['seed'], ge=0, description='Seed of the velocities and of the thermostat.')

    @model_validator(mode='after')
    def _samples(self) -> DynamicsParameters:
        if self.interval > self.steps:
            raise ValueError(f'`interval` ({self.interval}) should not be greater than `steps` ({self.steps})')
        return self


class RelaxationParameters(Parameters):
    """Relaxation of every frame before it is labelled."""

    max_force: float = Field(
        default=RELAXATION['max_force'], gt=0, description='Convergence criterion: largest force in eV/A.'
    )
    steps: Steps = Field(
        default=RELAXATION['steps'],
        description='Largest number of steps; a frame that is not relaxed then has failed.',
    )
    cell: bool = Field(
        default=RELAXATION['cell'], description='Whether the lattice relaxes with the atoms, at zero pressure.'
    )


class LabelJobParameters(Parameters):
    """Acceptance criteria, and optional dynamics or relaxation of each frame."""

    max_force: float = Field(
        default=LIMITS['max_force'], gt=0, description='A frame with a larger force, in eV/A, is rejected.'
    )
    max_stress: float | None = Field(
        default=None, gt=0, description='A frame with a larger stress component, in GPa, is rejected.'
    )
    max_energy_deviation: float | None = Field(
        default=None,
        gt=0,
        description='A frame is rejected if its energy differs by more than this, in eV/atom, from the median of its '
        'formula in its batch; not applied to fewer than four frames.',
    )
    minimum_distance: float = Field(
        default=LIMITS['minimum_distance'],
        ge=0,
        description='A frame with two atoms closer than this, in A, is rejected and not labelled.',
    )
    minimum_contact: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description='A frame with two atoms closer than this fraction of the sum of their covalent radii is rejected '
        'and not labelled.',
    )
    mode: Literal['strict', 'audit'] = Field(
        default='strict',
        description='`strict` rejects frames that violate a criterion; `audit` accepts them if their labels are '
        'finite, and lists the violations in the account.',
    )
    dynamics: DynamicsParameters | None = Field(
        default=None, description='Dynamics that starts from each frame; null labels the frames themselves.'
    )
    relaxation: RelaxationParameters | None = Field(
        default=None, description='Relaxation of each frame; not for a program of your own.'
    )

    @model_validator(mode='after')
    def _one(self) -> LabelJobParameters:
        if self.dynamics is not None and self.relaxation is not None:
            raise ValueError('`dynamics` and `relaxation` exclude each other: set one of them to null')
        return self
