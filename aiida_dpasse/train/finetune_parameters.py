"""Parameters of `FinetuneWorkChain`."""

from __future__ import annotations

from pydantic import model_validator

from aiida_dpasse.train.held_out_parameters import HeldOutParameters


class FinetuneParameters(HeldOutParameters):
    """Training, split and seed of a fine-tuning."""

    @model_validator(mode='after')
    def _starts_from_something(self) -> FinetuneParameters:
        if self.train.finetune is None:
            raise ValueError('`train.finetune` is missing: give it, or use `dpasse.pretrain` to train from scratch.')
        return self
