"""The private members of AiiDA that the package uses, for lack of public ones; checked with AiiDA 2.9."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version
from pathlib import Path

from aiida.engine import WorkChain
from aiida.engine.daemon.client import DaemonClient

import aiida_dpasse

PACKAGE = Path(aiida_dpasse.__file__).parent
#: Each is used in one module.
USED = {
    '_on_awaitable_finished': 'base/each_child.py',
    '_awaitables': 'base/each_child.py',
    '_is_pid_file_stale': 'cli/daemon.py',
}
#: Documented members of named tuples, and of `os`.
PUBLIC = {'_asdict', '_fields', '_replace', '_exit'}


def test_they_are_those_of_this_release():
    """With another release, read whether there is a public member by now, and change the number."""
    assert version('aiida-core').startswith('2.9.')
    assert list(inspect.signature(WorkChain._on_awaitable_finished).parameters) == ['self', 'awaitable']
    assert 'self._awaitables: list[Awaitable]' in inspect.getsource(WorkChain)
    assert isinstance(DaemonClient._is_pid_file_stale, property)


def test_each_is_used_in_one_module():
    """And no private member of another object is used anywhere else, except those of our own data classes."""
    found = set()
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith('_') and node.attr[1] != '_':
                if node.attr in PUBLIC:
                    continue
                own = isinstance(node.value, ast.Name) and node.value.id in ('self', 'cls')
                inherited = isinstance(node.value, ast.Call)
                if node.attr in USED or not (own or inherited):
                    found.add((node.attr, path.relative_to(PACKAGE).as_posix()))
    ours = {(name, f'data/{module}.py') for name, module in (('_describe', 'frames'), ('_describe', 'potential'))}
    ours |= {(name, 'data/frames.py') for name in ('_put', '_indices')}
    assert found - ours == set(USED.items())
