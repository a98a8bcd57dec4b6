"""`FinetuneWorkChain`: fine-tune a pre-trained potential to a new compound and compare the errors."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.jobs import MigrateBaseWorkChain
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.deepmd.engine import check_form_for_finetuning
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.train.finetune_parameters import FinetuneParameters
from aiida_dpasse.train.held_out import HeldOutWorkChain, validate_held_out
from aiida_dpasse.train.plan_finetune import plan_finetune


def validate_pretrained(inputs: Any) -> str | None:
    """Check that the pre-trained potential is a checkpoint and contains the elements of the frames.

    :param inputs: inputs with ``pretrained`` and ``frames``.
    :returns: one sentence that states the problem, or None.
    """
    if inputs.get('pretrained') is None:
        return None
    potential = inputs['pretrained']
    if message := check_form_for_finetuning(potential.framework, potential.form):
        return f'pretrained: {message}'
    if inputs.get('frames') is not None and (missing := potential.missing_elements(inputs['frames'].elements)):
        lacking = ', '.join(missing)
        return f'pretrained: its type map lacks {lacking}; use a potential that was trained with these elements.'
    return None


def validate_finetune(inputs: Any, port: Any = None) -> str | None:
    """Check that the potential can be fine-tuned to the frames, and that frames remain for training and test.

    :param inputs: inputs of `FinetuneWorkChain`.
    :param port: ignored.
    :returns: one sentence that states the problem, or None.
    """
    return validate_pretrained(inputs) or validate_held_out(inputs, port)


class FinetuneWorkChain(HeldOutWorkChain):
    """Fine-tune a pre-trained potential to a new compound and compare its errors before and after.

    The frames are split, the training starts from the pre-trained weights, and both potentials are tested on the same
    held-out frames. A checkpoint of DeePMD-kit 3.0 is migrated first.
    """

    PROTOCOL = 'finetune'
    PARAMETERS = FinetuneParameters

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the ports."""
        super().define(spec)
        spec.input(
            'pretrained',
            valid_type=Potential,
            validator=validate_potentials,
            help='Checkpoint of the pre-trained potential.',
        )
        spec.inputs.validator = validate_finetune
        spec.outline(
            cls.make_plan,
            cls.split,
            if_(cls.is_out_of_date)(
                cls.migrate,
                cls.take_migrated,
            ),
            cls.train,
            cls.evaluate,
            cls.finish,
        )
        spec.outputs['errors'].help = 'Errors on the test data: `zero_shot` before and `fine_tuned` after.'
        exit_code(spec, 'ERROR_NOT_MIGRATED', message='The pre-trained checkpoint could not be migrated: {reason}')

    def make_plan(self) -> None:
        """Derive the parameters of split, training and test."""
        self.ctx.pretrained = self.inputs.pretrained
        self.ctx.plan = plan_finetune(
            self.inputs.parameters, held_out=self.held_out, metadata={'call_link_label': 'plan'}
        )

    def is_out_of_date(self) -> bool:
        """Return whether the checkpoint was written by DeePMD-kit 3.0."""
        return bool(self.inputs.pretrained.needs_migration)

    def migrate(self) -> None:
        """Add the tensors that later releases require."""
        process, inputs = self.job(
            MigrateBaseWorkChain,
            'evaluate',
            'migrate',
            code=self.inputs.codes.python,
            potential=self.inputs.pretrained,
        )
        self.run_child('migrate', process, inputs)

    def take_migrated(self) -> ExitCode | None:
        """Store the migrated checkpoint."""
        node = self.ctx.migrate
        if not node.is_finished_ok:
            return self.failure(node, self.exit_codes.ERROR_NOT_MIGRATED.format(reason=node.exit_message))
        self.ctx.pretrained = node.outputs.potential
        return None

    def finetuned(self) -> dict[str, Any]:
        """Return the pre-trained potential as an input of the training."""
        return {'pretrained': self.ctx.pretrained}

    def potentials(self) -> dict[str, Potential]:
        """Return both checkpoints; one job tests them, so that the comparison is exact."""
        return {'zero_shot': self.ctx.pretrained, 'fine_tuned': self.ctx.train.outputs.checkpoint}
