"""Checkpoints and frozen models as PyTorch lays them out, with a tensor or two and without PyTorch."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODEL = {
    'type_map': ['Li', 'S'],
    'descriptor': {'type': 'se_e2_a', 'rcut': 6.0},
    'fitting_net': {'neuron': [8, 8]},
}
#: Code of a frozen model of DeePMD-kit 3.2, as far as it is looked at.
CODE = {
    'model/model/ener_model.py': 'class EnergyModel(Module):\n'
    '  def forward(self: __torch__.deepmd.pt.model.model.ener_model.EnergyModel,\n'
    '    coord: Tensor, charge_spin: Optional[Tensor]=None) -> Tensor:\n'
    '    return torch.mul(coord, 2.)\n'
}


class Reference:
    """A name in a pickle: a global that is written and never looked up."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Tensor:
    """A tensor of a pickle: the number of its storage, its shape, and the size of the storage."""

    def __init__(self, key: int = 0, shape: tuple[int, ...] = (2, 3), count: int | None = None):
        self.key, self.shape = key, shape
        size = 1
        for length in shape:
            size *= length
        self.count = size if count is None else count


class Thing:
    """An object of a class of TorchScript."""

    def __init__(self, name: str, **state: Any):
        self.name, self.state = name, state


class Writer(pickle._Pickler):
    """Pickles like PyTorch, which may name what does not exist here."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_reference(self, item: Reference) -> None:
        self.write(f'c{item.module}\n{item.name}\n'.encode())

    def save_tensor(self, item: Tensor) -> None:
        strides, step = [], 1
        for length in reversed(item.shape):
            strides.insert(0, step)
            step *= length
        self.save_reference(Reference('torch._utils', '_rebuild_tensor_v2'))
        self.write(pickle.MARK)
        self.save(('storage', Reference('torch', 'DoubleStorage'), str(item.key), 'cpu', item.count))
        self.write(pickle.BINPERSID)
        self.save(0)
        self.save(tuple(item.shape))
        self.save(tuple(strides))
        self.save(False)
        self.save(OrderedDict())
        self.write(pickle.TUPLE + pickle.REDUCE)

    def save_thing(self, item: Thing) -> None:
        self.save_reference(Reference('__torch__.deepmd', item.name))
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.save(item.state)
        self.write(pickle.BUILD)

    dispatch |= {Reference: save_reference, Tensor: save_tensor, Thing: save_thing}


def pickled(content: Any) -> bytes:
    """Return the pickle of containers, numbers, text, tensors and objects."""
    buffer = io.BytesIO()
    Writer(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def zipped(path: Path, files: Mapping[str, bytes | str], folder: str = 'model') -> Path:
    """Write the files of a model into one folder of a zip."""
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(f'{folder}/{name}', content)
    return path


def checkpoint(path: Path, model: Mapping[str, Any] | None = None, step: Any = 9, **weights: Any) -> Path:
    """Write a checkpoint with one tensor of six numbers, and further `weights`."""
    extra = {'model_params': MODEL if model is None else model, 'train_infos': {'step': step}}
    state = {'_extra_state': extra, 'model.Default.mean': Tensor(), **weights}
    return zipped(path, {'data.pkl': pickled({'model': state}), 'data/0': bytes(48)})


def frozen(path: Path, model: Mapping[str, Any] | None = None, code: Mapping[str, str] = CODE, **state: Any) -> Path:
    """Write a frozen model with one tensor."""
    script = json.dumps(MODEL if model is None else model)
    top = Thing('EnergyModel', **{'model_def_script': script, 'mean': Tensor(), **state})
    files = {'data.pkl': pickled(top), 'constants.pkl': pickled(()), 'data/0': bytes(48)}
    return zipped(path, files | {f'code/__torch__/deepmd/pt/{name}': text for name, text in code.items()})
