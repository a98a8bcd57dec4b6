"""Validation of the frames, pre-trained potential and codes of a training against its parameters."""

from __future__ import annotations

from typing import Any

from aiida_dpasse.calculations.train_files import TRAINING, VALIDATION, frames_by_head, known_elements
from aiida_dpasse.data.engine import version_of
from aiida_dpasse.deepmd.engine import check_form_for_finetuning, check_freezable
from aiida_dpasse.deepmd.multitask import heads_of, type_map_of
from aiida_dpasse.parameters.base import given


def validate_inputs(inputs: dict[str, Any], _: Any) -> str | None:
    """Return an error message if frames, parameters, pre-trained potential and code are not compatible.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    inputs = given(inputs)
    if 'parameters' not in inputs:
        return None  # a work chain exposes these ports without all of them
    content = inputs['parameters'].get_dict()
    for check in (_check_pretrained, _check_start, _check_ports, _check_frames):
        if message := check(inputs, content):
            return message
    known = type_map_of(content['input']['model']) or known_elements(inputs)
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
        return 'pretrained: `finetune` needs a potential to start from: give one.' if finetune is not None else None
    if finetune is None:
        return 'parameters: a pre-trained potential needs `finetune`: set it (`{}` for the defaults).'
    if message := check_form_for_finetuning(pretrained.framework, pretrained.form):
        return f'pretrained: {message}'
    branch = finetune.get('model_branch')
    if branch is not None and branch not in pretrained.heads:
        return (
            f'parameters: the potential has no head `{branch}`: choose one of {", ".join(pretrained.heads) or "none"}.'
        )
    if message := pretrained.check_usable_with(version_of(inputs.get('code'))):
        return f'pretrained: {message}'
    if content.get('freeze', True) and (message := check_freezable(pretrained.descriptor)):
        return f'pretrained: {message} Set `freeze` to false.'
    return None


def _check_start(inputs: dict[str, Any], content: dict[str, Any]) -> str | None:
    if 'finished_folder' in inputs:
        if 'restart_folder' in inputs:
            return 'finished_folder: a finished training is not continued: remove `restart_folder`.'
        if not content.get('freeze', True):
            return 'finished_folder: its checkpoint is only frozen: set `freeze`.'
    if 'restart_step' in inputs and 'restart_folder' not in inputs:
        return 'restart_step: it needs a training to continue: give `restart_folder` too.'
    if content.get('early_stop') is not None and not frames_by_head(inputs, VALIDATION):
        return 'validation_data: `early_stop` monitors their errors: give some.'
    if content.get('processes', 1) > 1 and 'torchrun' not in inputs:
        return 'torchrun: it starts several `processes`: give the code `torchrun` from the environment of `dp`.'
    return None


def _is_weighed(loss: dict[str, Any], label: str) -> bool:
    defaults = {'energy': 0.02, 'force': 1000.0, 'virial': 0.0}
    start = loss.get(f'start_pref_{label[0]}', defaults[label])
    return bool(start or loss.get(f'limit_pref_{label[0]}', start))


def _check_ports(inputs: dict[str, Any], content: dict[str, Any]) -> str | None:
    heads = heads_of(content['input'])
    for port in (TRAINING, VALIDATION):
        given, needed = (f'head_{port}', port) if not heads else (port, f'head_{port}')
        if inputs.get(given):
            kind = 'several heads' if heads else 'one head'
            return f'{given}: the model has {kind}: give `{needed}` instead.'
    if not frames_by_head(inputs, TRAINING):
        return f'{f"head_{TRAINING}" if heads else TRAINING}: there are no training frames: give some.'
    for port in (TRAINING, VALIDATION):
        named = set(inputs.get(f'head_{port}', {}))
        if unknown := sorted(named - set(heads)):
            return f'head_{port}: the model has no head `{unknown[0]}`: choose one of {", ".join(heads)}.'
    if missing := sorted(set(heads) - set(frames_by_head(inputs, TRAINING))):
        return f'head_{TRAINING}: there are no frames for the head `{missing[0]}`: give some.'
    return None


def _check_frames(inputs: dict[str, Any], content: dict[str, Any]) -> str | None:
    known = type_map_of(content['input']['model']) or known_elements(inputs)
    for port in (TRAINING, VALIDATION):
        for head, frames in frames_by_head(inputs, port).items():
            place = f'head_{port}.{head}' if head else port
            section = f'input.loss_dict.{head}' if head else 'input.loss'
            loss = content['input'].get('loss_dict', {})[head] if head else content['input'].get('loss', {})
            missing = sorted(set(frames.elements) - set(known))
            if missing:
                elements, types = ', '.join(missing), ' '.join(known)
                return f'{place}: {elements} is not in the type map {types}: add it to `input.model.type_map`.'
            weighed = [name for name in ('energy', 'force', 'virial') if _is_weighed(loss, name)]
            lacking = [name for name in weighed if name not in frames.labels]
            if lacking:
                key = f'`{section}.start_pref_{lacking[0][0]}` and `limit_pref_{lacking[0][0]}`'
                return f'{place}: frames have no {lacking[0]} to train on: label them, or set {key} to 0.'
    return None
