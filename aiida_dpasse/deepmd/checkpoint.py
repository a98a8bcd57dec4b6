"""Metadata of DeePMD-kit model files, read without executing any of their content.

A PyTorch file is a pickle, and an untrusted pickle can execute arbitrary code when it is loaded. Here `inert_pickle`
evaluates it with stand-ins for all globals, the code of a ``.pth`` is scanned by `script_scan`, and a ``.pb`` is parsed
with a minimal reader of protobuf's wire format, and the operations of its graph are compared with a list; neither torch
nor TensorFlow is imported.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida_dpasse import quoting
from aiida_dpasse.deepmd.allowed_operations import GRAPH
from aiida_dpasse.deepmd.frozen_graph import FrozenGraph, read_frozen_graph
from aiida_dpasse.deepmd.inert_pickle import RefusedError, Tensor, Thing, evaluate
from aiida_dpasse.deepmd.model_kind import check_potential, descriptor_type
from aiida_dpasse.deepmd.model_section import MOST_HEADS, check_elements, check_section, check_training, plain
from aiida_dpasse.deepmd.model_zip import ModelZip, is_zip
from aiida_dpasse.deepmd.multitask import single_heads, type_map_of
from aiida_dpasse.deepmd.script_scan import scan_script
from aiida_dpasse.unreadable import UnreadableError

#: Last part of the names of DeePMD-kit's trainable arrays in a PyTorch state.
_WEIGHTS = ('matrix', 'bias', 'idt')
_RESIDUALS = 'residual'
#: Files and folders of the zips that PyTorch writes for models: of checkpoints, and further ones of frozen models.
_FILES = {'data.pkl', 'data', 'byteorder', 'version', '.data', '.format_version', '.storage_alignment'}
_SCRIPT_FILES = _FILES | {'constants.pkl', 'constants', 'code', 'extra'}
#: Endings of machine code in a zip.
_MACHINE_CODE = ('.so', '.cubin', '.o', '.dll')
_COMPRESSED = ('compress', 'geo_compress', 'tebd_compress')
#: Written by DPA-2 since DeePMD-kit 3.1; checkpoints of 3.0 lack it and cannot be loaded by later versions.
_SINCE_3_1 = 'type_embd_data'
#: Argument that DeePMD-kit's Python gives to every frozen model since this release; LAMMPS never gives it.
_ARGUMENT, _ARGUMENT_SINCE = b'charge_spin', '3.2'
#: Cutoff in A of a DPA-4 whose model section has none.
_DPA4_CUTOFF = 6.0
#: Stands for the name of the file in a message.
_NAME = '{name}'
#: What to do with files of the other formats, by the ending of their names.
_CONVERT = 'convert it with `dp convert-backend {name} {stem}.pth`'
_COMPILED = f'contains compiled code, which is not read: give the checkpoint from which it was frozen, or {_CONVERT}'
_FREEZE = 'is a part of a TensorFlow checkpoint: freeze it with `dp --tf freeze -o model.pb`'
_OTHER_FORMATS = {
    '.pt2': _COMPILED,
    '.pte': _COMPILED,
    '.dp': f"is a model in DeePMD-kit's own format: {_CONVERT}",
    '.yaml': f"is a model in DeePMD-kit's own format: {_CONVERT}",
    '.yml': f"is a model in DeePMD-kit's own format: {_CONVERT}",
    '.json': f'is a model of the backend Paddle: {_CONVERT}, where Paddle is installed',
    '.pd': f'is a model of the backend Paddle: {_CONVERT}, where Paddle is installed',
    '.jax': f'is a model of the backend JAX: {_CONVERT}, where JAX is installed',
    '.hlo': f'is a model of the backend JAX: {_CONVERT}, where JAX is installed',
    '.savedmodel': f'is a model of the backend JAX: {_CONVERT}, where JAX is installed',
    '.savedmodeltf': f'is a model of the backend TensorFlow 2: {_CONVERT}',
    '.pbtxt': 'is a graph as text: convert it with `dp convert-from pbtxt -i {name} -o {stem}.pb`',
    '.meta': _FREEZE,
    '.index': _FREEZE,
    '.data-00000-of-00001': _FREEZE,
}


@dataclass(frozen=True)
class ModelFile:
    """Metadata of a model file.

    :param backend: 'pytorch' or 'tensorflow'.
    :param form: 'checkpoint', 'frozen' or 'compressed'.
    :param descriptor: types of descriptor, joined by '+'.
    :param type_map: elements.
    :param cutoff: largest cutoff radius of the descriptors in A.
    :param parameters: number of trainable parameters, None if the file does not contain it.
    :param heads: names of the heads of a multi-task checkpoint that are potentials.
    :param other_heads: its other heads, with the reason why each is no potential.
    :param training_input: the whole training input for TensorFlow, its model section for PyTorch.
    :param step: training steps of a checkpoint.
    :param needs_migration: whether it is a DPA-2 checkpoint of DeePMD-kit 3.0.
    :param python_before: first release of DeePMD-kit whose Python cannot evaluate the frozen model, which LAMMPS still
        runs; None if every release can.
    """

    backend: str
    form: str
    descriptor: str
    type_map: list[str]
    cutoff: float
    parameters: int | None = None
    heads: list[str] = field(default_factory=list)
    other_heads: dict[str, str] = field(default_factory=dict)
    training_input: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    needs_migration: bool = False
    python_before: str | None = None


def read_model_file(path: str | Path, name: str | None = None) -> ModelFile:
    """Return the metadata of a potential in a ``.pt``, ``.pth`` or ``.pb`` file.

    :param path: the file.
    :param name: its name, if ``path`` does not end in it (as in a repository); used for the check of the ending and in
        messages.
    :raises UnreadableError: in one sentence, if it is not a DeePMD-kit model, not a potential, or not safe to read.
    """
    path = Path(path)
    name = quoting.line(name or path.name)
    for ending, advice in _OTHER_FORMATS.items():
        if name.endswith(ending):
            raise UnreadableError(f'`{name}` {advice.format(name=name, stem=name.removesuffix(ending))}.')
    try:
        if not path.is_file():
            raise UnreadableError(f'`{name}` is no file: give the path of a `.pt`, `.pth` or `.pb` model.')
        return _read(path)
    except RefusedError as exception:
        message = f'is refused: {exception}.'
    except _NoPotentialError as exception:
        message = str(exception).replace(_NAME, name)
    except OSError as exception:
        message = f'cannot be read ({exception.strerror}): check its permissions and its disk.'
    except UnreadableError as exception:
        if str(exception).startswith(f'`{name}`'):
            raise
        message = f'is no model of DeePMD-kit ({exception}): give a `.pt`, `.pth` or `.pb` file.'
    raise UnreadableError(f'`{name}` {quoting.line(message)}') from None


def hash_of(path: str | Path) -> str:
    """Return the SHA-256 of a file.

    :param path: the file.
    """
    with Path(path).open('rb') as handle:
        return hashlib.file_digest(handle, 'sha256').hexdigest()


def _read(path: Path) -> ModelFile:
    if is_zip(path):
        with ModelZip(path) as archive:
            return _read_pytorch(archive)
    with path.open('rb') as handle:
        magic = handle.read(2)
        if magic in (b'\x80\x02', b'\x80\x03', b'\x80\x04', b'\x80\x05'):
            raise UnreadableError('it is a bare pickle, not the zip that PyTorch writes')
        if not magic:
            raise UnreadableError('it is empty, and neither a zip nor a TensorFlow graph')
        # Constants of a graph are passed over, so that the file is not read into memory.
        content = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    return _read_tensorflow(read_frozen_graph(content))


class _NoPotentialError(UnreadableError):
    """The model cannot be used as a potential; the message is the rest of a sentence that begins with its name."""


# -- PyTorch ---------------------------------------------------------------------------------------------------------


def _read_pytorch(archive: ModelZip) -> ModelFile:
    if any(name.lower().endswith(_MACHINE_CODE) for name in archive.names):
        raise RefusedError('it contains machine code: give the checkpoint from which it was compiled')
    if 'data.pkl' not in archive.names:
        raise UnreadableError('its zip has no `data.pkl`')
    script = 'constants.pkl' in archive.names
    known = _SCRIPT_FILES if script else _FILES
    if others := [name for name in archive.names if name.partition('/')[0] not in known]:
        raise RefusedError(f'its zip holds `{others[0][:200]}`, which PyTorch does not write for a model')
    return _read_torchscript(archive) if script else _read_checkpoint(archive)


def _read_checkpoint(archive: ModelZip) -> ModelFile:
    state = _mapping(evaluate(archive.read('data.pkl')))
    weights = _mapping(state.get('model', state))
    if '_extra_state' not in weights:
        _check_weights(archive, weights)
        raise _NoPotentialError(
            'contains weights without the model section that describes them: give the checkpoint that `dp train` '
            'wrote (`model.ckpt.pt`).'
        )
    extra = _mapping(weights['_extra_state'])
    model = plain(_mapping(extra.get('model_params')))
    step = _mapping(extra.get('train_infos', {})).get('step')
    if step is not None and (not isinstance(step, int) or not 0 <= step < 2**53):
        raise UnreadableError('its number of steps is not a count')
    names = [str(name) for name in weights]
    # The exportable backend names its arrays otherwise, and counts steps from one.
    exportable = any(name.endswith('.w') for name in names)
    dpa2 = any('.repinit.' in name for name in names)
    described = _describe(model, checkpoint=True)
    _check_weights(archive, weights)
    return ModelFile(
        backend='pytorch',
        form='checkpoint',
        **described,
        parameters=_count_trained(state) or _count_parameters(weights),
        training_input={'model': model},
        # DeePMD-kit counts from zero.
        step=None if step is None else step + (0 if exportable else 1),
        needs_migration=dpa2 and not any(name.endswith(f'.repinit.{_SINCE_3_1}') for name in names),
    )


def _check_weights(archive: ModelZip, weights: Mapping[str, Any]) -> None:
    """Check that there are weights, and that the zip contains the numbers of all of them."""
    tensors = [value for value in weights.values() if isinstance(value, Tensor)]
    if not any(tensor.size for tensor in tensors):
        raise UnreadableError('it contains no weights')
    for tensor in tensors:
        storage, file = tensor.storage, f'data/{tensor.storage.key}'
        if tensor.size and (not archive.is_stored(file) or archive.size(file) < storage.count * storage.item_bytes):
            raise UnreadableError('weights are missing in it, copy it again')


def _count_trained(state: Mapping[str, Any]) -> int:
    """Return the number of parameters for which the optimizer keeps a momentum, 0 if the file contains none."""
    moments = _mapping(_mapping(state.get('optimizer') or {}).get('state', {})).values()
    found = (entry.get('exp_avg', entry.get('momentum_buffer')) for entry in map(_mapping, moments))
    return sum(moment.size for moment in found if isinstance(moment, Tensor))


def _count_parameters(weights: Mapping[str, Any]) -> int | None:
    if any('.adam_type_embedding' in str(name) for name in weights):
        return None  # the names of DPA-4's arrays do not tell which are trained
    # A network can be listed under several names, and heads share a descriptor: each storage counts once.
    found: dict[tuple[str, int], int] = {}
    for name, tensor in weights.items():
        parts = str(name).split('.')
        trained = parts[-1] in _WEIGHTS or any(part.endswith(_RESIDUALS) for part in parts[-2:])
        if isinstance(tensor, Tensor) and trained:
            found[tensor.storage.key, tensor.offset] = tensor.size
    return sum(found.values())


def _read_torchscript(archive: ModelZip) -> ModelFile:
    top = evaluate(archive.read('data.pkl'), script=True)
    things, tensors = _parts_of_script(top)
    states = [thing.state for thing in things if isinstance(thing.state, Mapping)]
    script = next((state['model_def_script'] for state in states if 'model_def_script' in state), None)
    if not isinstance(script, str):
        raise UnreadableError('it has no `model_def_script`')
    evaluate(archive.read('constants.pkl'), script=True)
    # DeePMD-kit writes an empty description of these models.
    linear = any(thing.kind.endswith('LinearEnergyModel') for thing in things)
    model: dict[str, Any] = _json(script or '{}') if not linear else {'type': 'linear_ener'}
    if not model:
        raise _NoPotentialError('does not describe its model: freeze its checkpoint with DeePMD-kit 3.0 or later.')
    if archive.size('extra/data_modifier.pth'):
        model.setdefault('modifier', {'type': 'dipole_charge'})
    described = _describe(model)
    scan_script(archive)
    _check_weights(archive, tensors)
    return ModelFile(
        backend='pytorch',
        form='compressed' if any(state.get(name) is True for state in states for name in _COMPRESSED) else 'frozen',
        **described,
        training_input={'model': model},
        python_before=_python_before(archive),
    )


def _parts_of_script(top: Any) -> tuple[list[Thing], dict[str, Tensor]]:
    """Return all objects of a frozen model, the outer ones first, and its tensors."""
    things: list[Thing] = []
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    rest = [top]
    for item in rest:  # grows while it is walked
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Thing):
            things.append(item)
            rest.append(item.state)
        elif isinstance(item, Tensor):
            tensors[str(len(tensors))] = item
        elif isinstance(item, Mapping):
            rest += item.values()
        elif isinstance(item, list | tuple):
            rest += item
    return things, tensors


def _python_before(archive: ModelZip) -> str | None:
    code = [name for name in archive.names if '/model/model/' in name and name.endswith('.py')]
    given = any(_ARGUMENT in archive.read(name) for name in code)
    return None if given or not code else _ARGUMENT_SINCE


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise UnreadableError('it is damaged, or was written by another program')
    return value


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as exception:
        raise UnreadableError('its training input is damaged') from exception
    return dict(_mapping(plain(content)))


# -- TensorFlow ------------------------------------------------------------------------------------------------------


def _read_tensorflow(graph: FrozenGraph) -> ModelFile:
    script = graph.strings.get('train_attr/training_script')
    training_input = {'model': _model_of(graph)} if script is None else _json(script)
    model = dict(_mapping(training_input.get('model')))
    if modifier := graph.strings.get('modifier_attr/type'):
        model.setdefault('modifier', {'type': _decoded(modifier)})
    training_input['model'] = model
    check_training(training_input)
    described = _describe(model)
    if others := sorted(graph.operations - GRAPH):
        raise RefusedError(f"its graph holds the operation `{others[0]}`, which no model of DeePMD-kit's needs")
    if graph.functions:
        raise RefusedError('its graph defines functions, which no model of DeePMD-kit does')
    # In a compressed model, tables replace the networks they were computed from.
    compressed = graph.strings.get('model_type') == b'compressed_model'
    parameters = None if compressed else graph.count(_WEIGHTS)
    if not graph.weights or parameters == 0:
        raise UnreadableError('it contains no weights')
    return ModelFile(
        backend='tensorflow',
        form='compressed' if compressed else 'frozen',
        **described,
        parameters=parameters,
        training_input=training_input,
    )


def _model_of(graph: FrozenGraph) -> dict[str, Any]:
    """Return what a graph without its training input tells of its model: one converted from an earlier release."""
    old = 'model_attr/tmap' in graph.strings or any(name.startswith('Descrpt') for name in graph.operations)
    if not old:
        raise UnreadableError('it is a TensorFlow graph without a list of elements')
    if 'model_attr/model_version' not in graph.strings:
        raise _NoPotentialError(
            f'was written by DeePMD-kit 1.x or earlier: convert it with `dp convert-from -i {_NAME} -o converted.pb`, '
            'where TensorFlow is installed, and give the result.'
        )
    kinds = {'ProdEnvMatA': 'se_e2_a', 'ProdEnvMatR': 'se_e2_r'}
    descriptors = sorted({kind for name, kind in kinds.items() if name in graph.operations})
    cutoff = {'rcut': graph.numbers['descrpt_attr/rcut']} if 'descrpt_attr/rcut' in graph.numbers else {}
    numbers = {
        name: plain(graph.numbers.get(f'fitting_attr/{short}', 0))
        for name, short in (('numb_fparam', 'dfparam'), ('numb_aparam', 'daparam'))
    }
    return {
        'type_map': _decoded(graph.strings.get('model_attr/tmap', b'')).split(),
        'descriptor': {'type': '+'.join(descriptors) or 'unknown', **cutoff},
        'fitting_net': {
            'type': _decoded(graph.strings.get('model_attr/model_type', b'ener')),
            **{name: int(number) for name, number in numbers.items()},
        },
    }


def _decoded(text: bytes) -> str:
    try:
        return str(plain(text.decode()))
    except UnicodeDecodeError as exception:
        raise UnreadableError('it has text that is not Unicode') from exception


# -- shared ----------------------------------------------------------------------------------------------------------


def _describe(model: Mapping[str, Any], checkpoint: bool = False) -> dict[str, Any]:
    heads = single_heads(model)
    if len(heads) > MOST_HEADS:
        raise UnreadableError(f'it has {len(heads):,} heads')
    for head, section in heads.items():
        check_section(section, '' if head is None else f'model_dict.{head[:100]}.')
    objections = {head: check_potential(section, checkpoint) for head, section in heads.items()}
    others = {head: message for head, message in objections.items() if message}
    if len(others) == len(heads):
        raise _NoPotentialError(next(iter(others.values()), 'has no heads: give another model.'))
    for head, section in heads.items():
        check_elements(section.get('type_map', []), 'type_map' if head is None else f'model_dict.{head[:100]}.type_map')
    parts = [_part(section) for section in heads.values()]
    kinds = sorted({kind for _, kind in parts})
    type_map = type_map_of(model)
    if not type_map:
        raise UnreadableError('it names no elements')
    named = [] if None in heads else [str(head) for head in heads if head not in others]
    return {
        'descriptor': '+'.join(kinds),
        'type_map': type_map,
        'cutoff': max(_cutoff(descriptor, kind) for descriptor, kind in parts),
        'heads': named,
        'other_heads': {str(head): message for head, message in others.items()},
    }


def _part(section: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    descriptor = section.get('descriptor')
    if not isinstance(descriptor, Mapping):
        raise UnreadableError('its model section has no descriptor')
    return descriptor, descriptor_type(descriptor, section)


def _cutoff(descriptor: Mapping[str, Any], kind: str) -> float:
    """Return the largest cutoff radius of one layer of the descriptor, which is LAMMPS' cutoff, in A."""
    if descriptor.get('list'):
        return max(_cutoff(member, str(member.get('type'))) for member in descriptor['list'])
    sections = [descriptor, *(descriptor.get(name) or {} for name in ('repinit', 'repformer', 'repflow'))]
    found = [section[name] for section in sections for name in ('rcut', 'e_rcut') if name in section]
    if not found and kind in ('dpa4', 'dpa4c'):
        return _DPA4_CUTOFF
    if not found:
        raise UnreadableError('its descriptor has no cutoff')
    return float(max(found))
