"""The rooms: each imports only from those above it, and the science knows nothing of AiiDA."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_dpasse
from aiida_dpasse.calculations.driver import DriverCalculation
from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md_ase import AseMDCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.drivers.package import pack_driver

PACKAGE = Path(aiida_dpasse.__file__).parent
SCIENCE = ('structures', 'deepmd', 'lammps', 'cp2k', 'vasp', 'dpgen', 'transport', 'landscape', 'drivers')
#: Ground floor first; rooms of one entry may use each other.
FLOORS = (
    *((room,) for room in SCIENCE),
    ('parameters',),
    ('data',),
    ('functions',),
    ('calculations', 'parsers'),
    ('workflows',),
)
ORDER = {room: level for level, floor in enumerate((*FLOORS, ('reports',), ('cli',))) for room in floor}


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize('room', ORDER)
def test_rooms_import_from_above_only(room):
    """No room imports from one below it, and no science from AiiDA."""
    files = list((PACKAGE / room).rglob('*.py'))
    assert files
    for path in files:
        for name in imported(path):
            if name.startswith('aiida_dpasse.') and (other := name.split('.')[1]) in ORDER:
                assert ORDER[other] <= ORDER[room], f'{path.name} imports {name}'
            if room in SCIENCE:
                assert name.split('.')[0] != 'aiida', f'{path.name} imports {name}'


def test_science_is_importable_without_aiida():
    """Every module of the science can be imported where there is no AiiDA."""
    modules = [
        '.'.join(('aiida_dpasse', *path.relative_to(PACKAGE).with_suffix('').parts))
        for room in SCIENCE
        for path in sorted((PACKAGE / room).glob('*.py'))
    ]
    code = f"import sys, importlib; sys.modules['aiida'] = None; [importlib.import_module(n) for n in {modules!r}]"
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)


@pytest.mark.parametrize('process', [AseMDCalculation, EvaluateCalculation, LabelCalculation, TransportCalculation])
def test_drivers_start_with_what_they_carry(process: type[DriverCalculation], tmp_path):
    """A driver's zip holds all of our modules that it needs: this package and AiiDA are not there."""
    (tmp_path / 'driver.zip').write_bytes(pack_driver(process.DRIVER, process.MODULES))
    code = (
        "import sys; sys.path[:] = ['driver.zip', *(p for p in sys.path if p)]; sys.modules['aiida'] = None; "
        f'import aiida_dpasse.drivers.{process.DRIVER} as driver; '
        "ours = [m for name, m in sys.modules.items() if name.startswith('aiida_dpasse')]; "
        "assert all('driver.zip' in m.__file__ for m in ours), ours; assert callable(driver.main)"
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=tmp_path)
