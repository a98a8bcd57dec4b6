"""Reading of frozen TensorFlow graphs with a minimal parser of protobuf's wire format, without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aiida_dpasse.unreadable import UnreadableError

# Field numbers of TensorFlow's GraphDef, NodeDef, AttrValue, TensorProto and TensorShapeProto.
_NODE, _NAME, _OP, _ATTRIBUTE, _KEY, _VALUE = 1, 1, 2, 5, 1, 2
_TENSOR, _SHAPE, _STRINGS, _DIMENSION, _LENGTH = 8, 2, 8, 2, 1
_DTYPE, _CONTENT = 1, 4
#: Format of a number, and the field with its value if there is no content, by TensorFlow's type.
_NUMBERS = {1: ('<f', 5), 2: ('<d', 6), 3: ('<i', 7), 9: ('<q', 10)}


@dataclass
class FrozenGraph:
    """Constants of a graph by name: contents of strings, values of single numbers, shapes of all; its operations."""

    strings: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    operations: set[str] = field(default_factory=set)

    def count(self, kinds: Sequence[str]) -> int:
        """Return the total number of elements of all constants of the given kinds.

        :param kinds: last parts of the names, optionally followed by an underscore and a suffix.
        """
        total = 0
        for name, shape in self.shapes.items():
            parts = name.split('/')
            if len(parts) > 1 and any(parts[-1] == kind or parts[-1].startswith(f'{kind}_') for kind in kinds):
                size = 1
                for length in shape:
                    size *= length
                total += size
        return total


def read_frozen_graph(content: bytes) -> FrozenGraph:
    """Return the constants of a ``.pb`` file.

    :param content: bytes of the file.
    :raises UnreadableError: if the bytes are not a protobuf message or contain no constants.
    """
    graph = FrozenGraph()
    for number, node in _fields(content):
        if number != _NODE or not isinstance(node, bytes):
            continue
        name, operation, tensor = '', b'', b''
        for inner, value in _fields(node):
            if not isinstance(value, bytes):
                continue
            if inner == _NAME:
                name = value.decode()
            elif inner == _OP:
                operation = value
            elif inner == _ATTRIBUTE:
                entry = dict(_fields(value))
                if entry.get(_KEY) == b'value' and isinstance(entry.get(_VALUE), bytes):
                    tensor = dict(_fields(entry[_VALUE])).get(_TENSOR, b'')  # type: ignore[arg-type, assignment]
        graph.operations.add(operation.decode())
        if operation == b'Const' and isinstance(tensor, bytes):
            _add_constant(graph, name, tensor)
    if not graph.strings and not graph.shapes:
        raise UnreadableError('it is neither a zip nor a TensorFlow graph')
    return graph


def _add_constant(graph: FrozenGraph, name: str, tensor: bytes) -> None:
    shape: list[int] = []
    values: dict[int, bytes | int] = {}
    for number, value in _fields(tensor):
        values[number] = value
        if number == _STRINGS and isinstance(value, bytes):
            graph.strings[name] = value
        elif number == _SHAPE and isinstance(value, bytes):
            for inner, dimension in _fields(value):
                if inner == _DIMENSION and isinstance(dimension, bytes):
                    length = dict(_fields(dimension)).get(_LENGTH, 0)
                    shape.append(length if isinstance(length, int) else 0)
    graph.shapes[name] = tuple(shape)
    if not shape and (single := _number(values)) is not None:
        graph.numbers[name] = single


def _number(values: dict[int, bytes | int]) -> float | None:
    """Return the value of a constant that is a single number, from the fields of its tensor."""
    dtype = values.get(_DTYPE)
    layout, place = _NUMBERS.get(dtype, ('', 0)) if isinstance(dtype, int) else ('', 0)
    if not layout:
        return None
    content = values.get(_CONTENT) or values.get(place, 0)
    if isinstance(content, bytes) and layout in ('<i', '<q') and _CONTENT not in values:
        content = _varint(content, 0)[0]  # a packed list of one integer
    return float(content) if isinstance(content, int) else float(struct.unpack(layout, content)[0])


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield number and value of each field of a message: an integer, or the bytes of any other type."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise UnreadableError('it is neither a zip nor a TensorFlow graph')
        if position + length > len(message):
            raise UnreadableError('it is neither a zip nor a TensorFlow graph, or it was cut short')
        yield number, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise UnreadableError('it is neither a zip nor a TensorFlow graph, or it was cut short')
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
