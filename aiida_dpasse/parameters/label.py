"""Parameters that all labelling jobs share: acceptance of frames, dynamics and relaxation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_dpasse.labels.admission import DYNAMICS, LIMITS, RELAXATION
from aiida_dpasse.parameters.base import Parameters


class DynamicsParameters(Parameters):
    """Short Langevin dynamics from every frame, whose samples are labelled."""

    temperature: float = Field(gt=0, description='Temperature at the start, in K.')
    final_temperature: float | None = Field(
        default=None, gt=0, description='Temperature at the end, in K, reached evenly; by default it stays.'
    )
    steps: int = Field(gt=0, description='Number of steps from each frame.')
    interval: int = Field(gt=0, description='Steps between samples; the first is taken at the start.')
    timestep: float = Field(default=DYNAMICS['timestep'], gt=0, description='Timestep in fs.')
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
        default=RELAXATION['max_force'], gt=0, description='Largest force when it is done, in eV/A.'
    )
    steps: int = Field(
        default=RELAXATION['steps'], gt=0, description='A frame that is not relaxed after so many steps has failed.'
    )
    cell: bool = Field(
        default=RELAXATION['cell'], description='Whether the lattice relaxes with the atoms, at no pressure.'
    )


class LabelJobParameters(Parameters):
    """Acceptance criteria, and optional dynamics or relaxation of each frame."""

    max_force: float = Field(
        default=LIMITS['max_force'], gt=0, description='A frame with a force above this, in eV/A, is rejected.'
    )
    max_stress: float | None = Field(
        default=None, gt=0, description='A frame with a component of the stress above this, in GPa, is rejected.'
    )
    max_energy_deviation: float | None = Field(
        default=None,
        gt=0,
        description='A frame whose energy, in eV an atom, is farther than this from the median of its formula in its '
        'batch is rejected; batches of fewer than four frames have no outliers.',
    )
    minimum_distance: float = Field(
        default=LIMITS['minimum_distance'],
        ge=0,
        description='A frame with two atoms nearer than this, in A, is rejected unlabelled.',
    )
    minimum_contact: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description='A frame with two atoms nearer than this fraction of the sum of their covalent radii is rejected '
        'unlabelled.',
    )
    mode: Literal['strict', 'audit'] = Field(
        default='strict',
        description='`strict` rejects; `audit` admits whatever is finite and lists in the account what it would have '
        'rejected.',
    )
    dynamics: DynamicsParameters | None = Field(default=None, description='Run dynamics from each frame.')
    relaxation: RelaxationParameters | None = Field(
        default=None, description='Relax each frame; a program of your own cannot.'
    )

    @model_validator(mode='after')
    def _one(self) -> LabelJobParameters:
        if self.dynamics is not None and self.relaxation is not None:
            raise ValueError('`dynamics` and `relaxation` exclude each other: set one of them to null')
        return self
