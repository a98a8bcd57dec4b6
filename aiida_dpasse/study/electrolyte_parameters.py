"""Parameters of a complete study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_dpasse.distill.distill_parameters import DistillParameters
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.label.initial_data_parameters import InitialDataParameters
from aiida_dpasse.label.passport import ACCEPT_SOFT_LABELS
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.train.finetune_parameters import FinetuneParameters
from aiida_dpasse.train.pretrain_parameters import PretrainParameters


class RepairParameters(Parameters):
    """Rounds in which a study repairs potentials whose runs exceeded a limit."""

    max_rounds: int = Field(gt=0, description='Largest number of rounds.')
    max_frames: int = Field(gt=0, description='Largest number of frames that are labelled in a round.')
    minimum_contact: float = Field(
        default=0.6,
        gt=0,
        lt=1,
        description='Frames with atoms closer than this fraction of the sum of their covalent radii are not labelled.',
    )


class CheckParameters(Parameters):
    """Test of the students on frames of their own production, which the reference method labels."""

    frames: int = Field(gt=0, description='Number of frames, drawn at random from all runs.')
    maximum_error: float = Field(
        gt=0,
        description='Largest root mean square error of the forces of a student, as a fraction of the root mean square '
        'force. Beyond it the study repairs itself, and no conductivity is given in the end.',
    )


class ElectrolyteParameters(Parameters):
    """Parameters of every phase and of the study itself."""

    initial_data: InitialDataParameters = Field(description='First labelled frames of `structures`.')
    active_learning: ActiveLearningParameters = Field(description='Exploration of `structures`.')
    pretrain: PretrainParameters = Field(description='Pre-training on all frames.')
    finetune_labels: InitialDataParameters = Field(description='Labelled frames of `finetune_structures`.')
    finetune: FinetuneParameters = Field(description='Fine-tuning on `finetune_structures`.')
    distill: DistillParameters = Field(description='Distillation for `electrolyte` and `reference`.')
    conductivity: ConductivityParameters = Field(description='Molecular dynamics of `electrolyte` and its transport.')
    reference: ConductivityParameters = Field(description='Molecular dynamics of `reference` and its transport.')
    distill_from: Literal['pretrained', 'finetuned'] = Field(
        default='pretrained',
        description='Teacher of the distillation: `pretrained` if the electrolyte is among the compounds of the '
        'pre-training, `finetuned` if it is the compound of the fine-tuning.',
    )
    check: CheckParameters | None = Field(
        default=None,
        description='Test of the students on labelled frames of the production; null labels none. The labels have the '
        'settings of `active_learning`.',
    )
    repair: RepairParameters | None = Field(
        default=None,
        description='Repair of potentials whose runs exceeded a limit, whose student was refused, or which fail the '
        '`check`; labels have the settings of `active_learning`, and the training of the teacher those of `finetune`. '
        'Null repairs nothing.',
    )
    accept_soft_labels: bool = ACCEPT_SOFT_LABELS
    seed: int = Field(ge=0, description='Seed of the study, from which those of the phases are derived.')

    @model_validator(mode='before')
    @classmethod
    def _accepted_everywhere(cls, data: Any) -> Any:
        """Let the active learning, which gets the same passport, accept what the study accepts."""
        if isinstance(data, Mapping) and data.get('accept_soft_labels') is True:
            learning = {**data.get('active_learning', {}), 'accept_soft_labels': True}
            return {**data, 'active_learning': learning}
        return data
