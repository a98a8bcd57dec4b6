"""The input of ``dp train``: validated with DeePMD-kit's own checker, completed with data paths and seeds.

The checker is imported without any backend (0.25 s), so that an invalid input is refused at submission and not after
hours in a queue.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiida_dpasse.deepmd.engine import BACKENDS, COMPILED
from aiida_dpasse.deepmd.model_kind import descriptor_type
from aiida_dpasse.deepmd.multitask import (
    check_heads,
    data_sections,
    is_multitask,
    type_map_of,
    with_type_map,
    without_sharing,
)
from aiida_dpasse.quoting import line
from aiida_dpasse.seeds import derive_seed

#: System directories, by head if there are several.
Systems = Sequence[str] | Mapping[str, Sequence[str]]
#: Descriptors that DeePMD-kit trains in PyTorch but not in TensorFlow.
PYTORCH_ONLY = frozenset({'dpa2', 'dpa3', 'dpa4', 'DPA4', 'SeZM', 'sezm', 'dpa4c', 'DPA4C', 'se_e3_tebd'})
#: Sections that `check_input` reads; all but ``validating`` and ``optimizer`` must be there.
REQUIRED = ('model', 'learning_rate', 'training')

#: Text that is a path out of the job's folder, one of AiiDA's own files in it, an option of a program, or no single
#: line. Many keys name files (`stat_file`, `tensorboard_log_dir`, `tab_file`, ...), and other releases have others.
_OUTSIDE = re.compile(r'^[/~\\-]|(^|[/\\])(\.\.|_aiida|\.aiida)|^[A-Za-z][\w+.-]*:[/\\]|[\0-\x1f\x7f]')
#: Files that a job reads when the training has ended.
_FIXED = {'disp_file': 'lcurve.out', 'save_ckpt': 'model.ckpt'}
#: Names of heads, which become arguments of ``dp`` and columns of the learning curve.
_HEAD = re.compile(r'\w[\w.+-]*', re.ASCII)
DEEPEST = 40
#: Cutoffs in A; each may have a counterpart with `_smth`, the radius from which neighbours are smoothly switched off.
_CUTOFFS = frozenset({'rcut', 'e_rcut', 'a_rcut', 'three_body_rcut'})
#: Widths and numbers of neighbours.
_COUNTS = frozenset({'neuron', 'axis_neuron', 'nsel', 'three_body_sel', 'e_sel', 'a_sel', 'nlayers', 'tebd_dim'})

_POSITIVE = {
    'training': ('numb_steps', 'save_freq', 'disp_freq', 'gradient_max_norm'),
    'learning_rate': ('start_lr', 'stop_lr', 'decay_steps'),
}


def check_input(content: Mapping[str, Any], backend: str, finetune: bool = False) -> str | None:
    """Return one sentence that describes an error in a training input, or None if ``dp train`` will accept it.

    :param content: sections model, learning_rate, training and loss (``loss_dict``, by head, for several heads); data
        paths may be missing.
    :param backend: 'pytorch' or 'tensorflow'.
    :param finetune: whether descriptor and fitting net come from a pre-trained model and so may be empty.
    """
    if backend not in BACKENDS:
        return f'backend: `{backend}` is unknown, choose one of {", ".join(BACKENDS)}.'
    for section in REQUIRED:
        if not isinstance(content.get(section), Mapping):
            return f'The training input lacks the section `{section}`: add it.'
    try:
        if message := _check_text(content) or _check_fixed(content) or check_heads(content, backend):
            return message
        filled = _with_placeholders(content, finetune)
        message = _check_with_deepmd(filled) or _check_numbers(content) or _check_backend(filled, backend)
    except Exception:
        # DeePMD-kit's checker fails on sections of the wrong type instead of reporting them.
        message = 'The training input has a section of the wrong type: compare it with an example of DeePMD-kit.'
    return message and line(message)


def _check_text(value: Any, path: str = '', depth: int = 0) -> str | None:
    """Return one sentence if text anywhere names a file outside the job's folder, or a number is not finite."""
    place = f'`{path}` of the training input' if path else 'The training input'
    if depth > DEEPEST:
        return f'The training input is nested more than {DEEPEST} levels deep: correct it.'
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str) or not name.isprintable():
                return f'{place} has the key {name!r}: rename it.'
            # DeePMD-kit ignores keys that begin with an underscore.
            inner = f'{path}.{name}' if path else name
            if not name.startswith('_') and (message := _check_text(item, inner, depth + 1)):
                return message
    elif isinstance(value, (list, tuple)):
        for item in value:
            if message := _check_text(item, path, depth + 1):
                return message
    elif isinstance(value, str) and _OUTSIDE.search(value):
        return f'{place} names {value[:60]!r}: only files in the folder of the job can be named.'
    elif isinstance(value, (int, float)) and not abs(value) < LARGEST:
        return f'{place} should be a finite number below {LARGEST:g}, got {value:.4g}.'
    return None


