"""Metadata of DeePMD-kit model files, read without executing any of their content.

A PyTorch file is a pickle, and an untrusted pickle can execute arbitrary code when it is loaded. Here the globals of a
``.pt`` are limited to a fixed set of inert stand-ins, a ``.pth`` is scanned without being loaded, and a ``.pb`` is
parsed with a minimal reader of protobuf's wire format; neither torch nor TensorFlow is imported.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida_dpasse.deepmd.frozen_graph import FrozenGraph, read_frozen_graph
from aiida_dpasse.deepmd.model_kind import check_potential, descriptor_type
from aiida_dpasse.deepmd.multitask import single_heads, type_map_of
from aiida_dpasse.unreadable import UnreadableError

#: Last part of the names of DeePMD-kit's trainable arrays in a PyTorch state.
_WEIGHTS = ('matrix', 'bias', 'idt')
_RESIDUALS = 'residual'
_TENSORS = ('_rebuild_tensor_v2', '_rebuild_parameter')
_STORAGES = ('Double', 'Float', 'Half', 'BFloat16', 'Long', 'Int', 'Short', 'Char', 'Byte', 'Bool', 'Untyped')
#: Modules whose globals a TorchScript file references; they are resolved by DeePMD-kit's C++ side, never by Python.
_SCRIPT_MODULES = ('__torch__', 'torch', 'torch._utils', 'torch.jit._pickle', 'collections')
_SCRIPT_GLOBALS = ('OrderedDict', *_TENSORS, 'build_', 'restore_type_tag')
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
    :raises ValueError: in one sentence, if it is not a DeePMD-kit model, not a potential, or not safe to read.
    """
    path = Path(path)
    name = name or path.name
    for ending, advice in _OTHER_FORMATS.items():
        if name.endswith(ending):
            raise ValueError(f'`{name}` {advice.format(name=name, stem=name.removesuffix(ending))}.')
    if not path.is_file():
        raise ValueError(f'`{name}` is no file: give the path of a `.pt`, `.pth` or `.pb` model.')
    try:
        return _read(path)
    except _RefusedError as exception:
        raise ValueError(f'`{name}` is refused: {exception}.') from None
    except _NoPotentialError as exception:
        raise ValueError(f'`{name}` {str(exception).replace(_NAME, name)}') from None
    except _NOT_A_MODEL as exception:
        known = isinstance(exception, UnreadableError)
        reason = str(exception) if known else 'it is damaged, or was written by another program'
        raise ValueError(
            f'`{name}` is no model of DeePMD-kit ({reason}): give a `.pt`, `.pth` or `.pb` file.'
        ) from None


def _read(path: Path) -> ModelFile:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _read_pytorch(archive)
    with path.open('rb') as handle:
        magic = handle.read(4)
    if magic[:2] in (b'\x80\x02', b'\x80\x03', b'\x80\x04', b'\x80\x05'):
        raise UnreadableError('it is a bare pickle, not the zip that PyTorch writes')
    if magic == b'PK\x03\x04':
        raise UnreadableError('it was cut short, copy it again')
    return _read_tensorflow(path.read_bytes())


class _RefusedError(Exception):
    """The file references a global or an operation that a model does not need."""


class _NoPotentialError(Exception):
    """The model cannot be used as a potential; the message is the rest of a sentence that begins with its name."""


_NOT_A_MODEL = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


# -- PyTorch ---------------------------------------------------------------------------------------------------------


class _Storage:
    """Stand-in for a storage type; it cannot be called."""

    __slots__ = ()


