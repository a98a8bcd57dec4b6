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
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida_dpasse.deepmd.frozen_graph import read_frozen_graph
from aiida_dpasse.deepmd.multitask import type_map_of

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


@dataclass(frozen=True)
class ModelFile:
    """Metadata of a model file.

    :param backend: 'pytorch' or 'tensorflow'.
    :param form: 'checkpoint', 'frozen' or 'compressed'.
    :param descriptor: types of descriptor, joined by '+'.
    :param type_map: elements.
    :param cutoff: largest cutoff radius of the descriptors in A.
    :param parameters: number of trainable parameters, None if the file does not contain it.
    :param heads: names of the heads of a multi-task checkpoint.
    :param training_input: the whole training input for TensorFlow, its model section for PyTorch.
    :param step: training steps of a checkpoint.
    :param needs_migration: whether it is a DPA-2 checkpoint of DeePMD-kit 3.0.
    """

    backend: str
    form: str
    descriptor: str
    type_map: list[str]
    cutoff: float
    parameters: int | None = None
    heads: list[str] = field(default_factory=list)
    training_input: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    needs_migration: bool = False


def read_model_file(path: str | Path, name: str | None = None) -> ModelFile:
    """Return the metadata of a ``.pt``, ``.pth`` or ``.pb`` file.

    :param path: the file.
    :param name: its name, if ``path`` does not end in it (as in a repository); used for the check of the ending
        ``.pt2`` and in messages.
    :raises ValueError: in one sentence, if it is not a DeePMD-kit model or not safe to read.
    """
    path = Path(path)
    name = name or path.name
    if name.endswith('.pt2'):
        raise ValueError(
            f'`{name}` holds compiled code, which is not read: give the `.pt`, `.pth` or `.pb` file of the model.'
        )
    if not path.is_file():
        raise ValueError(f'`{name}` is no file: give the path of a `.pt`, `.pth` or `.pb` model.')
    with path.open('rb') as handle:
        magic = handle.read(4)
    try:
        if not zipfile.is_zipfile(path):
            if magic[:2] in (b'\x80\x02', b'\x80\x03', b'\x80\x04', b'\x80\x05'):
                raise ValueError('it is a bare pickle, not the zip that PyTorch writes')
            return _read_tensorflow(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            return _read_pytorch(archive)
    except _RefusedError as exception:
        raise ValueError(f'`{name}` is refused: {exception}.') from None
    except _NOT_A_MODEL as exception:
        reason = str(exception) or type(exception).__name__
        raise ValueError(
            f'`{name}` is no model of DeePMD-kit ({reason}): give a `.pt`, `.pth` or `.pb` file.'
        ) from None


class _RefusedError(Exception):
    """The file references a global or an operation that a model does not need."""


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
        raise ValueError('its zip has no `data.pkl`')
    content = archive.read(pickles[0])
    prefix = pickles[0].partition('/')[0]
    if f'{prefix}/constants.pkl' in names:
        return _read_torchscript(content)
    return _read_checkpoint(content)


def _read_checkpoint(content: bytes) -> ModelFile:
    state = _InertUnpickler(io.BytesIO(content)).load()
    weights = state.get('model', state)
    extra = weights['_extra_state']
    model = dict(extra['model_params'])
    step = extra.get('train_infos', {}).get('step')
    names = [str(name) for name in weights]
    dpa2 = any('.repinit.' in name for name in names)
    return ModelFile(
        backend='pytorch',
        form='checkpoint',
        **_describe(model),
        parameters=_count_parameters(weights),
        heads=list(model.get('model_dict', {})),
        training_input={'model': _plain(model)},
        # DeePMD-kit counts from zero.
        step=None if step is None else int(step) + 1,
        needs_migration=dpa2 and not any(name.endswith(f'.repinit.{_SINCE_3_1}') for name in names),
    )


def _count_parameters(weights: Mapping[str, Any]) -> int:
    # A network can be listed under several names, and heads share a descriptor: each storage counts once.
    found: dict[tuple[str, int], int] = {}
    for name, tensor in weights.items():
        parts = str(name).split('.')
        trained = parts[-1] in _WEIGHTS or any(part.endswith(_RESIDUALS) for part in parts[-2:])
        if isinstance(tensor, _Tensor) and trained:
            found[tensor.key, tensor.offset] = tensor.size
    return sum(found.values())


def _read_torchscript(content: bytes) -> ModelFile:
    model: dict[str, Any] | None = None
    compressed = False
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ('GLOBAL', 'INST'):
            _check_script_global(*str(argument).split(' ', 1))
        elif opcode.name in ('STACK_GLOBAL', 'EXT1', 'EXT2', 'EXT4'):
            raise _RefusedError(f'its pickle holds the operation `{opcode.name}`, which TorchScript does not write')
        elif opcode.name.endswith('UNICODE'):
            if strings[-1:] == ['model_def_script'] and model is None:
                model = json.loads(str(argument))
            strings.append(str(argument))
        elif opcode.name == 'NEWTRUE' and strings[-1:] and strings[-1] in _COMPRESSED:
            compressed = True
    if not isinstance(model, dict):
        raise ValueError('it has no `model_def_script`')
    return ModelFile(
        backend='pytorch',
        form='compressed' if compressed else 'frozen',
        **_describe(model),
        training_input={'model': model},
    )


def _check_script_global(module: str, name: str) -> None:
    root = '__torch__' if module.startswith('__torch__.') else module
    known = root == '__torch__' or name.startswith(_SCRIPT_GLOBALS) or (root == 'torch' and name.endswith('Storage'))
    if root not in _SCRIPT_MODULES or not known:
        raise _RefusedError(f'its pickle asks for `{module}.{name}`, which no model needs and which could run code')


# -- TensorFlow ------------------------------------------------------------------------------------------------------


def _read_tensorflow(content: bytes) -> ModelFile:
    graph = read_frozen_graph(content)
    script = json.loads(graph.strings['train_attr/training_script'])
    # In a compressed model, tables replace the networks they were computed from.
    compressed = graph.strings.get('model_type') == b'compressed_model'
    return ModelFile(
        backend='tensorflow',
        form='compressed' if compressed else 'frozen',
        **_describe(script['model']),
        parameters=None if compressed else graph.count(_WEIGHTS),
        training_input=script,
    )


# -- shared ----------------------------------------------------------------------------------------------------------


def _describe(model: Mapping[str, Any]) -> dict[str, Any]:
    descriptors = _descriptors(model)
    kinds = sorted({str(descriptor['type']) for descriptor in descriptors})
    type_map = type_map_of(model)
    if not type_map:
        raise ValueError('it names no elements')
    return {'descriptor': '+'.join(kinds), 'type_map': type_map, 'cutoff': max(map(_cutoff, descriptors))}


def _descriptors(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    if 'model_dict' not in model:
        return [model['descriptor']]
    shared = model.get('shared_dict', {})
    entries = [head['descriptor'] for head in model['model_dict'].values()]
    # A shared entry is named `key` or `key:level`.
    return [shared[entry.partition(':')[0]] if isinstance(entry, str) else entry for entry in entries]


def _cutoff(descriptor: Mapping[str, Any]) -> float:
    """Return the largest cutoff radius of one layer of the descriptor, which is LAMMPS' cutoff, in A."""
    if 'list' in descriptor:
        return max(map(_cutoff, descriptor['list']))
    sections = [descriptor, *(descriptor.get(name, {}) for name in ('repinit', 'repformer', 'repflow'))]
    return float(max(section[name] for section in sections for name in ('rcut', 'e_rcut') if name in section))


def _plain(value: Any) -> Any:
    """Convert to dictionaries, lists, strings and numbers, the types that attributes of a node can store."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
