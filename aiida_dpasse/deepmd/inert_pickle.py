"""Evaluation of the pickles of PyTorch without `pickle`: a closed list of operations, and stand-ins for all globals.

PyTorch writes some thirty operations of the second protocol. Each has its line here, so that nothing is imported or
called, no number, memo or nesting can grow beyond what the bytes of the file hold, and everything else is refused by
its name.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiida_dpasse.unreadable import UnreadableError

#: Most operations of one pickle. A checkpoint of the largest published model has a tenth of it.
MOST_OPERATIONS = 2_000_000
#: Most dimensions and elements of a tensor, and most characters of the name of a global.
_MOST_DIMENSIONS, _MOST_ELEMENTS, _MOST_NAME = 16, 2**33, 300
#: Bytes of a number in a storage, by the storage's type.
_BYTES = {'Double': 8, 'Long': 8, 'Float': 4, 'Int': 4, 'Half': 2, 'BFloat16': 2, 'Short': 2, 'Char': 1, 'Byte': 1}
_BYTES |= {'Bool': 1, 'Untyped': 1}
#: Callables that PyTorch names, which give one of their arguments or an empty mapping.
_LISTS = tuple(f'build_{kind}list' for kind in ('int', 'tensor', 'double', 'bool'))
_CALLABLES = {
    ('collections', 'OrderedDict'),
    ('torch._utils', '_rebuild_tensor_v2'),
    ('torch._utils', '_rebuild_parameter'),
}
_SCRIPT_CALLABLES = {('torch.jit._pickle', name) for name in (*_LISTS, 'restore_type_tag')}
_STORAGES = {('torch', f'{kind}Storage'): size for kind, size in _BYTES.items()}
_STORAGES['torch.storage', 'UntypedStorage'] = 1
#: Classes of TorchScript that C++ implements, which would run on loading.
CUSTOM_CLASSES = '__torch__.torch.classes'
_CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
_INTEGERS = ('BININT', 'BININT1', 'BININT2', 'LONG1')
_TUPLES = {'EMPTY_TUPLE': 0, 'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}


class RefusedError(UnreadableError):
    """The file asks for something that no model needs and that could do harm."""


@dataclass(frozen=True)
class Global:
    """Stand-in for a class or function; it does nothing."""

    module: str
    name: str

    def __str__(self) -> str:
        return f'{self.module}.{self.name}'


@dataclass(frozen=True)
class Storage:
    """Stand-in for the numbers of tensors: the file with them in the zip, and their declared size in bytes."""

    key: str
    item_bytes: int
    count: int


@dataclass(frozen=True)
class Tensor:
    """Stand-in for a tensor."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass
class Thing:
    """Stand-in for an object of TorchScript: its class, and what it holds."""

    kind: str
    state: Any = field(default=None, repr=False)


def evaluate(content: bytes, script: bool = False) -> Any:
    """Return what a pickle of PyTorch describes: containers, numbers, text, and stand-ins for tensors and objects.

    :param content: bytes of the pickle.
    :param script: whether it is one of TorchScript, which names classes of its own code.
    :raises RefusedError: if it asks for a global or an operation that PyTorch does not write for a model.
    :raises UnreadableError: if it is damaged, or larger than a model's.
    """
    return _Machine(script).run(content)


