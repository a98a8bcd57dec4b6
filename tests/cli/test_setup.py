"""`aiida-dpasse setup` with the real programs, in a profile of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_dpasse.calculations.ways import WAYS_EXTRA
from aiida_dpasse.cli import measure
from aiida_dpasse.cli import setup as command
from aiida_dpasse.cli.main import Commands, cli
from aiida_dpasse.cli.programs import Program, local_shell


@pytest.fixture(autouse=True)
def no_more_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same result with and without CP2K and torchrun on this machine, unless a test has one."""
    monkeypatch.setattr(command, 'find_cp2k', lambda *_: None)
    monkeypatch.setattr(command, 'find_torchrun', lambda *_: None)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, programs: dict[str, Program]) -> dict[str, Program]:
    """Spares each test the 8 s in which the wrapper is imported: the programs were found and started by the fixture."""
    monkeypatch.setattr(command, 'find_programs', lambda *_: list(programs.values()))
    return programs


def _codes(label: str) -> list[orm.InstalledCode]:
    builder = orm.QueryBuilder().append(orm.Computer, filters={'label': label}, tag='computer')
    builder.append(orm.InstalledCode, with_computer='computer', tag='code').order_by({'code': {'id': 'asc'}})
    return builder.all(flat=True)


@pytest.mark.usefixtures('aiida_profile')
def test_setup_registers_and_is_idempotent(monkeypatch: pytest.MonkeyPatch, found: dict[str, Program]) -> None:
    """The second run keeps everything; other lines before a program replace its code and hide the old one."""
    first = CliRunner().invoke(cli, ['setup', '--computer', 'here'], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert first.output.count('created') == 4
    computer = orm.load_computer('here')
    assert computer.get_configuration()['use_login_shell'] is False
    assert computer.get_minimum_job_poll_interval() <= command.LOCAL_POLL_INTERVAL
    code = orm.load_code('lmp@here')
    assert code.base.extras.get('dpasse_version') == '3.2.0'
    assert code.base.extras.get('dpasse_versions')['lammps'].startswith('2025.')
    assert 'OMP_NUM_THREADS=1' in code.prepend_text

    second = CliRunner().invoke(cli, ['setup', '--computer', 'here'], catch_exceptions=False)
    assert second.output.count('kept') == 4
    assert [entry.pk for entry in _codes('here')] == [orm.load_code(f'{name}@here').pk for name in found]

    others = [replace(program, environment={**program.environment, 'MORE': '1'}) for program in found.values()]
    monkeypatch.setattr(command, 'find_programs', lambda *_: others)
    third = CliRunner().invoke(cli, ['setup', '--computer', 'here'], catch_exceptions=False)
    assert third.output.count('replaced') == 3
    assert orm.load_code('lmp@here').prepend_text.endswith('export MORE=1')
    assert orm.load_code(code.pk).is_hidden
    assert orm.load_code(code.pk).label == f'lmp-{code.pk}'


needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='this machine has one core')


