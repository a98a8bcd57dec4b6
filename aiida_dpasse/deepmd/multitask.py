"""DeePMD-kit's multi-task mode: several heads on one descriptor, with one dataset and one loss per head."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from aiida_dpasse.unreadable import UnreadableError

#: Parts of a head that `shared_dict` may contain for all heads.
_SHARED = ('type_map', 'descriptor', 'fitting_net')


def is_multitask(content: Mapping[str, Any]) -> bool:
    """Whether the model has several heads (DeePMD-kit's multi-task mode)."""
    model = content.get('model')
    return isinstance(model, Mapping) and 'model_dict' in model


def heads_of(content: Mapping[str, Any]) -> list[str]:
    """Return the names of the heads; empty for a single-task model.

    :param content: training input.
    """
    return list(content['model']['model_dict']) if is_multitask(content) else []


def type_map_of(model: Mapping[str, Any]) -> list[str]:
    """Return the elements of a model section, those of all heads joined in order; empty if it contains none.

    :param model: model section of a training input.
    """
    found = (name for section in single_heads(model).values() for name in section.get('type_map', []))
    return list(dict.fromkeys(found)) if 'model_dict' in model else list(model.get('type_map', []))


def single_heads(model: Mapping[str, Any]) -> dict[str | None, Mapping[str, Any]]:
    """Return the model section of each head, with shared entries filled in.

    :param model: model section of a checkpoint.
    :return: sections by head; the head of a model without heads is None.
    :raises UnreadableError: if a head names an entry that ``shared_dict`` does not contain.
    """
    if 'model_dict' not in model:
        return {None: model}
    return {name: {**head, **_shared_parts(model, name, head)} for name, head in _heads(model).items()}


def single_model(model: Mapping[str, Any], head: str | None = None) -> dict[str, Any]:
    """Return descriptor and fitting net of a model section.

    :param model: model section.
    :param head: the head to take them from if there are several; the first by default.
    """
    if 'model_dict' not in model:
        return {name: copy.deepcopy(model.get(name, {})) for name in ('descriptor', 'fitting_net')}
    shared, chosen = model.get('shared_dict', {}), model['model_dict'][head or next(iter(model['model_dict']))]
    return {
        name: copy.deepcopy(shared[entry.partition(':')[0]] if isinstance(entry, str) else entry)
        for name in ('descriptor', 'fitting_net')
        for entry in (chosen.get(name, {}),)
    }


def without_sharing(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model section with shared entries copied into every head, the form that DeePMD-kit's checker accepts.

    :param model: model section of a multi-task training.
    :raises UnreadableError: if a head references an entry that ``shared_dict`` does not contain.
    """
    return {'model_dict': copy.deepcopy(single_heads(model))}


def _heads(model: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    heads = model['model_dict']
    if not isinstance(heads, Mapping) or not all(isinstance(head, Mapping) for head in heads.values()):
        raise UnreadableError('`model_dict` is not a section of heads')
    return heads


def _shared_parts(model: Mapping[str, Any], name: str, head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of ``shared_dict`` that a head names in place of its own."""
    shared = model.get('shared_dict') or {}
    if not isinstance(shared, Mapping):
        raise UnreadableError('`shared_dict` is not a section')
    found = {}
    for part in _SHARED:
        entry = head.get(part)
        if not isinstance(entry, str):
            continue
        key = entry.partition(':')[0]
        if key not in shared:
            known = ', '.join(map(str, shared)) or 'nothing'
            raise UnreadableError(f'`model.model_dict.{name}.{part}` names `{entry}`, `shared_dict` holds {known}')
        found[part] = shared[key]
    return found


def with_type_map(model: Mapping[str, Any], type_map: list[str]) -> dict[str, Any]:
    """Return a copy whose heads share ``type_map``, unless one of them has its own.

    :param model: model section of a multi-task training.
    :param type_map: elements.
    """
    filled = copy.deepcopy(dict(model))
    if not type_map or type_map_of(filled):
        return filled
    filled.setdefault('shared_dict', {})['type_map'] = list(type_map)
    for head in filled['model_dict'].values():
        head['type_map'] = 'type_map'
    return filled


def data_sections(content: Mapping[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield each head and the section that holds its ``training_data`` and ``validation_data``, created if missing.

    For a single-task model the head is None, and the section is ``training`` itself.

    :param content: training input.
    """
    training = content['training']
    if not is_multitask(content):
        yield None, training
        return
    sections = training.setdefault('data_dict', {})
    for head in heads_of(content):
        yield head, sections.setdefault(head, {})


def check_heads(content: Mapping[str, Any], backend: str) -> str | None:
    """Return one sentence that describes an inconsistency between the heads, None if they are consistent.

    :param content: training input.
    :param backend: 'pytorch' or 'tensorflow'.
    """
    if not is_multitask(content):
        return None
    if backend != 'pytorch':
        return 'Several heads (`model_dict`) are trained in PyTorch only: choose the backend `pytorch`.'
    heads = heads_of(content)
    training = content['training']
    for path, section in (
        ('loss_dict', content.get('loss_dict')),
        ('training.model_prob', training.get('model_prob')),
        ('training.data_dict', training.get('data_dict')),
    ):
        if section is None:
            continue
        if unknown := sorted(set(section) - set(heads)):
            return f'`{path}` of the training input names `{unknown[0]}`, the heads are {", ".join(heads)}.'
    missing = [head for head in heads if head not in content.get('loss_dict', {})]
    if missing:
        return f'The training input has no loss for the head `{missing[0]}`: add it to `loss_dict`.'
    return None