class _Machine:
    """The stack, the marks on it, and the memo of one evaluation."""

    def __init__(self, script: bool) -> None:
        self.script = script
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for name, argument in _operations(content):
            if name == 'STOP':
                break
            self.step(name, argument)
        if len(self.stack) != 1 or self.marks:
            _damaged()
        return self.stack[0]

    def step(self, name: str, argument: Any) -> None:
        push = self.stack.append
        if name in _INTEGERS:
            push(_integer(argument))
        elif name in ('BINFLOAT', 'BINUNICODE'):
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in ('BINGET', 'LONG_BINGET'):
            push(self.memo[argument] if argument in self.memo else _damaged())
        elif name in ('BINPUT', 'LONG_BINPUT'):
            self.memo[argument] = self.top()
        elif name == 'GLOBAL':
            push(self.named(*str(argument).split(' ', 1)))
        elif name == 'MARK':
            self.marks.append(len(self.stack))
        elif name in _TUPLES:
            push(tuple(self.take(_TUPLES[name])))
        elif name == 'TUPLE':
            push(tuple(self.marked()))
        elif name in ('EMPTY_LIST', 'EMPTY_DICT'):
            push([] if name == 'EMPTY_LIST' else {})
        elif name in ('APPEND', 'APPENDS'):
            items = self.marked() if name == 'APPENDS' else self.take(1)
            _of(list, self.top()).extend(items)
        elif name in ('SETITEM', 'SETITEMS'):
            items = self.marked() if name == 'SETITEMS' else self.take(2)
            self.set_items(_of(dict, self.top()), items)
        elif name == 'BINPERSID':
            push(_storage(*self.take(1)))
        elif name == 'REDUCE':
            push(self.call(*self.take(2)))
        elif name == 'NEWOBJ':
            kind, arguments = self.take(2)
            push(Thing(str(kind)) if isinstance(kind, Global) and self.script and arguments == () else _damaged())
        elif name == 'BUILD':
            (state,) = self.take(1)
            if isinstance(self.top(), Thing):
                self.top().state = state
            else:
                _of(dict, self.top())  # attributes of an `OrderedDict`, which no reader needs
        elif name != 'PROTO':
            raise RefusedError(f'its pickle holds the operation `{name}`, which PyTorch does not write')

    def top(self) -> Any:
        return self.stack[-1] if self.stack else _damaged()

    def take(self, count: int) -> list[Any]:
        """Remove items from the top of the stack, above the last mark."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            _damaged()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def marked(self) -> list[Any]:
        """Remove all items above the last mark, and the mark."""
        start = self.marks.pop() if self.marks else _damaged()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    @staticmethod
    def set_items(target: dict[Any, Any], items: list[Any]) -> None:
        if len(items) % 2:
            _damaged()
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A hash of nested tuples takes exponential time.
            if not isinstance(key, str | int | float | None):
                raise UnreadableError('its pickle has a key that is neither text nor a number')
            target[key] = value

    def named(self, module: str, name: str = '') -> Any:
        own = self.script and f'{module}.'.startswith('__torch__.')
        custom = f'{module}.{name}.'.startswith(f'{CUSTOM_CLASSES}.')
        known = (module, name) in _CALLABLES or (self.script and (module, name) in _SCRIPT_CALLABLES)
        if (own and not custom) or known or (module, name) in _STORAGES:
            return Global(module, name)
        raise RefusedError(
            f'its pickle asks for `{f"{module}.{name}"[:_MOST_NAME]}`, which no model needs and which could run code'
        )

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            _damaged()
        if function.name == '_rebuild_tensor_v2' and len(arguments) > 3:
            return _tensor(*arguments[:4])
        if function.name == 'OrderedDict' and not arguments:
            return {}
        if (function.name in ('_rebuild_parameter', 'restore_type_tag') or function.name in _LISTS) and arguments:
            return arguments[0]
        if self.script and function.module.startswith('__torch__'):
            return Thing(str(function), arguments)
        return _damaged()


def _operations(content: bytes) -> Iterator[tuple[str, Any]]:
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_OPERATIONS:
                raise UnreadableError(f'its pickle has more than {MOST_OPERATIONS:,} operations')
            yield operation.name, argument
    except UnreadableError:
        raise
    except (ValueError, OverflowError, AttributeError) as exception:  # what `pickletools` raises
        raise UnreadableError('its pickle is damaged') from exception


def _damaged() -> NoReturn:
    raise UnreadableError('its pickle is damaged')


def _of(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else _damaged()


def _integer(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise UnreadableError('its pickle has an integer of more than 64 bits')
    return value


def _storage(pid: Any) -> Storage:
    if not isinstance(pid, tuple) or not pid or not isinstance(pid[0], str):
        _damaged()
    if pid[0] != 'storage':
        raise RefusedError(f'its pickle asks for a persistent object of the kind `{pid[0][:_MOST_NAME]}`')
    if len(pid) < 5:
        _damaged()
    kind, key, count = pid[1], pid[2], pid[4]
    size = _STORAGES.get((kind.module, kind.name)) if isinstance(kind, Global) else None
    if size is None or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        _damaged()
    return Storage(key, size, count)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    whole = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
    if not whole or len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        _damaged()
    numbers = (offset, *shape, *strides)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        _damaged()
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    # A tensor may show one number many times, with strides of zero.
    size = math.prod(shape)
    if size and (last >= storage.count or size > _MOST_ELEMENTS):
        raise UnreadableError('a tensor is larger than its storage')
    return Tensor(storage, offset, shape)