@pytest.mark.usefixtures('aiida_profile')
@needs_two_cores
def test_setup_measures_threads_and_ranks(found: dict[str, Program]) -> None:
    """Each program is run in one thread, two threads and two ranks; what was fastest is stored with its code."""
    first = CliRunner().invoke(cli, ['setup', '--computer', 'two', '--threads', '2'], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    entries = {name: orm.load_code(f'{name}@two').base.extras.get(WAYS_EXTRA) for name in found}
    rows = [row for entry in entries.values() for row in entry['measured']]
    assert [row for row in rows if row['error'] or not row['speed'] > 0] == []
    ran = {(row['program'], row['backend'], row['processes'], row['threads']) for row in rows}
    backends, ways = ('tensorflow', 'pytorch'), [(1, 1), (1, 2), (2, 1)]
    assert {item for item in ran if item[0] == 'lmp'} == {('lmp', name, *way) for name in backends for way in ways}
    assert {item for item in ran if item[0] == 'dp'} == {('dp', name, *way) for name in backends for way in ways[:2]}
    assert {item for item in ran if item[0] == 'python'} == {('python', 'sevennet-l3i5', *way) for way in ways[:2]}
    assert {name: entry['ways'] for name, entry in entries.items()} == measure.choose(rows)
    assert first.output.count('used') == 5
    # Jobs of `dp` and `lmp` set their threads, which depend on the model.
    python = measure.choose(rows)['python']['sevennet-l3i5']['threads']
    for name, threads in {'dp': 1, 'lmp': 1, 'python': python}.items():
        assert f'OMP_NUM_THREADS={threads}' in orm.load_code(f'{name}@two').prepend_text

    second = CliRunner().invoke(cli, ['setup', '--computer', 'two'], catch_exceptions=False)
    assert second.exit_code == 0
    assert all(WAYS_EXTRA not in orm.load_code(f'{name}@two').base.extras.all for name in found)
    assert 'OMP_NUM_THREADS=1' in orm.load_code('python@two').prepend_text


@pytest.mark.usefixtures('aiida_profile', 'found')
def test_more_threads_than_cores_are_refused() -> None:
    result = CliRunner().invoke(cli, ['setup', '--computer', 'small', '--threads', '4096'])
    assert result.exit_code == 2
    assert 'cores: give at most as many --threads' in result.output
    assert _codes('small') == []


@pytest.mark.usefixtures('aiida_profile', 'found')
def test_nothing_is_measured_beside_a_scheduler() -> None:
    """The machine that the transport reaches is not the one that runs the jobs."""
    computer = orm.Computer(
        label='queue', hostname='localhost', transport_type='core.local', scheduler_type='core.slurm', workdir='/tmp'
    ).store()
    computer.configure(safe_interval=0)
    result = CliRunner().invoke(cli, ['setup', '--computer', 'queue', '--threads', '48'], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert 'Nothing was measured, because `queue` has a scheduler' in result.output
    code = orm.load_code('lmp@queue')
    assert 'OMP_NUM_THREADS=48' in code.prepend_text
    assert WAYS_EXTRA not in code.base.extras.all


@pytest.mark.usefixtures('aiida_profile')
@needs_two_cores
def test_a_failed_measurement_is_one_sentence(monkeypatch: pytest.MonkeyPatch, found: dict[str, Program]) -> None:
    """The codes are registered with one thread, and the command fails."""
    broken = [replace(program, path='/bin/false') for program in found.values()]
    monkeypatch.setattr(command, 'find_programs', lambda *_: broken)
    result = CliRunner().invoke(cli, ['setup', '--computer', 'broken', '--threads', '2'], catch_exceptions=False)
    assert result.exit_code == 1
    assert 'The measurement failed (exit status 1). Each job gets one thread.' in result.output
    assert 'OMP_NUM_THREADS=1' in orm.load_code('python@broken').prepend_text


def test_what_cannot_be_measured_is_named(programs: dict[str, Program]) -> None:
    """A backend whose training fails has rows with the reason; the others are measured."""
    broken = [replace(programs['dp'], path='/bin/false'), programs['lmp'], programs['python']]
    rows = measure.measure(broken, 1, 'mpirun -np {processes}', partial(local_shell, limit=600))
    failed = [row for row in rows if row['program'] == 'dp']
    assert [(row['backend'], row['speed'], row['error']) for row in failed] == [
        (backend, None, 'dp ended with exit status 1: no output') for backend in ('tensorflow', 'pytorch')
    ]
    assert [row['program'] for row in rows if row['speed']] == ['python']
    assert measure.choose(rows) == {
        'dp': {backend: {'processes': 1, 'threads': 1} for backend in ('tensorflow', 'pytorch')},
        'python': {'sevennet-l3i5': {'processes': 1, 'threads': 1}},
    }
    assert measure.table(rows).count('failed: dp ended') == 2


@pytest.mark.parametrize(
    ('speeds', 'way'),
    [
        ((30.2, 26.7, 54.0), (2, 1)),  # the student of the quickstart, katom-step/s
        ((7.0, 9.8, 9.0), (1, 2)),
        ((7.0, 7.6, None), (1, 1)),  # too little for a second core
        ((None, 9.0, 8.0), (1, 2)),
        ((None, None, None), (1, 1)),
    ],
)
def test_the_fastest_way_is_chosen(speeds: tuple[float | None, ...], way: tuple[int, int]) -> None:
    ways = [(1, 1), (1, 2), (2, 1)]
    rows = [
        {'program': 'lmp', 'backend': 'x', 'processes': ranks, 'threads': threads, 'speed': speed}
        for (ranks, threads), speed in zip(ways, speeds, strict=True)
    ]
    assert measure.choose(rows) == {'lmp': {'x': dict(zip(('processes', 'threads'), way, strict=True))}}


@pytest.mark.usefixtures('aiida_profile', 'found')
def test_setup_registers_torchrun_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = Program('torchrun', '/opt/bin/torchrun', '2.11.0', {'torch': '2.11.0'})
    monkeypatch.setattr(command, 'find_torchrun', lambda *_: torchrun)
    result = CliRunner().invoke(cli, ['setup', '--computer', 'gpus'], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert orm.load_code('torchrun@gpus').get_executable().as_posix() == '/opt/bin/torchrun'


@pytest.mark.usefixtures('aiida_profile', 'found')
def test_setup_registers_cp2k_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder of its data files, which is no list of folders."""
    cp2k = Program('cp2k', '/usr/bin/cp2k.psmp', '2023.1', {'cp2k': '2023.1'}, {'CP2K_DATA_DIR': '/usr/share/cp2k'})
    monkeypatch.setattr(command, 'find_cp2k', lambda *_: cp2k)
    result = CliRunner().invoke(cli, ['setup', '--computer', 'dft'], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert 'cp2k@dft' in result.output
    code = orm.load_code('cp2k@dft')
    assert code.prepend_text.splitlines()[-1] == 'export CP2K_DATA_DIR=/usr/share/cp2k'
    assert code.base.extras.get('dpasse_versions') == {'cp2k': '2023.1'}


@pytest.mark.usefixtures('aiida_profile')
def test_setup_mends_the_login_shell_of_presto() -> None:
    """A computer as `verdi presto` makes it gets no login shell; its own settings stay."""
    computer = orm.Computer(
        label='presto', hostname='localhost', transport_type='core.local', scheduler_type='core.direct', workdir='/tmp'
    ).store()
    computer.configure(safe_interval=0)
    computer.set_minimum_job_poll_interval(1)
    mended, created = command.local_computer('presto')
    assert not created
    assert mended.pk == computer.pk
    assert mended.get_configuration()['use_login_shell'] is False
    assert mended.get_minimum_job_poll_interval() == command.LOCAL_POLL_INTERVAL


@pytest.mark.usefixtures('aiida_profile')
def test_setup_says_what_is_missing(tmp_path: Path) -> None:
    """An environment without our packages: nothing registered, one command that mends it, a failing exit status."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path)], check=True)
    result = CliRunner().invoke(cli, ['setup', '--computer', 'bare', '--prefix', str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.count('missing') == 3
    assert result.output.count('-m pip install') == 1
    assert _codes('bare') == []


@pytest.mark.usefixtures('aiida_profile')
def test_setup_over_ssh_needs_a_prefix() -> None:
    """Nobody can guess where another computer keeps its environment."""
    orm.Computer(
        label='far', hostname='far', transport_type='core.ssh', scheduler_type='core.slurm', workdir='/scratch'
    ).store()
    result = CliRunner().invoke(cli, ['setup', '--computer', 'far'])
    assert result.exit_code == 2
    assert '--prefix' in result.output


def test_transport_shell_runs_on_the_other_side(localhost: orm.Computer) -> None:
    """The search runs through AiiDA's transport as it does here."""
    with localhost.get_transport() as transport:
        assert command.transport_shell(transport)('echo out; echo err >&2; exit 3') == (3, 'out\n', 'err\n')


def test_help_imports_no_command() -> None:
    """`aiida-dpasse --help` lists all commands and loads none; an unknown one is refused."""
    code = (
        'import sys; from click.testing import CliRunner; from aiida_dpasse.cli.main import cli; '
        'print(CliRunner().invoke(cli, ["--help"]).output); assert "aiida.orm" not in sys.modules'
    )
    output = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert all(name in output for name in Commands.COMMANDS)
    assert CliRunner().invoke(cli, ['nothing']).exit_code == 2


def test_missing_profile_is_one_sentence(tmp_path: Path) -> None:
    """Neither an unknown profile nor none at all ends in a traceback."""
    program = str(Path(sys.executable).parent / 'aiida-dpasse')
    for arguments in (['-p', 'nobody', 'setup'], ['setup']):
        result = subprocess.run(
            [program, *arguments], capture_output=True, text=True, env={'AIIDA_PATH': str(tmp_path), 'PATH': '/usr/bin'}
        )
        assert result.returncode == 1
        assert 'Traceback' not in result.stderr
        assert 'verdi presto' in result.stderr
