"""Model files of strangers, none of which contains code that does anything: each is refused with one sentence."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from made_up_models import CODE, MODEL, Tensor, checkpoint, frozen, pickled, zipped

STEP = 'model/model/ener_model.py'


def model(**changes) -> dict:
    return MODEL | changes


def raw(data: bytes, **files: bytes) -> Callable[[Path], Path]:
    """A checkpoint of the given pickle."""
    return lambda path: zipped(path, {'data.pkl': data, 'data/0': bytes(48), **files})


def nested(levels: int, kind: type) -> object:
    """Return containers of which each holds the next one twice."""
    item: object = kind()
    for _ in range(levels):
        item = kind([item, item]) if kind is not dict else {'a': item, 'b': item}
    return item


def deep(levels: int) -> dict:
    item: dict = {}
    for _ in range(levels):
        item = {'a': item}
    return item


def code(line: str) -> Callable[[Path], Path]:
    """A frozen model with one more line of code."""
    text = CODE[STEP].replace('    return', f'    {line}\n    return')
    return lambda path: frozen(path, code={STEP: text})


def constants(data: bytes) -> Callable[[Path], Path]:
    """A frozen model with other constants."""

    def write(path: Path) -> Path:
        with zipfile.ZipFile(frozen(path)) as read:
            files = {name.removeprefix('model/'): read.read(name) for name in read.namelist()}
        return zipped(path, files | {'constants.pkl': data})

    return write


# -- graphs ----------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = b''
    while True:
        number, low = number >> 7, number & 0x7F
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def part(number: int, content: bytes | int) -> bytes:
    """Return a field of a protobuf message."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(name: bytes, operation: bytes, tensor: bytes = b'') -> bytes:
    value = part(5, part(1, b'value') + part(2, part(8, tensor))) if tensor else b''
    return part(1, part(1, name) + part(2, operation) + value)


def text(name: bytes, content: bytes) -> bytes:
    return node(name, b'Const', part(1, 7) + part(8, content))


def array(name: bytes, *shape: int, content: bytes | None = None) -> bytes:
    size = 1
    for length in shape:
        size *= length
    dimensions = b''.join(part(2, part(1, length)) for length in shape)
    numbers = bytes(8 * size) if content is None else content
    return node(name, b'Const', part(1, 2) + part(2, dimensions) + part(4, numbers))


def script(**changes) -> bytes:
    return text(b'train_attr/training_script', json.dumps({'model': MODEL} | changes).encode())


WEIGHTS = array(b'layer_0/matrix', 2, 3)
GRAPH = script() + WEIGHTS


