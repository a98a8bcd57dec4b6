"""The base of the restarting chains, with a real evaluation: lost jobs run again, a full disk pauses, causes arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import CalcJob, run_get_node
from aiida.manage import get_manager
from aiida.manage.caching import disable_caching
from aiida.schedulers.plugins.direct import DirectScheduler

from aiida_dpasse.base.jobs import EvaluateBaseWorkChain
from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.parsers.evaluate import EvaluateParser

CODES = EvaluateCalculation.exit_codes


@pytest.fixture(autouse=True)
def nothing_from_the_cache():
    """A job that is run again has the hash of the one before."""
    with disable_caching():
        yield


@pytest.fixture
def given(python_code, tiny_potential, tiny_frames, tmp_path) -> Callable[..., dict[str, Any]]:
    """Return a function that makes inputs whose Python is a stand-in: lines of bash around the real one."""

    def make(lines: str, iterations: int = 3) -> dict[str, Any]:
        script = tmp_path / 'python'
        script.write_text(f'#!/bin/bash\npython={python_code.get_executable()}\nat={tmp_path}\n{lines}\n')
        script.chmod(0o755)
        code = orm.InstalledCode(
            computer=python_code.computer,
            filepath_executable=str(script),
            label='python-stand-in',
            prepend_text=python_code.prepend_text,
        )
        frames = FramesData.from_sets([tiny_frames])
        job = {'code': code.store(), 'potentials': {'tiny': tiny_potential}, 'frames': frames}
        return {'job': job, 'max_iterations': orm.Int(iterations)}

    return make


@pytest.fixture
def scheduler(monkeypatch):
    """Have AiiDA's scheduler without queue say what a line of the job's output names, as SLURM's accounting does."""

    def parse_output(self, info=None, stdout=None, stderr=None):
        named = [code for label, code in CalcJob.exit_codes.items() if label in (stdout or '')]
        return named[0] if named else None

    monkeypatch.setattr(DirectScheduler, 'parse_output', parse_output)


def run(inputs: dict[str, Any]) -> tuple[orm.WorkChainNode, list[int]]:
    """Run an evaluation and return the chain with the exit statuses of its jobs."""
    _, node = run_get_node(EvaluateBaseWorkChain, **inputs)
    jobs = sorted((child for child in node.called if isinstance(child, orm.CalcJobNode)), key=lambda job: job.pk)
    return node, [job.exit_status for job in jobs]


def test_a_job_that_is_killed_runs_again(given):
    """The chain ends as if the job had not been killed."""
    lines = (
        'if [ -e $at/killed ]; then exec "$python" "$@"; fi\n"$python" "$@" & sleep 0.5; kill -9 $!; touch $at/killed'
    )
    node, statuses = run(given(lines))
    assert node.is_finished_ok, node.exit_message
    assert statuses == [CODES.ERROR_NO_RESULT.status, 0]
    assert node.outputs.results['tiny']['frames'] == 8


def test_a_job_that_is_always_killed_is_given_up(given):
    """With the job's own exit code and message, after as many runs as are allowed."""
    node, statuses = run(given('kill -9 $$', iterations=2))
    assert statuses == [CODES.ERROR_NO_RESULT.status] * 2
    assert node.exit_status == CODES.ERROR_NO_RESULT.status
    assert '`output.json`' in node.exit_message
    assert '2 runs' in node.exit_message


@pytest.mark.usefixtures('scheduler')
def test_a_node_that_fails(given):
    """The scheduler's code is kept, and the job runs again."""
    lines = 'if [ -e $at/failed ]; then exec "$python" "$@"; fi\n'
    lines += 'touch $at/failed; echo ERROR_SCHEDULER_NODE_FAILURE >> _scheduler-stdout.txt'
    node, statuses = run(given(lines))
    assert node.is_finished_ok, node.exit_message
    assert statuses == [140, 0]


@pytest.mark.usefixtures('scheduler')
@pytest.mark.parametrize(
    ('label', 'status', 'advice'),
    [
        ('ERROR_SCHEDULER_OUT_OF_WALLTIME', 120, '`max_wallclock_seconds`'),
        ('ERROR_SCHEDULER_OUT_OF_MEMORY', 110, '`max_memory_kb`'),
    ],
)
def test_limits_of_the_scheduler(given, label, status, advice):
    """A node that hangs looks the same, so that it is run once more; the second time it ends with what to change."""
    node, statuses = run(given(f'echo {label} >> _scheduler-stdout.txt; kill -9 $$'))
    assert statuses == [status, status]
    assert node.exit_status == status
    assert advice in node.exit_message


def test_the_first_cause_arrives(given):
    """An error of the program is reproducible: no second run, and its message at the top."""
    lines = """echo '{"error": {"label": "tiny", "reason": "it has no type K"}}' > output.json"""
    node, statuses = run(given(lines))
    assert statuses == [CODES.ERROR_POTENTIAL.status]
    assert node.exit_status == CODES.ERROR_POTENTIAL.status
    assert 'it has no type K' in node.exit_message


def test_an_excepted_job_runs_once_more(given, monkeypatch):
    """A job whose parser raises once is run again; the second exception is reported with its reason."""
    read, calls = EvaluateParser.read, []

    def raise_for(times):
        def reading(self, **kwargs):
            calls.append(self.node.pk)
            if len(calls) <= times:
                raise RuntimeError('a broken pipe')
            return read(self, **kwargs)

        monkeypatch.setattr(EvaluateParser, 'read', reading)

    raise_for(2)
    node, statuses = run(given('kill -9 $$', iterations=5))
    assert statuses == [None, None]
    assert node.exit_status == EvaluateBaseWorkChain.exit_codes.ERROR_SUB_PROCESS_EXCEPTED.status
    assert 'a broken pipe' in node.exit_message


@pytest.mark.parametrize('iterations', [1, 3])
def test_a_full_disk_pauses(given, iterations):
    """The chain waits with a sentence; played, it runs the job again, and nothing has been given up."""
    lines = 'if [ -e $at/room ]; then exec "$python" "$@"; fi\n'
    lines += 'echo "OSError: [Errno 28] No space left on device" >&2; exit 1'
    inputs = given(lines, iterations)
    room = Path(str(inputs['job']['code'].get_executable())).with_name('room')
    runner = get_manager().create_runner(communicator=None)
    process = runner.instantiate_process(EvaluateBaseWorkChain, **inputs)
    seen = []

    async def make_room() -> None:
        for _ in range(2):
            while not process.paused and not process.has_terminated():
                await asyncio.sleep(0.1)
            seen.append((process.node.paused, process.node.process_status))
            if len(seen) == 2:
                room.touch()
            process.play()

    runner.loop.create_task(make_room())
    runner.run(process)
    node = process.node
    assert node.is_finished_ok, node.exit_message
    statuses = [job.exit_status for job in sorted(node.called, key=lambda job: job.pk)]
    assert statuses == [CODES.ERROR_DISK_FULL.status, CODES.ERROR_DISK_FULL.status, 0]
    assert seen[0][0]
    assert 'quota' in seen[0][1]
    assert f'verdi process play {node.pk}' in seen[0][1]
