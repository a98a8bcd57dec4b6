"""A study survives whatever is killed: script, worker, daemon and broker, and nothing runs twice."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).with_name('stand_in.py')
CUT = """
import sys
from pathlib import Path
from aiida import load_profile
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
sys.path.insert(0, sys.argv[2])
load_profile()
import stand_in
from aiida_dpasse.cli.daemon import DaemonKeeper
DaemonKeeper().start()
runner = get_manager().get_runner()
broken, whole = (instantiate_process(runner, stand_in.build(Path(sys.argv[1]), 1.0)) for _ in range(2))
broken.node.delete_checkpoint()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private profile with a broker in a folder of its own; whatever still runs afterwards is ended."""
    monkeypatch.setenv('AIIDA_PATH', str(tmp_path))
    monkeypatch.setenv('PYTHONPATH', str(SCRIPT.parent))  # of the worker, for the work chain
    presto = [str(Path(sys.executable).parent / 'verdi'), 'presto', '-n', '--use-zeromq']
    subprocess.run(presto, check=True, capture_output=True)
    yield tmp_path
    for process in _of(tmp_path):
        process.kill()


def _of(directory: Path) -> list[psutil.Process]:
    """Return whatever serves the profile in a directory."""
    found = []
    for process in psutil.process_iter():
        try:
            command = ' '.join(process.cmdline())
            service = ' daemon ' in command or 'circus' in command
            if service and process.environ().get('AIIDA_PATH', '').startswith(str(directory)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _study(directory: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(directory), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f'{path} never came'
        time.sleep(0.2)


def _wait_for_job_id(directory: Path) -> None:
    """Return once AiiDA has stored the number of the job: a worker killed before that submits it again."""
    [database] = directory.rglob('database.sqlite')
    query = "SELECT count(*) FROM db_dbnode WHERE attributes LIKE '%job_id%'"
    deadline = time.monotonic() + 60
    while True:
        with closing(sqlite3.connect(f'file:{database}?mode=ro', uri=True)) as connection:
            if connection.execute(query).fetchone()[0]:
                return
        assert time.monotonic() < deadline, 'no job was submitted'
        time.sleep(0.2)


@pytest.mark.parametrize(
    'victims',
    [('worker',), ('start-circus',), ('start-circus', 'worker', 'broker')],
    ids=['worker', 'supervisor', 'everything'],
)
def test_killed_study_goes_on(directory: Path, victims: tuple[str, ...]) -> None:
    """The same process ends, its job has run once, and nothing is left running."""
    first = _study(directory, 15.0)
    _wait_for(directory / 'ran.log')
    _wait_for_job_id(directory)
    uuid = (directory / 'process_uuid').read_text()
    first.kill()
    first.wait()
    killed = [process for process in _of(directory) if set(victims) & set(process.cmdline())]
    assert len(killed) >= len(victims)
    for process in killed:  # the supervisor is the oldest and goes first: it would start the others anew
        os.kill(process.pid, signal.SIGKILL)

    output, _ = _study(directory, 15.0).communicate(timeout=600)
    assert 'result 10' in output, output
    assert (directory / 'process_uuid').read_text() == uuid
    assert (directory / 'ran.log').read_text() == 'ran\n'
    assert _of(directory) == []


def test_submission_cut_in_two_is_completed(directory: Path) -> None:
    """A process stored without its checkpoint is passed over; one whose task was never sent is given one."""
    subprocess.run([sys.executable, '-c', CUT, str(directory), str(SCRIPT.parent)], check=True, timeout=120)
    output, _ = _study(directory, 1.0).communicate(timeout=600)
    assert 'had no task' in output, output
    assert 'result 10' in output, output
    assert (directory / 'ran.log').read_text() == 'ran\n'


def test_status_finds_and_repairs_a_lost_task(directory: Path) -> None:
    """It names the command, the command brings the process to its end, and a second one finds nothing to mend."""
    stopped = _status()
    assert 'No process runs.' in stopped
    subprocess.run([sys.executable, '-c', CUT, str(directory), str(SCRIPT.parent)], check=True, timeout=120)
    said = _status()
    lost = re.findall(r'StudyOfOneJob<(\d+)> has no task .+?: run `(.+?)`', said)
    assert [command for _, command in lost] == ['aiida-dpasse status --repair']
    [(pk, _)] = lost
    assert f'run `aiida-dpasse status --repair {pk}`' in _status(pk)
    repaired = _status('--repair', pk)
    assert f'StudyOfOneJob<{pk}>' in repaired
    _wait_for(directory / 'ran.log')
    assert 'Nothing to repair' in _status('--repair', pk)


def _status(*arguments: str) -> str:
    command = [str(Path(sys.executable).parent / 'aiida-dpasse'), 'status', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_second_watcher_is_refused(directory: Path) -> None:
    """Two scripts at one study would both write its results and stop its daemon."""
    first = _study(directory, 5.0)
    _wait_for(directory / 'ran.log')
    output, _ = _study(directory, 5.0).communicate(timeout=120)
    assert f'process {first.pid}.' in output
    assert 'result 10' in first.communicate(timeout=120)[0]