def graph(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def lies(path: Path, **changes: int) -> Path:
    """Write a checkpoint whose zip states something else than it contains, in both lists of its files."""
    content = bytearray(checkpoint(path).read_bytes())
    places = {'version': (4, 6), 'flags': (6, 8), 'method': (8, 10)}
    for name, value in changes.items():
        for magic, index in ((b'PK\x03\x04', 0), (b'PK\x01\x02', 1)):
            place = content.find(magic)
            struct.pack_into('<H', content, place + places[name][index], value)
    path.write_bytes(content)
    return path


def bomb(path: Path) -> Path:
    """A `data.pkl` of 1 GB in 1 MB."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive, archive.open('model/data.pkl', 'w') as handle:
        for _ in range(128):
            handle.write(bytes(2**20))
    return path


def twice(path: Path) -> Path:
    """Two files of one name, of which PyTorch and Python's `zipfile` read different ones."""
    checkpoint(path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('model/DATA.PKL', pickled({'model': {}}))
    return path


def legacy(path: Path) -> Path:
    """A bare pickle with a zip after it: PyTorch reads the first, `zipfile` the second."""
    path.write_bytes(pickle.dumps({'a': 1}, protocol=2) + checkpoint(path).read_bytes())
    return path


PUT = b'\x80\x02}r' + struct.pack('<I', 2**28) + b'.'
HUGE = b'\x80\x02\x8b' + struct.pack('<i', 9000) + b'\x7f' * 9000 + b'.'

#: File name -> what writes it.
HOSTILE: dict[str, Callable[[Path], Path]] = {
    # the zip
    'encrypted.pt': lambda path: lies(path, flags=1),
    'method.pt': lambda path: lies(path, method=99),
    'bz2.pt': lambda path: lies(path, method=12),
    'deflate.pt': lambda path: lies(path, method=8),
    'version.pt': lambda path: lies(path, version=200),
    'bomb.pt': bomb,
    'twice.pt': twice,
    'legacy.pt': legacy,
    'outside.pt': lambda path: zipped(path, {'data.pkl': pickled({}), '../../other': b''}, '.'),
    'cut.pt': lambda path: path.write_bytes(checkpoint(path).read_bytes()[:200]) and path,
    'machine_code.pth': lambda path: zipped(path, {'data/aotinductor/model/m.so': b''}),
    'legacy_script.pth': lambda path: zipped(path, {'data.pkl': pickled({}), 'constants.pkl': b'', 'model.json': b''}),
    # the pickle
    'memo.pt': raw(PUT),
    'long.pt': raw(HUGE),
    'bytes8.pt': raw(b'\x80\x04\x8e' + struct.pack('<Q', 2**40) + b'.'),
    'text.pt': raw(b'\x80\x02X' + struct.pack('<I', 2**31 - 1) + b'.'),
    'frame.pt': raw(b'\x80\x04\x95' + struct.pack('<Q', 2**62) + b'.'),
    'keys.pt': raw(b'\x80\x02}' + pickled(nested(40, tuple))[2:-1] + b'K\x01s.'),
    'no_state.pt': raw(pickled([1])),
    'empty_pickle.pt': raw(b''),
    'pop.pt': raw(b'\x80\x02000.'),
    'nested_list.pt': lambda path: checkpoint(path, model(extra=nested(60, list))),
    'nested_dict.pt': lambda path: checkpoint(path, model(descriptor=nested(60, dict))),
    'hybrid.pt': lambda path: checkpoint(path, model(descriptor={'type': 'hybrid', 'list': nested(40, list)})),
    'deep.pt': lambda path: checkpoint(path, model(extra=deep(200))),
    'many.pt': lambda path: checkpoint(path, model(extra=list(range(300_000)))),
    'no_weights.pt': lambda path: zipped(
        path, {'data.pkl': pickled({'model': {'_extra_state': {'model_params': MODEL}}})}
    ),
    'empty_weights.pt': lambda path: checkpoint(path, **{'model.Default.mean': Tensor(shape=(0,))}),
    'no_storage.pt': lambda path: checkpoint(path, other=Tensor(key=7)),
    'short_storage.pt': lambda path: checkpoint(path, other=Tensor(shape=(9, 9))),
    'huge_tensor.pt': lambda path: checkpoint(path, other=Tensor(shape=(2**31, 2**31), count=6)),
    'many_dimensions.pt': lambda path: checkpoint(path, other=Tensor(shape=(2,) * 40)),
    'optimizer.pt': raw(pickled({'model': {'_extra_state': {'model_params': MODEL}, 'w': Tensor()}, 'optimizer': [1]})),
    # the values
    'step_text.pt': lambda path: checkpoint(path, step='many'),
    'step_negative.pt': lambda path: checkpoint(path, step=-5),
    'step_huge.pt': lambda path: checkpoint(path, step=2**62),
    'rcut_negative.pt': lambda path: checkpoint(path, model(descriptor={'type': 'se_e2_a', 'rcut': -3})),
    'rcut_nan.pt': lambda path: checkpoint(path, model(descriptor={'type': 'se_e2_a', 'rcut': float('nan')})),
    'rcut_infinite.pt': lambda path: checkpoint(path, model(descriptor={'type': 'se_e2_a', 'rcut': float('inf')})),
    'rcut_text.pt': lambda path: checkpoint(path, model(descriptor={'type': 'se_e2_a', 'rcut': '6'})),
    'rcut_true.pt': lambda path: checkpoint(path, model(descriptor={'type': 'se_e2_a', 'rcut': True})),
    'type_number.pt': lambda path: checkpoint(path, model(descriptor={'type': 3, 'rcut': 6.0})),
    'type_long.pt': lambda path: checkpoint(path, model(descriptor={'type': 'x' * 10_000, 'rcut': 6.0})),
    'elements_twice.pt': lambda path: checkpoint(path, model(type_map=['Li', 'Li'])),
    'elements_text.pt': lambda path: checkpoint(path, model(type_map='LiS')),
    'elements_numbers.pt': lambda path: checkpoint(path, model(type_map=[1, 2])),
    'elements_foo.pt': lambda path: checkpoint(path, model(type_map=['Foo'])),
    'elements_escape.pt': lambda path: checkpoint(path, model(type_map=['Li', '\x1b[2J'])),
    'elements_path.pt': lambda path: checkpoint(path, model(type_map=['../../x'])),
    'elements_none.pt': lambda path: checkpoint(path, model(type_map=None)),
    'surrogate.pt': lambda path: checkpoint(path, model(note='Li\ud800')),
    'zero_byte.pt': lambda path: checkpoint(path, model(note='a\0b')),
    'fitting_none.pt': lambda path: checkpoint(path, model(fitting_net=None)),
    'fitting_list.pt': lambda path: checkpoint(path, model(fitting_net=[1])),
    'neuron_number.pt': lambda path: checkpoint(path, model(fitting_net={'neuron': 5})),
    'neuron_text.pt': lambda path: checkpoint(path, model(fitting_net={'neuron': ['8']})),
    'fparam_text.pt': lambda path: checkpoint(path, model(fitting_net={'numb_fparam': 'x', 'default_fparam': [1]})),
    'lora.pt': lambda path: checkpoint(path, model(lora={'alpha': 1})),
    'heads_list.pt': lambda path: checkpoint(path, {'model_dict': ['a']}),
    'heads_text.pt': lambda path: checkpoint(path, {'model_dict': {'a': 'b'}}),
    'heads_shared.pt': lambda path: checkpoint(path, {'shared_dict': 3, 'model_dict': {'a': {'type_map': 'x'}}}),
    'heads_many.pt': lambda path: checkpoint(path, {'model_dict': {str(i): MODEL for i in range(1500)}}),
    # TorchScript
    'from_file.pth': code("_0 = torch.from_file('/etc/hostname', False, 10)"),
    'save.pth': code("torch.save(coord, 'written')"),
    'spaces.pth': code("torch  .  save(coord, 'written')"),
    'alias.pth': code('_0 = torch.save'),
    'getattr.pth': code("_0 = getattr(torch, 'save')"),
    'getattr_value.pth': code("_0 = getattr(coord, 'save')"),
    'method.pth': code("_0 = '/etc/hostname'.from_file(False, 10)"),
    'method_alias.pth': code("_0 = '/etc/hostname'.from_file\n    _1 = _0(False, 10)"),
    'ops.pth': code("_0 = ops.image.read_file('/etc/hostname')"),
    'print.pth': code('print(coord)'),
    'fork.pth': code('_0 = fork(coord)'),
    'custom_class.pth': code('_0 = __torch__.torch.classes.x.Y'),
    'fstring.pth': code("_0 = f'{coord}'"),
    'import.pth': code('import os'),
    'syntax.pth': code('_0 = ('),
    'not_ascii.pth': code("_0 = 'ä'"),
    'deep_code.pth': code('_0 = ' + '(' * 5000 + '1' + ')' * 5000),
    'long_code.pth': lambda path: frozen(path, code={STEP: '#' * (2**20 + 1)}),
    'upper_case.pth': lambda path: frozen(path, code={'x.PY': 'class A(Module):\n  def f(self):\n    torch.save(1)\n'}),
    'constants_global.pth': constants(pickle.dumps(print, protocol=2)),
    'constants_class.pth': constants(b'\x80\x02c__torch__.torch.classes.x\nY\n.'),
    'no_script.pth': lambda path: frozen(path, model_def_script=None),
    'script_list.pth': lambda path: frozen(path, model_def_script='[1]'),
    'script_nan.pth': lambda path: frozen(path, model_def_script='{"type_map": ["Li"], "x": NaN}'),
    'script_deep.pth': lambda path: frozen(path, model_def_script='[' * 100_000),
    'script_digits.pth': lambda path: frozen(path, model_def_script='{"a": ' + '9' * 5000 + '}'),
    # graphs
    'no_weights.pb': graph(script()),
    'write_file.pb': graph(GRAPH + node(b'w', b'WriteFile')),
    'read_file.pb': graph(GRAPH + node(b'r', b'ReadFile')),
    'py_func.pb': graph(GRAPH + node(b'p', b'PyFunc')),
    'function.pb': graph(GRAPH + part(2, part(1, b'x'))),
    'elements_escape.pb': graph(script(model=model(type_map=['Li', '\x1b[8mS'])) + WEIGHTS),
    'rate_text.pb': graph(script(learning_rate={'start_lr': 'fast'}) + WEIGHTS),
    'training_list.pb': graph(script(training=[1]) + WEIGHTS),
    'model_list.pb': graph(script(model=[1]) + WEIGHTS),
    'no_json.pb': graph(text(b'train_attr/training_script', b'{') + WEIGHTS),
    'deep_json.pb': graph(text(b'train_attr/training_script', b'[' * 100_000) + WEIGHTS),
    'huge_shape.pb': graph(GRAPH + array(b'x/matrix', 2**40, 2**40, content=b'')),
    'negative_shape.pb': graph(GRAPH + array(b'x/matrix', 2**64 - 1, content=b'')),
    'many_dimensions.pb': graph(GRAPH + array(b'x/matrix', *[1] * 300)),
    'not_text.pb': graph(GRAPH + node(b'\xff\xfe', b'Const')),
    'length.pb': graph(GRAPH + b'\x0a' + varint(2**62)),
    'varint.pb': graph(GRAPH + b'\x0a' + b'\xff' * 20),
    'group.pb': graph(GRAPH + b'\x0b\x0c'),
    'nodes.pb': graph(b'\x0a\x00' * 2_100_000),
    'empty.pb': graph(b''),
    'zeros.pb': graph(bytes(1000)),
    'modifier.pb': graph(GRAPH + text(b'modifier_attr/type', b'\xff')),
}


def written(folder: Path) -> Iterator[Path]:
    """Write all hostile files into a folder."""
    for name, write in HOSTILE.items():
        yield write(folder / name)
