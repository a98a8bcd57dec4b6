"""Reading of frozen TensorFlow graphs with a minimal parser of protobuf's wire format, without TensorFlow."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aiida_dpasse.unreadable import UnreadableError

# Field numbers of TensorFlow's GraphDef, NodeDef, AttrValue, TensorProto and TensorShapeProto.
_NODE, _LIBRARY, _NAME, _OP, _ATTRIBUTE, _KEY, _VALUE = 1, 2, 1, 2, 5, 1, 2
_TENSOR, _SHAPE, _STRINGS, _DIMENSION, _LENGTH = 8, 2, 8, 2, 1
_DTYPE, _CONTENT = 1, 4
#: Format of a number, and the field with its value if there is no content, by TensorFlow's type.
_NUMBERS = {1: ('<f', 5), 2: ('<d', 6), 3: ('<i', 7), 9: ('<q', 10)}
#: Types of the numbers of weights: float, double, bfloat16 and half.
_FLOATS = (1, 2, 14, 19)
#: Most fields of all messages, most dimensions and elements of one constant, and most characters of a name: far above
#: those of the largest models.
MOST_FIELDS, _MOST_DIMENSIONS, _MOST_ELEMENTS, _MOST_NAME = 2_000_000, 16, 2**33, 10_000
_NO_GRAPH = 'it is neither a zip nor a TensorFlow graph'


@dataclass
class FrozenGraph:
    """Constants of a graph by name: contents of strings, values of single numbers, shapes of all; its operations."""

    strings: dict[str, bytes] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    operations: set[str] = field(default_factory=set)
    #: Whether it contains arrays of numbers.
    weights: bool = False
    #: Whether it defines functions, which a frozen model of DeePMD-kit does not.
    functions: bool = False

    def count(self, kinds: Sequence[str]) -> int:
        """Return the total number of elements of all constants of the given kinds.

        :param kinds: last parts of the names, optionally followed by an underscore and a suffix.
        """
        total = 0
        for name, shape in self.shapes.items():
            parts = name.split('/')
            if len(parts) > 1 and any(parts[-1] == kind or parts[-1].startswith(f'{kind}_') for kind in kinds):
                total += math.prod(shape)
        return total


def read_frozen_graph(content: bytes | memoryview) -> FrozenGraph:
    """Return the constants of a ``.pb`` file.

    :param content: bytes of the file, or a view of them.
    :raises UnreadableError: if the bytes are not a protobuf message, or contain no constants or more than a model.
    """
    graph, reader = FrozenGraph(), _Reader()
    for number, node in reader.fields(memoryview(content)):
        if isinstance(node, int):
            continue
        graph.functions = graph.functions or (number == _LIBRARY and len(node) > 0)
        if number != _NODE:
            continue
        name = operation = ''
        attributes = []
        for inner, value in reader.fields(node):
            if isinstance(value, int):
                continue
            if inner == _NAME:
                name = _text(value)
            elif inner == _OP:
                operation = _text(value)
            elif inner == _ATTRIBUTE:
                attributes.append(value)
        graph.operations.add(operation)
        if operation == 'Const':
            for attribute in attributes:
                entry = dict(reader.fields(attribute))
                if bytes(_message(entry, _KEY)) == b'value':
                    tensor = dict(reader.fields(_message(entry, _VALUE))).get(_TENSOR, b'')
                    _add_constant(graph, reader, name, tensor)
    if not graph.strings and not graph.shapes:
        raise UnreadableError(_NO_GRAPH)
    return graph


def _text(value: memoryview) -> str:
    if len(value) > _MOST_NAME:
        raise UnreadableError('a name in it is longer than that of any model')
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as exception:
        raise UnreadableError(_NO_GRAPH) from exception


def _message(entry: dict[int, memoryview | int], number: int) -> memoryview:
    value = entry.get(number, 0)
    return memoryview(b'') if isinstance(value, int) else value


def _add_constant(graph: FrozenGraph, reader: _Reader, name: str, tensor: memoryview | int | bytes) -> None:
    if isinstance(tensor, int):
        raise UnreadableError(_NO_GRAPH)
    shape: list[int] = []
    values: dict[int, memoryview | int] = {}
    for number, value in reader.fields(memoryview(tensor)):
        values[number] = value
        if isinstance(value, int):
            continue
        if number == _STRINGS:
            graph.strings[name] = bytes(value)
        elif number == _SHAPE:
            for inner, dimension in reader.fields(value):
                if inner == _DIMENSION and not isinstance(dimension, int):
                    length = dict(reader.fields(dimension)).get(_LENGTH, 0)
                    shape.append(length if isinstance(length, int) else 0)
    if len(shape) > _MOST_DIMENSIONS or math.prod(shape) > _MOST_ELEMENTS:
        raise UnreadableError('a constant of it is larger than that of any model')
    graph.shapes[name] = tuple(shape)
    content = _message(values, _CONTENT)
    # Several numbers are written as their bytes; a number in another field is one that fills the whole shape.
    whole = math.prod(shape) > 1 and len(content) >= 2 * math.prod(shape)
    graph.weights = graph.weights or (whole and values.get(_DTYPE) in _FLOATS)
    if not shape and (single := _number(values)) is not None:
        graph.numbers[name] = single


def _number(values: dict[int, memoryview | int]) -> float | None:
    """Return the value of a constant that is a single number, from the fields of its tensor."""
    dtype = values.get(_DTYPE)
    layout, place = _NUMBERS.get(dtype, ('', 0)) if isinstance(dtype, int) else ('', 0)
    if not layout:
        return None
    content = values.get(_CONTENT) or values.get(place, 0)
    if not isinstance(content, int) and layout in ('<i', '<q') and _CONTENT not in values:
        content = _varint(content, 0)[0]  # a packed list of one integer
    if not isinstance(content, int) and len(content) != struct.calcsize(layout):
        raise UnreadableError('a constant of it is damaged')
    return float(content) if isinstance(content, int) else float(struct.unpack(layout, content)[0])


class _Reader:
    """Fields of messages, of which all together are counted."""

    def __init__(self) -> None:
        self.count = 0

    def fields(self, message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
        """Yield number and value of each field of a message: an integer, or a view of the bytes of any other type."""
        position = 0
        while position < len(message):
            self.count += 1
            if self.count > MOST_FIELDS:
                raise UnreadableError(f'it has more than {MOST_FIELDS:,} parts')
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
                raise UnreadableError(_NO_GRAPH)
            if position + length > len(message):
                raise UnreadableError(f'{_NO_GRAPH}, or it was cut short')
            yield number, message[position : position + length]
            position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise UnreadableError(f'{_NO_GRAPH}, or it was cut short')
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
