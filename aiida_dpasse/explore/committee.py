"""`CommitteeWorkChain`: train potentials that differ only in their seeds."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.reasons import first_reason
from aiida_dpasse.base.structures import PlannedWorkChain
from aiida_dpasse.base.validators import best_form, define_labelled
from aiida_dpasse.calculations.train_inputs import validate_inputs as validate_train
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.explore.plan_committee import plan_committee
from aiida_dpasse.runs import Run
from aiida_dpasse.train.train import training


def name_of(member: Run) -> str:
    """Return the name of a member's potential.

    >>> name_of(Run('member', 1))
    'member_01'
    """
    return f'member_{member.number:02d}'


def validate_committee_training(inputs: Any, _: Any = None) -> str | None:
    """Check that frames and training parameters are consistent.

    :param inputs: inputs of `CommitteeWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if 'parameters' not in inputs or 'training_data' not in inputs:
        return None
    train = orm.Dict(CommitteeParameters.model_validate(inputs['parameters'].get_dict()).train.model_dump())
    given = {name: inputs[name] for name in ('training_data', 'validation_data') if name in inputs}
    return validate_train(given | dict(inputs.get('codes', {})) | {'parameters': train}, None)


class CommitteeWorkChain(PlannedWorkChain):
    """Train a committee of potentials on the same frames, with different seeds.

    The deviation between the members estimates the error of their predictions.
    """

    CODES = (PROGRAM,)
    OPTIONAL_CODES = ('torchrun',)
    PARAMETERS = CommitteeParameters
    PROTOCOL = 'committee'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_labelled(spec, 'training_data', 'Labelled frames for training.')
        define_labelled(
            spec, 'validation_data', 'Labelled frames whose errors are written to the learning curves.', required=False
        )
        spec.inputs.validator = validate_committee_training
        spec.outline(
            cls.setup,
            run_queue(cls),
            cls.results,
        )
        spec.output_namespace(
            'potentials',
            valid_type=Potential,
            help='The members, by name: compressed if requested, otherwise frozen.',
        )
        spec.output_namespace('learning_curves', valid_type=orm.ArrayData, help='The learning curve of each member.')
        exit_code(
            spec,
            'ERROR_TOO_FEW_MEMBERS',
            message='Only {count} of at least {minimum} trainings succeeded: correct `train`, or decrease '
            '`minimum_members`. {reason}',
        )

    def setup(self) -> None:
        """Derive the seeds of each member and queue its training."""
        self.ctx.plan = plan_committee(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.enqueue('make_training', self.runs.values())

    def make_training(self, run: Run) -> Child:
        """Return the training of one member."""
        names = ('training_data', 'validation_data')
        given = {name: self.inputs[name] for name in names if name in self.inputs}
        return training(self, run.label, parameters=self.ctx.plan['train'][run.id], **given)

    def results(self) -> ExitCode | None:
        """Attach the best form of each member's potential, and report failed trainings."""
        failed = self.report_failures('member')
        outputs = {name_of(run): node.outputs for run, node in self.succeeded('member').items()}
        self.out('potentials', {name: best_form(output) for name, output in outputs.items()})
        self.out('learning_curves', {name: output.learning_curve for name, output in outputs.items()})
        minimum = self.settings.minimum_members
        if len(outputs) < minimum:
            return self.exit_codes.ERROR_TOO_FEW_MEMBERS.format(
                count=len(outputs), minimum=minimum, reason=first_reason(failed)
            )
        return None
