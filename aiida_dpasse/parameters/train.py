"""Parameters of a training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_dpasse.deepmd.engine import check_freezable
from aiida_dpasse.deepmd.model_kind import descriptor_type
from aiida_dpasse.deepmd.multitask import heads_of, single_model
from aiida_dpasse.deepmd.training_input import check_compressible, check_input
from aiida_dpasse.parameters.base import Parameters


class FinetuneParameters(Parameters):
    """Settings taken over from the pre-trained potential."""

    use_pretrain_script: bool = Field(
        default=True,
        description='Whether descriptor and fitting net are those of the pre-trained '
        'potential instead of those in `input`.',
    )
    model_branch: str | None = Field(
        default=None, description='Head of a multi-task potential to start from; null starts with a new fitting net.'
    )


class EarlyStopParameters(Parameters):
    """Criterion to end a training before `numb_steps`."""

    window: int = Field(
        gt=0,
        description='Number of steps within which the best validation error must improve; '
        'several rows of the curve at least.',
    )
    improvement: float = Field(
        default=0.01, ge=0, lt=1, description='Required relative improvement over the best error before these steps.'
    )
    error: str = Field(
        default='rmse_f_val', pattern=r'^\w+_val\w*$', description='Column of the learning curve that is monitored.'
    )


class TrainParameters(Parameters):
    """Parameters of one training."""

    backend: Literal['pytorch', 'tensorflow'] = Field(
        description='Backend of DeePMD-kit; DPA-2, DPA-3 and DPA-4 need PyTorch.'
    )
    input: dict[str, Any] = Field(
        description='Sections `model`, `learning_rate`, `loss`, `training` of the input of `dp train`, without data '
        'paths. The default type map is that of the pre-trained potential, or the elements of the training data.'
    )
    seed: int = Field(default=1, ge=0, description='Value of every seed that is not set in `input`.')
    freeze: bool = Field(
        default=True, description='Whether to freeze the potential, as required by LAMMPS and labelling.'
    )
    compress: bool = Field(
        default=False, description='Whether to compress the frozen potential too, for faster molecular dynamics.'
    )
    mixed: bool = Field(
        default=False,
        description='Whether to group the frames by number of atoms, for many compositions (PyTorch only).',
    )
    finetune: FinetuneParameters | None = Field(
        default=None, description='Settings of a fine-tuning that starts from `pretrained`.'
    )
    head: str | None = Field(default=None, description='Head to freeze, if the model has several.')
    processes: int = Field(
        default=1,
        ge=1,
        description='Number of processes, one per GPU of a node (PyTorch only); each step uses one batch per process.',
    )

    early_stop: EarlyStopParameters | None = Field(
        default=None,
        description='End the training when the error on `validation_data` no longer improves; null '
        'trains for `numb_steps`.',
    )

    @model_validator(mode='after')
    def _check(self) -> TrainParameters:
        if message := check_input(self.input, self.backend, finetune=self.finetune is not None):
            raise ValueError(message)
        if self.mixed and self.backend != 'pytorch':
            raise ValueError('`mixed` is for PyTorch only: remove it or choose the backend `pytorch`.')
        if self.finetune is not None and self.backend != 'pytorch':
            raise ValueError('`finetune` is for PyTorch only: remove it or choose the backend `pytorch`.')
        if message := self._check_heads():
            raise ValueError(message)
        if self.processes > 1 and self.backend != 'pytorch':
            raise ValueError('`processes` above 1 are for PyTorch only: remove it or choose the backend `pytorch`.')
        if self.freeze and (message := check_freezable(self.descriptor)):
            raise ValueError(f'`freeze`: {message} Set `freeze` to false.')
        if self.compress and not self.freeze:
            raise ValueError('`compress` requires the frozen potential: set `freeze` too.')
        if self.compress and (message := check_compressible({**self.input['model'], **self._frozen_model()})):
            raise ValueError(f'`compress`: {message}')
        return self

    @property
    def descriptor(self) -> str:
        """Type of the descriptor in `input`; empty if it is that of a pre-trained potential, or if heads share it."""
        model = self.input['model']
        section = model.get('descriptor') or {}
        return descriptor_type(section, model) if section.get('type') or model.get('type') else ''

    def _frozen_model(self) -> dict[str, Any]:
        model = self.input['model']
        return single_model(model, self.head) if 'model_dict' in model else {}

    def _check_heads(self) -> str | None:
        heads = heads_of(self.input)
        if heads and self.finetune is not None:
            return '`finetune` starts a model with one head: remove `model_dict`, or train the heads from scratch.'
        if self.head is not None and self.head not in heads:
            return f'`head`: there is no head `{self.head}`: choose one of {", ".join(heads) or "none"}.'
        if heads and self.freeze and self.head is None:
            return (
                f'`head`: a frozen potential has one head: choose one of {", ".join(heads)}, or set `freeze` to false.'
            )
        return None