#: No number of a training is larger; an integer beyond is no number of DeePMD-kit.
LARGEST = 1e18


def _check_fixed(content: Mapping[str, Any]) -> str | None:
    """Return one sentence if a file that the job reads is to have another name, or the name of a head is no word."""
    for name, fixed in _FIXED.items():
        if content['training'].get(name, fixed) != fixed:
            return f'`training.{name}` of the training input is set by the job ({fixed}): remove it.'
    for head in content['model'].get('model_dict') or {}:
        if not _HEAD.fullmatch(head):
            return f'The training input has the head {head!r}: name it with letters, digits and underscores.'
    return None


def _with_placeholders(content: Mapping[str, Any], finetune: bool) -> dict[str, Any]:
    filled = copy.deepcopy(dict(content))
    for _, section in data_sections(filled):
        section.setdefault('training_data', {}).setdefault('systems', ['data'])
        if 'validation_data' in section:
            section['validation_data'].setdefault('systems', ['data'])
    if is_multitask(content):
        filled['model'] = without_sharing(filled['model'])
    elif finetune:
        model = filled['model']
        if not model.get('descriptor'):
            # A model type of DeePMD-kit (`dpa4`, which LoRA needs) determines its descriptor.
            model['descriptor'] = {} if 'type' in model else {'type': 'se_e2_a', 'rcut': 6.0}
        model.setdefault('fitting_net', {})
    return filled


def _check_with_deepmd(content: dict[str, Any]) -> str | None:
    from dargs.dargs import ArgumentError
    from deepmd.utils.argcheck import normalize

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            normalize(content, multi_task=is_multitask(content))
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
    for path, part in _sections(content['model']):
        if message := _check_sizes(part, f'model.{path.replace("/", ".")}'):
            return message
    return None


def _check_sizes(section: Mapping[str, Any], path: str) -> str | None:
    """Return one sentence if a cutoff or a size of a descriptor or fitting net, at any depth, is invalid."""
    for name, value in section.items():
        place = f'`{path}.{name}` of the training input'
        if isinstance(value, Mapping) and (message := _check_sizes(value, f'{path}.{name}')):
            return message
        numbers = [item for item in (value if isinstance(value, list) else [value]) if _is_number(item)]
        if name in _CUTOFFS:
            smooth = section.get(f'{name}_smth')
            if not all(number > 0 for number in numbers):
                return f'{place} is a distance in A, got {value}: give one greater than 0.'
            if smooth is not None and _is_number(smooth) and _is_number(value) and not 0 <= smooth < value:
                return (
                    f'`{path}.{name}_smth` of the training input should be from 0 to below `{name}` ({value}), got '
                    f'{smooth}.'
                )
        # `[0]` stands for the width of the descriptor in a DPA-4.
        if name in _COUNTS and value != [0] and not all(number > 0 for number in numbers):
            return f'{place} should be greater than 0, got {value}.'
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_backend(content: Mapping[str, Any], backend: str) -> str | None:
    if backend == 'pytorch':
        return None
    kinds = {str(item.get('type')) for _, item in _sections(content['model']) if 'type' in item}
    if refused := sorted(kinds & PYTORCH_ONLY):
        return f'The descriptor `{refused[0]}` trains in PyTorch only: choose the backend `pytorch`.'
    training = content['training']
    steps = training['numb_steps']
    save, display = (training.get(name, 1000) for name in ('save_freq', 'disp_freq'))
    # dp saves at displayed steps only, and after the last step only if `save_freq` does not divide it.
    if steps % save == 0 and steps % display != 0:
        return (
            f'`training.disp_freq` ({display}) should divide `numb_steps` ({steps}), as `save_freq` ({save}) does: '
            'otherwise TensorFlow writes no checkpoint of the last step.'
        )
    return None


