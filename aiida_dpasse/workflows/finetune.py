"""`FinetuneWorkChain`: a pre-trained potential learns a compound it never saw, and shows what it gained."""

from __future__ import annotations

from typing import Any

from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import model_validator

from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.plan_finetune import plan_finetune
from aiida_dpasse.workflows.held_out import HeldOutParameters, HeldOutWorkChain, validate_held_out


class FinetuneParameters(HeldOutParameters):
    """Settings of a fine-tuning."""

    @model_validator(mode='after')
    def _starts_from_something(self) -> FinetuneParameters:
        if self.train.finetune is None:
            raise ValueError('`train.finetune` is missing: give it, or use `dpasse.pretrain` to train from scratch.')
        return self


def validate_pretrained(inputs: Any) -> str | None:
    """Return one sentence if the pre-trained potential cannot be tuned to these frames."""
    if 'pretrained' in inputs and 'frames' in inputs:
        potential = inputs['pretrained']
        if potential.form != 'checkpoint':
            return f'pretrained: it is a {potential.form} potential; give the checkpoint (`.pt`) it was frozen from.'
        if missing := potential.missing_elements(inputs['frames'].elements):
            return (
                f'pretrained: its type map lacks {", ".join(missing)}; take a potential that was trained with these '
                'elements.'
            )
    return None


def validate_finetune(inputs: Any, port: Any) -> str | None:
    """Return one sentence if the potential cannot be tuned to these frames, or they leave none to train or to test."""
    return validate_pretrained(inputs) or validate_held_out(inputs, port)


class FinetuneWorkChain(HeldOutWorkChain):
    """Split, train on from the pre-trained weights, and test both potentials on the same frames."""

    PROTOCOL = 'finetune'
    PARAMETERS = FinetuneParameters

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the ports."""
        super().define(spec)
        spec.input('pretrained', valid_type=DeepPotentialData, help='Checkpoint of the pre-trained potential.')
        spec.inputs.validator = validate_finetune
        spec.outputs['errors'].help = 'Errors on the test data: `zero_shot` before and `fine_tuned` after.'

    def make_plan(self) -> None:
        """Turn the parameters into those of split, training and test."""
        self.ctx.plan = plan_finetune(self.inputs.parameters, **self.held_out, metadata={'call_link_label': 'plan'})

    def finetuned(self) -> dict[str, Any]:
        """Start from the pre-trained weights."""
        return {'pretrained': self.inputs.pretrained}

    def potentials(self) -> dict[str, DeepPotentialData]:
        """Return both checkpoints: tested in one job, they are compared on exactly the same terms."""
        return {'zero_shot': self.inputs.pretrained, 'fine_tuned': self.ctx.train.outputs.checkpoint}
