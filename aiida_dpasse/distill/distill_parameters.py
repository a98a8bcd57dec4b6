"""Parameters of the distillation."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, model_validator

from aiida_dpasse.distill.acceptance_parameters import AcceptanceParameters
from aiida_dpasse.label.initial_data_parameters import CONTACTS, ContactParameters, PerturbationParameters
from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.sizes import SupercellSize
from aiida_dpasse.parameters.split import SplitParameters
from aiida_dpasse.parameters.train import TrainParameters


class TeacherDynamicsParameters(Parameters):
    """The teacher's molecular dynamics from perturbed structures."""

    starts: int = Field(gt=0, description='Number of perturbed structures, drawn at random, from which a run starts.')
    frames: int = Field(gt=0, description='Number of frames sampled from each run, at regular intervals.')
    minimum_success: float = Field(
        default=0.6, gt=0, le=1, description='Smallest fraction of successful runs; with fewer the chain fails.'
    )
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for each run, without `sample_interval` and `seed`.'
    )

    @model_validator(mode='after')
    def _run(self) -> TeacherDynamicsParameters:
        refuse_what_is_set(self.md, ('sample_interval', 'seed'))
        if message := check_parameters(MDParameters, {**self.md, 'sample_interval': 1, 'seed': 1}):
            raise ValueError(f'`md`: {message}')
        if self.frames > self.md['steps']:
            raise ValueError(f'`frames` ({self.frames}) should not exceed `md.steps` ({self.md["steps"]})')
        return self


class RoundsParameters(Parameters):
    """Parameters of the rounds in which the student explores and is retrained on frames labelled by its teacher."""

    maximum: int = Field(gt=0, description='Largest number of rounds.')
    force_mae: float = Field(
        gt=0,
        description='Largest MAE of the forces in meV/A on the frames that the student samples; the rounds end when it '
        'is reached and all runs of the student finish.',
    )


class DistillParameters(Parameters):
    """All parameters of the distillation recipe."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    scales: list[PositiveFloat] = Field(min_length=1, description='Linear scale factors of the cells.')
    perturbations: PerturbationParameters = Field(
        description='Perturbation of each structure at each scale, from which the dynamics starts.'
    )
    contacts: ContactParameters | None = CONTACTS
    dynamics: TeacherDynamicsParameters = Field(description="The teacher's dynamics.")
    sample_perturbations: PerturbationParameters = Field(
        description='Perturbation of each frame sampled in the dynamics.'
    )
    label: LabelParameters = Field(
        description='Labelling by the teacher and limits of accepted labels, such as `max_force`.'
    )
    split: SplitParameters = Field(default=SplitParameters(), description='Frames held out of the training.')
    train: TrainParameters = Field(description='Training of the student.')
    students: int = Field(
        default=1,
        gt=0,
        description='Number of students, trained on the same frames with other seeds. The first is tested and '
        'compared; the others are the committee.',
    )
    rounds: RoundsParameters | None = Field(
        default=None, description="Rounds of the student's own dynamics from the same structures; null trains once."
    )
    acceptance: AcceptanceParameters | None = Field(
        default=None, description='Acceptance test of the student; null skips it.'
    )
    seed: int = Field(
        ge=0,
        description='Seed of every random choice; a calling chain replaces it by one derived from its own.',
    )