def check_compressible(model: Mapping[str, Any]) -> str | None:
    """Return one sentence if ``dp compress`` cannot compress the model, as far as its section shows; None otherwise.

    :param model: model section of a training input.
    """
    descriptor = model.get('descriptor') or {}
    kind = descriptor.get('type')
    if kind == 'dpa3':
        return 'DPA-3 cannot be compressed: take it out.'
    if descriptor_type(descriptor, {'type': '', **model}) in COMPILED:
        return 'DPA-4 is compressed into compiled code (`.pt2`) only, which is not supported: take it out.'
    if kind == 'dpa2' and descriptor.get('repinit', {}).get('tebd_input_mode') != 'strip':
        return 'DPA-2 is compressed only with `descriptor.repinit.tebd_input_mode` "strip": set it or take it out.'
    if kind in ('se_atten', 'dpa1') and descriptor.get('attn_layer', 2) != 0:
        return 'DPA-1 is compressed only without attention: set `descriptor.attn_layer` to 0 or take it out.'
    if kind in ('se_atten', 'dpa1') and descriptor.get('tebd_input_mode') != 'strip':
        return 'DPA-1 is compressed only with `descriptor.tebd_input_mode` "strip": set it or take it out.'
    return None


def _sections(model: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and section of every descriptor and fitting net, including heads and members of hybrid descriptors."""
    for name, entry in model.get('shared_dict', {}).items():
        if isinstance(entry, dict):
            yield f'shared/{name}', entry
    for head, parts in model.get('model_dict', {}).items():
        yield from ((f'{head}/{path}', section) for path, section in _sections(parts))
    for name in ('descriptor', 'fitting_net', 'type_embedding'):
        section = model.get(name)
        if isinstance(section, dict):
            yield name, section
            for index, member in enumerate(section.get('list', [])):
                if isinstance(member, dict):
                    yield f'{name}/{index}', member


def has_automatic_sel(model: Mapping[str, Any]) -> bool:
    """Whether ``dp train`` has to count neighbours because a number of neighbours is ``auto``.

    :param model: model section of a training input.
    """
    return any(
        str(value).startswith('auto')
        for _, section in _sections(model)
        for value in _values_of(section, ('sel', 'nsel'))
    )


def _values_of(section: Mapping[str, Any], endings: tuple[str, ...]) -> Iterator[Any]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _values_of(value, endings)
        elif name.endswith(endings):
            yield from value if isinstance(value, list) else [value]


def fill_seeds(content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return a copy in which every missing seed, of the weights and of the order of the data, is derived from ``seed``.

    :param content: training input.
    :param seed: master seed.
    """
    filled = copy.deepcopy(dict(content))
    for path, section in _sections(filled.get('model', {})):
        # A hybrid descriptor has no seed of its own and passes none to its members.
        if 'list' not in section and section.get('seed') is None:
            section['seed'] = derive_seed(seed, 'model', path)
    training = filled.setdefault('training', {})
    if training.get('seed') is None:
        training['seed'] = derive_seed(seed, 'training')
    return filled


def complete_input(
    content: Mapping[str, Any],
    *,
    training_systems: Systems,
    validation_systems: Systems = (),
    type_map: Sequence[str] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the complete input of ``dp train``.

    :param content: the sections without data paths; batch sizes are kept.
    :param training_systems: system directories as the program will see them, by head if there are several.
    :param validation_systems: likewise; a ``validation_data`` section without systems is dropped.
    :param type_map: the elements, used if the model section contains none.
    :param seed: used to derive every missing seed; None leaves them random.
    """
    filled = copy.deepcopy(dict(content)) if seed is None else fill_seeds(content, seed)
    if is_multitask(filled):
        filled['model'] = with_type_map(filled['model'], list(type_map))
    elif type_map and not type_map_of(filled['model']):
        filled['model']['type_map'] = list(type_map)
    for head, section in data_sections(filled):
        section['training_data'] = {'batch_size': 'auto'} | section.get('training_data', {})
        section['training_data']['systems'] = _systems(training_systems, head)
        if validation := _systems(validation_systems, head):
            defaults = {'batch_size': section['training_data']['batch_size'], 'numb_btch': 1}
            section['validation_data'] = defaults | section.get('validation_data', {})
            section['validation_data']['systems'] = validation
        else:
            section.pop('validation_data', None)
    return filled


def _systems(given: Systems, head: str | None) -> list[str]:
    return list(given.get(head or '', ()) if isinstance(given, Mapping) else given)
