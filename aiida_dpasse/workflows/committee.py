"""`CommitteeWorkChain`: potentials that differ in their seeds only, to know where they disagree."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, model_validator

from aiida_dpasse.calculations.train import TrainParameters
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.plan_committee import plan_committee
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.train import TrainBaseWorkChain
from aiida_dpasse.workflows.validators import best_form, validate_labelled


class CommitteeParameters(Parameters):
    """How many potentials are trained, and how."""

    members: int = Field(ge=2, description='Number of potentials; a deviation needs two at least.')
    minimum_members: int = Field(
        ge=2, description='So many trainings have to succeed; with fewer the committee has failed.'
    )
    train: TrainParameters = Field(description='Training of each member; its seeds are replaced.')
    seed: int = Field(
        ge=0,
        description='Seed of all members; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _minimum(self) -> CommitteeParameters:
        if self.minimum_members > self.members:
            raise ValueError(f'`minimum_members` ({self.minimum_members}) should not exceed `members` ({self.members})')
        return self


class CommitteeWorkChain(DpasseWorkChain):
    """Train the members of a committee on the same frames."""

    CODES = ('dp',)
    PARAMETERS = CommitteeParameters
    PROTOCOL = 'committee'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input(
            'training_data',
            valid_type=FramesData,
            validator=validate_labelled,
            help='Labelled frames to learn from.',
        )
        spec.input(
            'validation_data',
            valid_type=FramesData,
            required=False,
            validator=validate_labelled,
            help='Labelled frames whose errors are written to the learning curves.',
        )
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.results,
        )
        spec.output_namespace(
            'potentials',
            valid_type=DeepPotentialData,
            help='The members, by name: compressed where that was asked for, frozen otherwise.',
        )
        spec.output_namespace('learning_curves', valid_type=orm.ArrayData, help='The learning curve of each member.')
        exit_code(
            spec,
            'ERROR_TOO_FEW_MEMBERS',
            message='Only {count} trainings succeeded where {minimum} are needed: the report names the '
            'others; correct `train`, or lower `minimum_members`.',
        )

    def setup(self) -> None:
        """Give every member its seeds and queue its training."""
        self.ctx.plan = plan_committee(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.enqueue('make_training', sorted(self.ctx.plan))

    def make_training(self, key: str) -> tuple[type[TrainBaseWorkChain], dict[str, Any]]:
        """Return the training of member ``key``."""
        train = {
            'code': self.inputs.codes.dp,
            'training_data': self.inputs.training_data,
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('train')},
        }
        if 'validation_data' in self.inputs:
            train['validation_data'] = self.inputs.validation_data
        return TrainBaseWorkChain, {'train': train, **self.restart(key)}

    def results(self) -> ExitCode | None:
        """Attach the best form of each member, and say which trainings failed."""
        members = self.finished('member_')
        for key, node in self.unfinished('member_').items():
            self.report(f'{key}<{node.pk}> failed with exit code {node.exit_status}: {node.exit_message}')
        outputs = {key: node.outputs for key, node in sorted(members.items())}
        self.out('potentials', {key: best_form(output) for key, output in outputs.items()})
        self.out('learning_curves', {key: output.learning_curve for key, output in outputs.items()})
        minimum = self.inputs.parameters['minimum_members']
        if len(members) < minimum:
            return self.exit_codes.ERROR_TOO_FEW_MEMBERS.format(count=len(members), minimum=minimum)
        return None
