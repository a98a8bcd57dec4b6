"""Scan of the code of a TorchScript model, which is a subset of Python: what it calls is on a closed list."""

from __future__ import annotations

import ast
from collections import Counter

from aiida_dpasse.deepmd.allowed_operations import BUILTINS, METHODS, OPS, SYNTAX, TORCH
from aiida_dpasse.deepmd.inert_pickle import CUSTOM_CLASSES, RefusedError
from aiida_dpasse.deepmd.model_zip import ModelZip
from aiida_dpasse.unreadable import UnreadableError

#: Most bytes of one file of code and of all: ten times what the largest models have.
_MOST_FILE, _MOST_CODE = 2**20, 4 * 2**20
#: Namespaces of functions that PyTorch implements, with those that are allowed.
_NAMESPACES = {'torch': TORCH, 'ops': OPS}


def scan_script(archive: ModelZip) -> None:
    """Check that the code of a model calls only what models of DeePMD-kit call.

    :param archive: the zip of the model.
    :raises RefusedError: if it calls something else, which is named.
    :raises UnreadableError: if the code is damaged, or longer than that of a model.
    """
    # PyTorch finds files without regard to case.
    names = [name for name in archive.names if name.lower().startswith('code/') and name.lower().endswith('.py')]
    if sum(map(archive.size, names)) > _MOST_CODE:
        raise UnreadableError('its code is longer than that of any model')
    for name in names:
        scan_code(archive.read(name, _MOST_FILE), name)


def scan_code(code: bytes, name: str) -> None:
    """Check one file of code.

    :param code: the code.
    :param name: name of the file, for the message.
    :raises RefusedError: if it calls what is not on the list.
    :raises UnreadableError: if it is damaged.
    """
    try:
        tree = ast.parse(code.decode('ascii'))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exception:
        raise UnreadableError(f'its code `{name}` is damaged') from exception
    inner: set[int] = set()  # parts of dotted names that were checked as a whole
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(part) for function in functions for part in ast.walk(function)}
    for node in ast.walk(tree):
        if type(node).__name__ not in SYNTAX:
            _refuse(f'the statement or expression `{type(node).__name__}`', name)
        if isinstance(node, ast.Attribute):
            if id(node) not in inner:
                _check_dotted(node, name)
            inner.add(id(node.value))
        elif isinstance(node, ast.Name) and id(node) not in inner and node.id in _NAMESPACES:
            _refuse(f'`{node.id}` as a value', name)
        elif isinstance(node, ast.Call):
            _check_call(node, name)
            if id(node) not in inside:
                _refuse('a call outside a function', name)
    for function in functions:
        _check_names(function, name)


def _refuse(what: str, name: str) -> None:
    raise RefusedError(f"its code `{name}` holds {what[:200]}, which no model of DeePMD-kit's needs")


def _dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for a name with attributes; the beginning is empty if it is another expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else '')
    return '.'.join(reversed(parts))


def _check_dotted(node: ast.Attribute, name: str) -> None:
    dotted = _dotted(node)
    root, _, rest = dotted.partition('.')
    if root in _NAMESPACES and rest not in _NAMESPACES[root]:
        _refuse(f'`{dotted}`', name)
    if f'{dotted}.'.startswith(f'{CUSTOM_CLASSES}.'):
        _refuse(f'`{dotted}`', name)


def _check_call(node: ast.Call, name: str) -> None:
    function = node.func
    if isinstance(function, ast.Attribute):
        dotted = _dotted(function)
        if dotted.partition('.')[0] not in (*_NAMESPACES, '__torch__') and function.attr not in METHODS:
            _refuse(f'a call of `.{function.attr}`', name)
    elif not isinstance(function, ast.Name):
        _refuse('a call of an expression', name)
    elif function.id == 'getattr':
        # The attributes of lists of modules are numbers; any other text could name a function of `torch`.
        key = node.args[1] if len(node.args) == 2 else None
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or not key.value.isdecimal():
            _refuse('`getattr` of something else than a number', name)


def _check_names(function: ast.FunctionDef, name: str) -> None:
    """Check that a name that is called is one of the language, or only ever one of the functions of the file."""
    stored: Counter[str] = Counter()
    own: Counter[str] = Counter()
    called = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored[node.id] += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
        elif isinstance(node, ast.Assign) and _dotted(node.value).startswith('__torch__.'):
            own.update(target.id for target in node.targets if isinstance(target, ast.Name))
    for known in called:
        if (known in BUILTINS and not stored[known]) or (known not in BUILTINS and 0 < stored[known] == own[known]):
            continue
        _refuse(f'a call of `{known}`', name)
