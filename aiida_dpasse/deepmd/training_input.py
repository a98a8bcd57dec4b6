"""The input of ``dp train``: checked with DeePMD-kit's own checker, completed with data paths and seeds.

The checker is imported without any backend (0.25 s), so that a wrong input is refused where it is written and not
after hours in a queue.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiida_dpasse.seeds import derive_seed

BACKENDS = ('pytorch', 'tensorflow')
#: Where DeePMD-kit trains a descriptor in PyTorch but not in TensorFlow.
PYTORCH_ONLY = frozenset({'dpa2', 'dpa3', 'dpa4', 'SeZM', 'se_e3_tebd'})
#: Sections that `check_input` reads; all but ``validating`` and ``optimizer`` must be there.
REQUIRED = ('model', 'learning_rate', 'training')

_POSITIVE = {
    'training': ('numb_steps', 'save_freq', 'disp_freq', 'gradient_max_norm'),
    'learning_rate': ('start_lr', 'stop_lr', 'decay_steps'),
}


def is_multitask(content: Mapping[str, Any]) -> bool:
    """Whether the model has several heads (DeePMD-kit's multi-task mode)."""
    model = content.get('model')
    return isinstance(model, Mapping) and 'model_dict' in model


def type_map_of(model: Mapping[str, Any]) -> list[str]:
    """Return the elements of a model section, those of all heads joined in order; empty if it names none."""
    if 'model_dict' not in model:
        return list(model.get('type_map', []))
    shared = model.get('shared_dict', {})
    found: dict[str, None] = {}
    for head in model['model_dict'].values():
        entry = head.get('type_map', [])
        found |= dict.fromkeys(shared.get(entry, []) if isinstance(entry, str) else entry)
    return list(found)


def single_model(model: Mapping[str, Any], head: str | None = None) -> dict[str, Any]:
    """Return descriptor and fitting net of a model section, those of ``head`` if it has several."""
    if 'model_dict' not in model:
        return {name: copy.deepcopy(model[name]) for name in ('descriptor', 'fitting_net')}
    shared, chosen = model.get('shared_dict', {}), model['model_dict'][head or next(iter(model['model_dict']))]
    return {
        name: copy.deepcopy(shared[entry.partition(':')[0]] if isinstance(entry, str) else entry)
        for name in ('descriptor', 'fitting_net')
        for entry in (chosen[name],)
    }


def check_input(content: Mapping[str, Any], backend: str, finetune: bool = False) -> str | None:
    """Return one sentence that names what is wrong with a training input, or None if ``dp train`` will take it.

    :param content: model, learning_rate, loss and training sections; data paths may be missing.
    :param backend: 'pytorch' or 'tensorflow'.
    :param finetune: whether descriptor and fitting net come from a pre-trained model and so may be empty.
    """
    if backend not in BACKENDS:
        return f'backend: `{backend}` is unknown, choose one of {", ".join(BACKENDS)}.'
    if is_multitask(content):
        return (
            '`model` of the training input has several heads (`model_dict`): give one head, to train on these frames.'
        )
    for section in REQUIRED:
        if not isinstance(content.get(section), Mapping):
            return f'The training input lacks the section `{section}`: add it.'
    try:
        filled = _with_placeholders(content, finetune)
        message = _check_with_deepmd(filled) or _check_numbers(content) or _check_backend(filled, backend)
    except (AttributeError, TypeError) as exception:
        # DeePMD-kit's checker trips over sections of the wrong type instead of naming them.
        message = f'The training input has a section of the wrong type: {exception}.'
    return message


def _with_placeholders(content: Mapping[str, Any], finetune: bool) -> dict[str, Any]:
    filled = copy.deepcopy(dict(content))
    training = filled['training']
    training.setdefault('training_data', {}).setdefault('systems', ['data'])
    if 'validation_data' in training:
        training['validation_data'].setdefault('systems', ['data'])
    if finetune:
        model = filled['model']
        if not model.get('descriptor'):
            model['descriptor'] = {'type': 'se_e2_a', 'rcut': 6.0}
        model.setdefault('fitting_net', {})
    return filled


def _check_with_deepmd(content: dict[str, Any]) -> str | None:
    from dargs.dargs import ArgumentError
    from deepmd.utils.argcheck import normalize

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            normalize(content)
    except ArgumentError as exception:
        text = str(exception).rpartition('] ')[2].strip().rstrip('.')
        path = str(getattr(exception, 'path', None) or '').strip('/').replace('/', '.')
        place = f'`{path}` of the training input' if path else 'The training input'
        return f'{place} is refused by DeePMD-kit: {text}.'
    except ValueError as exception:
        return f'The training input is refused by DeePMD-kit: {exception}'
    return None


def _check_numbers(content: Mapping[str, Any]) -> str | None:
    for section, names in _POSITIVE.items():
        for name in names:
            value = content[section].get(name)
            if isinstance(value, (int, float)) and not value > 0:
                return f'`{section}.{name}` of the training input must be greater than 0, got {value}.'
    if 'numb_steps' not in content['training']:
        return '`training.numb_steps` of the training input is missing: give the number of steps.'
    type_map = type_map_of(content['model'])
    if len(set(type_map)) != len(type_map):
        return '`model.type_map` of the training input names an element twice: list each once.'
    return None


def _check_backend(content: Mapping[str, Any], backend: str) -> str | None:
    if backend == 'pytorch':
        return None
    kinds = {str(item.get('type')) for _, item in _sections(content['model']) if 'type' in item}
    refused = sorted(kinds & PYTORCH_ONLY)
    return f'The descriptor `{refused[0]}` trains in PyTorch only: choose the backend `pytorch`.' if refused else None


def check_compressible(model: Mapping[str, Any]) -> str | None:
    """Return one sentence if ``dp compress`` cannot compress the model, as far as its section tells."""
    descriptor = model.get('descriptor') or {}
    kind = descriptor.get('type')
    if kind == 'dpa3':
        return 'DPA-3 cannot be compressed: take it out.'
    if kind == 'dpa2' and descriptor.get('repinit', {}).get('tebd_input_mode') != 'strip':
        return 'DPA-2 is compressed only with `descriptor.repinit.tebd_input_mode` "strip": set it or take it out.'
    if kind in ('se_atten', 'dpa1') and descriptor.get('attn_layer', 2) != 0:
        return 'DPA-1 is compressed only without attention: set `descriptor.attn_layer` to 0 or take it out.'
    if kind in ('se_atten', 'dpa1') and descriptor.get('tebd_input_mode') != 'strip':
        return 'DPA-1 is compressed only with `descriptor.tebd_input_mode` "strip": set it or take it out.'
    return None


def _sections(model: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and section of every descriptor and fitting net, also those within a hybrid descriptor."""
    for name in ('descriptor', 'fitting_net', 'type_embedding'):
        section = model.get(name)
        if isinstance(section, dict):
            yield name, section
            for index, member in enumerate(section.get('list', [])):
                if isinstance(member, dict):
                    yield f'{name}/{index}', member


def fill_seeds(content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a copy in which every seed that is not given is derived from ``seed``: weights and order of the data."""
    filled = copy.deepcopy(dict(content))
    for path, section in _sections(filled.get('model', {})):
        # A hybrid descriptor hands no seed to its members and takes none itself.
        if 'list' not in section and section.get('seed') is None:
            section['seed'] = derive_seed(seed, 'model', path)
    training = filled.setdefault('training', {})
    if training.get('seed') is None:
        training['seed'] = derive_seed(seed, 'training')
    return filled


def complete_input(
    content: Mapping[str, Any],
    *,
    training_systems: Sequence[str],
    validation_systems: Sequence[str] = (),
    type_map: Sequence[str] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the input that ``dp train`` reads.

    :param content: the sections without data paths; batch sizes stay as they are.
    :param training_systems: system directories as the program will see them.
    :param validation_systems: likewise; a ``validation_data`` section without systems is dropped.
    :param type_map: the elements, used if the model section names none.
    :param seed: fills every seed that is not given; None leaves them random.
    """
    filled = copy.deepcopy(dict(content)) if seed is None else fill_seeds(content, seed)
    if type_map and not type_map_of(filled['model']):
        filled['model']['type_map'] = list(type_map)
    training = filled['training']
    training['training_data'] = {'batch_size': 'auto'} | training.get('training_data', {})
    training['training_data']['systems'] = list(training_systems)
    if validation_systems:
        defaults = {'batch_size': training['training_data']['batch_size'], 'numb_btch': 1}
        training['validation_data'] = defaults | training.get('validation_data', {})
        training['validation_data']['systems'] = list(validation_systems)
    else:
        training.pop('validation_data', None)
    return filled
