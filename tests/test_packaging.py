"""What the package promises to installers: one version, one list of entry points, all of which load."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import aiida_dpasse

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
ENTRY_POINTS = [
    (group, name, target) for group, entries in PROJECT['entry-points'].items() for name, target in entries.items()
]
CLASSES = {
    'aiida.data': 'aiida.orm:Data',
    'aiida.calculations': 'aiida.engine:CalcJob',
    'aiida.parsers': 'aiida.parsers:Parser',
    'aiida.workflows': 'aiida.engine:WorkChain',
}


def test_setup_json_mirrors_pyproject() -> None:
    """The legacy file says the same name, version and entry points."""
    legacy = json.loads((ROOT / 'setup.json').read_text())
    groups = {'console_scripts': PROJECT['scripts'], **PROJECT['entry-points']}
    assert legacy == {
        'name': PROJECT['name'],
        'version': PROJECT['version'],
        'entry_points': {
            group: [f'{name} = {target}' for name, target in entries.items()] for group, entries in groups.items()
        },
    }


def test_one_version() -> None:
    """The package, its metadata and the changelog agree."""
    assert aiida_dpasse.__version__ == PROJECT['version'] == metadata.version('aiida-dpasse')
    assert f'\n## {PROJECT["version"]}' in (ROOT / 'CHANGELOG.md').read_text()


@pytest.mark.parametrize(('group', 'name', 'target'), ENTRY_POINTS, ids=[f'{g}:{n}' for g, n, _ in ENTRY_POINTS])
def test_entry_point_loads(group: str, name: str, target: str) -> None:
    """Each names a class of the right kind, or a monitor, and carries the project's prefix."""
    assert name.startswith('dpasse.')
    module, attribute = target.split(':')
    loaded = getattr(import_module(module), attribute)
    if group in CLASSES:
        base_module, base = CLASSES[group].split(':')
        assert issubclass(loaded, getattr(import_module(base_module), base))
    else:
        assert group == 'aiida.calculations.monitors'
        assert list(signature(loaded).parameters)[:2] == ['node', 'transport']
    assert metadata.entry_points(group=group)[name].value == target


def test_environment_is_consistent() -> None:
    """No installed package misses another or finds it in a version that does not fit."""
    for command in (['uv', 'pip', 'check', '--python', sys.executable], [sys.executable, '-m', 'pip', 'check']):
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        if 'No module named pip' not in result.stderr:
            assert result.returncode == 0, result.stdout + result.stderr
            return
    pytest.fail('neither uv nor pip is here to check the environment')


def test_rooms_without_aiida_do_not_import_it() -> None:
    """Structures, file formats, transport and drivers serve people who have no AiiDA."""
    rooms = (
        'structures',
        'deepmd',
        'lammps',
        'cp2k',
        'vasp',
        'dpgen',
        'transport',
        'experiment',
        'landscape',
        'drivers',
    )
    modules = [
        f'aiida_dpasse.{room}.{path.stem}'
        for room in rooms
        for path in sorted((ROOT / 'aiida_dpasse' / room).glob('*.py'))
        if path.stem != '__init__'
    ]
    code = (
        f'import importlib, sys\nsys.modules["aiida"] = None\nfor name in {modules!r}: importlib.import_module(name)\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
