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
from aiida_dpasse.calculations.scan import ScanCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.drivers.package import pack_driver

PACKAGE = Path(aiida_dpasse.__file__).parent
#: What each room imports from, beside the modules above all rooms (`runs`, `seeds`, ...), and nothing else.
IMPORTS = {
    # the science, which knows nothing of AiiDA
    'structures': '',
    'deepmd': 'structures',
    'assessment': 'deepmd',
    'learning': '',
    'labels': 'deepmd structures',
    'lammps': 'assessment',
    'transport': '',
    'experiment': '',
    'landscape': 'structures',
    'cp2k': 'structures',
    'vasp': 'structures',
    'dpgen': 'cp2k deepmd vasp',
    'drivers': 'assessment deepmd labels landscape lammps transport',
    # AiiDA
    'parameters': 'deepmd labels lammps landscape structures',
    'data': 'cp2k deepmd structures vasp',
    'reports': 'data',
    'calculations': 'data deepmd drivers labels lammps landscape parameters',
    'parsers': 'calculations data deepmd drivers labels lammps parameters',
    'frames': 'data deepmd labels learning parameters structures',
    'base': 'calculations data deepmd drivers frames parameters structures',
    'label': 'assessment base calculations cp2k data deepmd frames labels parameters reports structures vasp',
    'train': 'assessment base calculations data deepmd frames parameters reports',
    'dynamics': 'base calculations data experiment frames lammps parameters reports train transport',
    'explore': 'assessment base calculations data deepmd dpgen dynamics frames label learning parameters reports '
    'structures train',
    'distill': 'assessment base data deepmd dynamics frames label parameters reports structures train',
    'assess': 'assessment base calculations data deepmd dynamics frames label labels lammps landscape parameters '
    'reports structures train transport',
    'screen': 'base calculations data dynamics landscape parameters reports',
    'study': 'assessment base data deepmd distill dynamics explore frames label parameters reports structures train',
    'cli': (
        'assess base calculations data deepmd dpgen drivers experiment explore frames lammps landscape reports screen '
        'structures study transport vasp'
    ),
}
SCIENCE = tuple(IMPORTS)[: tuple(IMPORTS).index('parameters')]


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_every_room_is_in_the_table():
    """And each imports from rooms above it only."""
    assert set(IMPORTS) == {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    for index, allowed in enumerate(IMPORTS.values()):
        assert set(allowed.split()) <= set(tuple(IMPORTS)[:index])


@pytest.mark.parametrize('room', IMPORTS)
def test_a_room_imports_what_the_table_says(room):
    """Nothing more and nothing less; and no science imports AiiDA."""
    names = set().union(*(imported(path) for path in (PACKAGE / room).rglob('*.py')))
    ours = {name.split('.')[1] for name in names if name.startswith('aiida_dpasse.')}
    assert {name for name in ours if name in IMPORTS} - {room} == set(IMPORTS[room].split())
    if room in SCIENCE:
        assert 'aiida' not in {name.split('.')[0] for name in names}


def test_science_is_importable_without_aiida():
    """Every module of the science can be imported where there is no AiiDA."""
    modules = [
        '.'.join(('aiida_dpasse', *path.relative_to(PACKAGE).with_suffix('').parts))
        for room in SCIENCE
        for path in sorted((PACKAGE / room).glob('*.py'))
    ]
    code = f"import sys, importlib; sys.modules['aiida'] = None; [importlib.import_module(n) for n in {modules!r}]"
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)


@pytest.mark.parametrize(
    'process', [AseMDCalculation, EvaluateCalculation, LabelCalculation, ScanCalculation, TransportCalculation]
)
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