@dataclass(frozen=True)
class _Tensor:
    """Stand-in for a tensor: its storage, offset and shape."""

    key: str
    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def _tensor(storage: Any, offset: Any, shape: Any, *_: Any) -> _Tensor:
    return _Tensor(str(storage), int(offset), tuple(int(length) for length in shape))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_GLOBALS: dict[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    ('torch._utils', '_rebuild_parameter'): _parameter,
    **{('torch', f'{kind}Storage'): _Storage() for kind in _STORAGES},
    ('torch.storage', 'UntypedStorage'): _Storage(),
}


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise _RefusedError(
                f'its pickle asks for `{module}.{name}`, which no model needs and which could run code'
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        kind, _, key, *_ = pid
        if kind != 'storage':
            raise _RefusedError(f'its pickle asks for a persistent object of the kind `{kind}`')
        return str(key)


def _read_pytorch(archive: zipfile.ZipFile) -> ModelFile:
    names = archive.namelist()
    pickles = [name for name in names if name.count('/') == 1 and name.endswith('/data.pkl')]
    if len(pickles) != 1:
        raise UnreadableError('its zip has no `data.pkl`')
    content = archive.read(pickles[0])
    prefix = pickles[0].partition('/')[0]
    if f'{prefix}/constants.pkl' in names:
        return _read_torchscript(archive, prefix, content)
    return _read_checkpoint(content)


def _read_checkpoint(content: bytes) -> ModelFile:
    state = _InertUnpickler(io.BytesIO(content)).load()
    weights = state.get('model', state)
    if '_extra_state' not in weights:
        if not any(isinstance(value, _Tensor) for value in weights.values()):
            raise UnreadableError('it contains no weights')
        raise _NoPotentialError(
            'contains weights without the model section that describes them: give the checkpoint that `dp train` '
            'wrote (`model.ckpt.pt`).'
        )
    extra = weights['_extra_state']
    model = dict(extra['model_params'])
    step = extra.get('train_infos', {}).get('step')
    names = [str(name) for name in weights]
    # The exportable backend names its arrays otherwise, and counts steps from one.
    exportable = any(name.endswith('.w') for name in names)
    dpa2 = any('.repinit.' in name for name in names)
    return ModelFile(
        backend='pytorch',
        form='checkpoint',
        **_describe(model, checkpoint=True),
        parameters=_count_trained(state) or _count_parameters(weights),
        training_input={'model': _plain(model)},
        # DeePMD-kit counts from zero.
        step=None if step is None else int(step) + (0 if exportable else 1),
        needs_migration=dpa2 and not any(name.endswith(f'.repinit.{_SINCE_3_1}') for name in names),
    )


def _count_trained(state: Mapping[str, Any]) -> int:
    """Return the number of parameters for which the optimizer keeps a momentum, 0 if the file contains none."""
    moments = (state.get('optimizer') or {}).get('state', {}).values()
    found = (entry.get('exp_avg', entry.get('momentum_buffer')) for entry in moments)
    return sum(moment.size for moment in found if isinstance(moment, _Tensor))


def _count_parameters(weights: Mapping[str, Any]) -> int | None:
    if any('.adam_type_embedding' in str(name) for name in weights):
        return None  # the names of DPA-4's arrays do not tell which are trained
    # A network can be listed under several names, and heads share a descriptor: each storage counts once.
    found: dict[tuple[str, int], int] = {}
    for name, tensor in weights.items():
        parts = str(name).split('.')
        trained = parts[-1] in _WEIGHTS or any(part.endswith(_RESIDUALS) for part in parts[-2:])
        if isinstance(tensor, _Tensor) and trained:
            found[tensor.key, tensor.offset] = tensor.size
    return sum(found.values())


def _read_torchscript(archive: zipfile.ZipFile, prefix: str, content: bytes) -> ModelFile:
    script: str | None = None
    compressed = linear = False
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ('GLOBAL', 'INST'):
            _check_script_global(*str(argument).split(' ', 1))
            linear = linear or 'LinearEnergyModel' in str(argument)
        elif opcode.name in ('STACK_GLOBAL', 'EXT1', 'EXT2', 'EXT4'):
            raise _RefusedError(f'its pickle holds the operation `{opcode.name}`, which TorchScript does not write')
        elif opcode.name.endswith('UNICODE'):
            if strings[-1:] == ['model_def_script'] and script is None:
                script = str(argument)
            strings.append(str(argument))
        elif opcode.name == 'NEWTRUE' and strings[-1:] and strings[-1] in _COMPRESSED:
            compressed = True
    if script is None:
        raise UnreadableError('it has no `model_def_script`')
    # DeePMD-kit writes an empty description of these models.
    model = json.loads(script or '{}') if not linear else {'type': 'linear_ener'}
    if not model:
        raise _NoPotentialError('does not describe its model: freeze its checkpoint with DeePMD-kit 3.0 or later.')
    sizes = {entry.filename.removeprefix(f'{prefix}/'): entry.file_size for entry in archive.infolist()}
    if sizes.get('extra/data_modifier.pth'):
        model.setdefault('modifier', {'type': 'dipole_charge'})
    return ModelFile(
        backend='pytorch',
        form='compressed' if compressed else 'frozen',
        **_describe(model),
        training_input={'model': model},
        python_before=_python_before(archive, [f'{prefix}/{name}' for name in sizes]),
    )


def _python_before(archive: zipfile.ZipFile, names: Sequence[str]) -> str | None:
    code = [name for name in names if '/model/model/' in name and name.endswith('.py')]
    given = any(_ARGUMENT in archive.read(name) for name in code)
    return None if given or not code else _ARGUMENT_SINCE


def _check_script_global(module: str, name: str) -> None:
    root = '__torch__' if module.startswith('__torch__.') else module
    known = root == '__torch__' or name.startswith(_SCRIPT_GLOBALS) or (root == 'torch' and name.endswith('Storage'))
    if root not in _SCRIPT_MODULES or not known:
        raise _RefusedError(f'its pickle asks for `{module}.{name}`, which no model needs and which could run code')


# -- TensorFlow ------------------------------------------------------------------------------------------------------


def _read_tensorflow(content: bytes) -> ModelFile:
    graph = read_frozen_graph(content)
    script = graph.strings.get('train_attr/training_script')
    training_input = {'model': _model_of(graph)} if script is None else json.loads(script)
    if modifier := graph.strings.get('modifier_attr/type'):
        training_input['model'].setdefault('modifier', {'type': modifier.decode()})
    # In a compressed model, tables replace the networks they were computed from.
    compressed = graph.strings.get('model_type') == b'compressed_model'
    return ModelFile(
        backend='tensorflow',
        form='compressed' if compressed else 'frozen',
        **_describe(training_input['model']),
        parameters=None if compressed else graph.count(_WEIGHTS),
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
    return {
        'type_map': graph.strings['model_attr/tmap'].decode().split(),
        'descriptor': {'type': '+'.join(descriptors) or 'unknown', 'rcut': graph.numbers['descrpt_attr/rcut']},
        'fitting_net': {
            'type': graph.strings.get('model_attr/model_type', b'ener').decode(),
            'numb_fparam': int(graph.numbers.get('fitting_attr/dfparam', 0)),
            'numb_aparam': int(graph.numbers.get('fitting_attr/daparam', 0)),
        },
    }


# -- shared ----------------------------------------------------------------------------------------------------------


def _describe(model: Mapping[str, Any], checkpoint: bool = False) -> dict[str, Any]:
    heads = single_heads(model)
    objections = {head: check_potential(section, checkpoint) for head, section in heads.items()}
    others = {head: message for head, message in objections.items() if message}
    if len(others) == len(heads):
        raise _NoPotentialError(next(iter(others.values()), 'has no heads: give another model.'))
    parts = [part for section in heads.values() for part in _parts(section)]
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


def _parts(section: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str]]:
    descriptor = section.get('descriptor')
    if not isinstance(descriptor, Mapping):
        raise UnreadableError('its model section has no descriptor')
    return [(descriptor, descriptor_type(descriptor, section))]


def _cutoff(descriptor: Mapping[str, Any], kind: str) -> float:
    """Return the largest cutoff radius of one layer of the descriptor, which is LAMMPS' cutoff, in A."""
    if 'list' in descriptor:
        return max(_cutoff(member, str(member.get('type'))) for member in descriptor['list'])
    sections = [descriptor, *(descriptor.get(name, {}) for name in ('repinit', 'repformer', 'repflow'))]
    found = [section[name] for section in sections for name in ('rcut', 'e_rcut') if name in section]
    if not found and kind in ('dpa4', 'dpa4c'):
        return _DPA4_CUTOFF
    if not found:
        raise UnreadableError('its descriptor has no cutoff')
    return float(max(found))


def _plain(value: Any) -> Any:
    """Convert to dictionaries, lists, strings and numbers, the types that attributes of a node can store."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
