"""Settings of a training, and whether frames, pre-trained potential and code go together with them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_dpasse.calculations.parameters import Parameters
from aiida_dpasse.deepmd.training_input import check_compressible, check_input, type_map_of

#: Extra of a code with the version of its DeePMD-kit, set by `aiida-dpasse setup`.
VERSION_EXTRA = 'dpasse_version'


class FinetuneParameters(Parameters):
    """What is taken over from the pre-trained potential."""

    use_pretrain_script: bool = Field(
        default=True, description='Take descriptor and fitting net from the potential; without it the input gives them.'
    )
    model_branch: str | None = Field(
        default=None, description='Head of a multi-task potential to start from; none starts a new fitting net.'
    )


class TrainParameters(Parameters):
    """Settings of one training."""

    backend: Literal['pytorch', 'tensorflow'] = Field(
        description='Backend of DeePMD-kit; DPA-2 and DPA-3 need PyTorch.'
    )
    input: dict[str, Any] = Field(
        description='Sections `model`, `learning_rate`, `loss`, `training` of the input of `dp train`, without data '
        'paths. A type map left out is that of the pre-trained potential, or the elements of the training data.'
    )
    seed: int = Field(default=1, ge=0, description='Fills every seed that `input` leaves open.')
    freeze: bool = Field(default=True, description='Make the frozen potential that LAMMPS and labelling use.')
    compress: bool = Field(
        default=False, description='Make the compressed potential as well: faster molecular dynamics.'
    )
    mixed: bool = Field(
        default=False, description='Lay the frames down by number of atoms, for many compositions (PyTorch only).'
    )
    finetune: FinetuneParameters | None = Field(default=None, description='How to start from `pretrained`.')

    @model_validator(mode='after')
    def _check(self) -> TrainParameters:
        if message := check_input(self.input, self.backend, finetune=self.finetune is not None):
            raise ValueError(message)
        if self.mixed and self.backend != 'pytorch':
            raise ValueError('`mixed` is for PyTorch only: take it out or choose the backend `pytorch`.')
        if self.finetune is not None and self.backend != 'pytorch':
            raise ValueError('`finetune` is for PyTorch only: take it out or choose the backend `pytorch`.')
        if self.compress and not self.freeze:
            raise ValueError('`compress` needs the frozen potential: set `freeze` too.')
        if self.compress and (message := check_compressible(self.input['model'])):
            raise ValueError(f'`compress`: {message}')
        return self


def validate_inputs(inputs: dict[str, Any], _: Any) -> str | None:
    """Return one sentence if frames, parameters, pre-trained potential and code do not go together."""
    if not {'parameters', 'training_data'} <= set(inputs):
        return None  # a work chain exposes these ports without all of them
    content = inputs['parameters'].get_dict()
    if message := _check_pretrained(inputs, content):
        return message
    known = type_map_of(content['input']['model'])
    if not known and 'pretrained' in inputs:
        known = inputs['pretrained'].type_map
    if not known:
        known = inputs['training_data'].elements
    loss = content['input'].get('loss', {})
    weighed = [name for name in ('energy', 'force', 'virial') if _is_weighed(loss, name)]
    for port in ('training_data', 'validation_data'):
        if port not in inputs:
            continue
        frames = inputs[port]
        missing = sorted(set(frames.elements) - set(known))
        if missing:
            elements, types = ', '.join(missing), ' '.join(known)
            return f'{port}: {elements} is not in the type map {types}: add it to `input.model.type_map`.'
        lacking = [name for name in weighed if name not in frames.labels]
        if lacking:
            key = f'`input.loss.start_pref_{lacking[0][0]}` and `limit_pref_{lacking[0][0]}`'
            return f'{port}: frames have no {lacking[0]} to train on: label them, or set {key} to 0.'
    sel = content['input']['model'].get('descriptor', {}).get('sel')
    if content['backend'] == 'tensorflow' and isinstance(sel, list) and len(sel) != len(known):
        return (
            f'parameters: `input.model.descriptor.sel` has {len(sel)} numbers and the type map {" ".join(known)} has '
            f'{len(known)} elements: give one for each, or `auto`.'
        )
    return None


def _check_pretrained(inputs: dict[str, Any], content: dict[str, Any]) -> str | None:
    pretrained = inputs.get('pretrained')
    finetune = content.get('finetune')
    if pretrained is None:
        return (
            'pretrained: `finetune` is set without a potential to start from: give one.'
            if finetune is not None
            else None
        )
    if finetune is None:
        return 'parameters: a pre-trained potential is given without `finetune`: set it, `{}` takes the defaults.'
    if pretrained.form != 'checkpoint' or pretrained.framework != 'pytorch':
        kind = f'{pretrained.form} one of {pretrained.framework}'
        return f'pretrained: the potential is a {kind}: give a PyTorch checkpoint (`.pt`).'
    branch = finetune.get('model_branch')
    if branch is not None and branch not in pretrained.heads:
        return (
            f'parameters: the potential has no head `{branch}`: choose one of {", ".join(pretrained.heads) or "none"}.'
        )
    version = inputs['code'].base.extras.get(VERSION_EXTRA, None) if 'code' in inputs else None
    message: str | None = pretrained.check_usable_with(version)
    return f'pretrained: {message}' if message else None


def _is_weighed(loss: dict[str, Any], label: str) -> bool:
    defaults = {'energy': 0.02, 'force': 1000.0, 'virial': 0.0}
    start = loss.get(f'start_pref_{label[0]}', defaults[label])
    return bool(start or loss.get(f'limit_pref_{label[0]}', start))
