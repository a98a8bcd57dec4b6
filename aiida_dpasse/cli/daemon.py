"""Supervision of a profile's daemon: start it, restart it if no worker listens, recover lost tasks, stop it cleanly.

:class:`DaemonKeeper` is intended for a private profile on the ZeroMQ broker, whose daemon is started and stopped by a
    script. `standstill` and `repair` work with any profile, also on RabbitMQ. Nothing here ends the program of a job:
    it outlives a worker and is found by the next one.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import kiwipy
import psutil
from aiida.brokers import Broker
from aiida.brokers.zeromq import ZeromqBroker
from aiida.brokers.zeromq.service import ZeromqBrokerService
from aiida.engine.daemon.client import DaemonClient, DaemonException, get_daemon_client
from aiida.engine.processes.control import get_active_processes, get_process_tasks, revive_processes
from aiida.manage import get_manager
from aiida.manage.configuration import get_config, get_config_option
from aiida.orm import CalcJobNode, ProcessNode, WorkChainNode
from sqlalchemy import text

#: Time in s that a worker may take to subscribe; it needs about 5 s on an idle machine, and its broker reports every 5
#: s.
PATIENCE = 45.0
#: Time in s that the broker may take to start; it needs about 3 s on an idle machine.
START_PATIENCE = 120.0
#: Time in s without a task after which an active process counts as lost: a submission stores the process first.
LOST_AFTER = 10.0
#: Time in s between the two checks of `standstill`: a worker that has just taken a task cannot be reached yet.
SECOND_LOOK = 5.0
#: Time in s after which a work chain should have noticed that all its children have ended.
DEAF_AFTER = 60.0


class DaemonKeeper:
    """Supervises the daemon of the loaded profile; call :meth:`look` regularly while processes are running.

    :param client: client of the daemon, by default that of the loaded profile.
    """

    def __init__(self, client: DaemonClient | None = None) -> None:
        self.client = client or get_daemon_client()
        self._silent_since: float | None = None
        self._lost_since: dict[int, float] = {}

    @property
    def running(self) -> bool:
        """Whether the daemon itself, and not only its PID file, exists."""
        pid = self.client.get_daemon_pid()
        return pid is not None and psutil.pid_exists(pid) and not self.client._is_pid_file_stale

    def start(self) -> bool:
        """Start the daemon with one worker if it is not running.

        One worker is sufficient for all processes of a study, since it only waits for programs; two would compete for
        the SQLite file.

        :return: whether the daemon was started.
        :raises DaemonException: if the broker cannot be reached.
        """
        if self.running:
            return False
        self.end_leftovers()
        self.client.start_daemon(number_workers=1)
        await_broker()
        self._silent_since = time.monotonic()
        return True

    def stop(self) -> None:
        """Stop the daemon, its worker and its broker; running jobs continue and are found by the next start."""
        if self.running:
            try:
                self.client.stop_daemon(wait=True, timeout=60)
            except DaemonException:  # the daemon does not respond
                pid = self.client.get_daemon_pid()
                if pid is not None and psutil.pid_exists(pid):
                    _end([psutil.Process(pid)])
        self.end_leftovers()

    def end_leftovers(self) -> list[int]:
        """End the processes that serve this profile and whose supervisor was killed.

        Such a worker would otherwise execute a process concurrently with the new worker.

        :return: the process ids.
        """
        ended: set[int] = set()
        # A supervisor may start a worker while the processes are listed.
        while found := [process for process in self._leftovers() if process.pid not in ended]:
            ended |= _end(found)
        return sorted(ended)

    def _leftovers(self) -> list[psutil.Process]:
        """Return the processes that serve this profile without being the running daemon or its children."""
        daemon = self.client.get_daemon_pid() if self.running else None
        leftovers = []
        for process in psutil.process_iter():
            try:
                if self._serves(process) and daemon not in (process.pid, *(parent.pid for parent in process.parents())):
                    leftovers.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return leftovers

    def _serves(self, process: psutil.Process) -> bool:
        """Whether a process is the supervisor, a worker, the broker or the statistics of this profile."""
        command = process.cmdline()
        if self.client.circus_log_file in command:
            return True
        if not {'worker', 'broker', 'start-circus'} & set(command) or self.client.profile.name not in command:
            return False
        home = Path(self.client.get_env()['AIIDA_PATH']).resolve()
        return Path(process.environ().get('AIIDA_PATH', '')).resolve() in (home, home.parent)

    def look(self) -> list[str]:
        """Check the daemon and fix any problem.

        The daemon is started if it is not running, and restarted if no worker has subscribed for a while. Processes
        without a task, whose submission was interrupted between storing and sending, are given a new one.

        :return: one message for each problem fixed.
        :raises DaemonException: if the daemon does not start.
        """
        if self.start():
            return ['The daemon was not running and has been started again.']
        now = time.monotonic()
        if self._subscribers() > 0:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > PATIENCE:
            self._silent_since = now
            self.client.restart_daemon(wait=True, timeout=60)
            return ['No worker was connected to the broker: the daemon has been restarted.']
        else:
            return []
        return self._revive(now)

    def _subscribers(self) -> int:
        broker = get_manager().get_broker()
        if broker is None or not broker.check_service_reachable():
            return 0
        return int(broker.probe_service_status().get('task_subscribers', 0))

    def _revive(self, now: float) -> list[str]:
        lost = {process.pk: process for process in lost_processes()}
        self._lost_since = {pk: self._lost_since.get(pk, now) for pk in lost}
        due = [process for pk, process in lost.items() if now - self._lost_since[pk] > LOST_AFTER]
        if not due:
            return []
        revive_processes(due)
        for process in due:
            del self._lost_since[process.pk]
        return [f'Process {process.pk} had no task at the broker, and a new one was sent.' for process in due]


def start_daemon() -> bool:
    """Start the daemon of the loaded profile with its default number of workers if it is not running.

    :return: whether it was started.
    :raises DaemonException: if its broker cannot be reached.
    """
    client = get_daemon_client()
    if client.is_daemon_running:
        return False
    client.start_daemon(number_workers=int(get_config_option('daemon.default_workers')))
    await_broker()
    return True


def await_broker() -> None:
    """Wait until the broker can be reached; the 10 s that AiiDA waits for ZeroMQ's are too short on a busy machine.

    :raises DaemonException: if it cannot be reached.
    """
    broker = get_manager().get_broker()
    if not isinstance(broker, ZeromqBroker):
        return  # a server of its own, which does not start with the daemon
    deadline = time.monotonic() + START_PATIENCE
    files = broker_files()
    while not (broker.check_service_reachable() and files.sockets_file.exists()):
        if time.monotonic() > deadline:
            raise DaemonException(f'The broker did not start: read {files.log_file}.')
        time.sleep(0.2)


def broker_files() -> ZeromqBrokerService.FilepathLayout:
    """Return the paths of the files of the ZeroMQ broker of the loaded profile."""
    files = get_config().filepaths(get_manager().get_profile())['broker_service']
    return ZeromqBrokerService.FilepathLayout(files['dir'], files['log'])


@dataclass(frozen=True)
class Standstill:
    """Causes for which processes do not progress."""

    #: Whether the daemon is running.
    running: bool = True
    #: Active processes without a task at the broker, which are unknown to all workers.
    lost: list[ProcessNode] = field(default_factory=list)
    #: Active processes whose task is not taken by any worker.
    untaken: list[int] = field(default_factory=list)
    #: Work chains that have not noticed that all their children have ended.
    deaf: list[int] = field(default_factory=list)
    #: Process ids of workers started before the database server, which may have lost their connection.
    cut_off: list[int] = field(default_factory=list)

    def sentences(self, pk: int | None) -> list[str]:
        """Return one message for each cause, with the command that fixes it.

        :param pk: the process that was asked about, None for all.
        """
        if not self.running:
            return ['The daemon is not running: run `verdi daemon start`.']
        repair = ' '.join(['aiida-dpasse status --repair', *([str(pk)] if pk else [])])
        found = [
            f'{node.process_label}<{node.pk}> has no task at the broker and would wait forever: run `{repair}`, or '
            '`verdi daemon stop`, `verdi process repair` and `verdi daemon start`.'
            for node in self.lost
        ]
        if self.untaken:
            found.append(
                f'No worker takes the tasks of {_listed(self.untaken)}: run `{repair}` or `verdi daemon restart`.'
            )
        if self.deaf:
            found.append(
                f'All children of {_listed(self.deaf)} have ended, and this was not noticed: run `{repair}` or '
                '`verdi daemon restart`.'
            )
        if self.cut_off:
            found.append(
                f'PostgreSQL was restarted after the worker{"s" if len(self.cut_off) > 1 else ""} '
                f'{", ".join(map(str, self.cut_off))} of the daemon, which may have lost their connection: run '
                f'`{repair}` or `verdi daemon restart`.'
            )
        return found


def standstill(pks: Iterable[int] | None = None) -> Standstill:
    """Determine why processes do not progress.

    Positive findings are checked twice, a few seconds apart.

    :param pks: processes to consider, all if None.
    """
    chosen = None if pks is None else set(pks)
    active = [node.pk for node in _active(chosen)]
    client = get_daemon_client()
    if not active or get_manager().get_broker() is None:
        return Standstill()
    if not client.is_daemon_running:
        return Standstill(running=False)
    cut_off = _cut_off()
    first = _look(chosen)
    if first == Standstill():
        return Standstill(cut_off=cut_off)
    time.sleep(SECOND_LOOK)
    second = _look(chosen)
    lost = {node.pk for node in first.lost}
    busy = len(_active(None)) >= client.get_number_of_workers() * int(get_config_option('daemon.worker_process_slots'))
    return Standstill(
        lost=[node for node in second.lost if node.pk in lost],
        untaken=[] if busy else sorted({*first.untaken} & {*second.untaken}),
        deaf=sorted({*first.deaf} & {*second.deaf}),
        cut_off=cut_off,
    )


def repair(pks: Iterable[int] | None = None) -> list[str]:
    """Fix the problems found by `standstill`.

    :param pks: processes to consider, all if None.
    :return: one message for each problem fixed.
    :raises DaemonException: if the daemon does not start.
    """
    chosen = None if pks is None else set(pks)
    client = get_daemon_client()
    found = standstill(chosen)
    done = []
    if not found.running:
        start_daemon()
        done.append('The daemon was not running and has been started.')
    elif found.untaken or found.deaf:
        client.restart_daemon(wait=True, timeout=60)
        done.append(f'The daemon has been restarted, for {_listed([*found.untaken, *found.deaf])}.')
    elif found.cut_off:
        client.restart_daemon(wait=True, timeout=60)
        done.append('The daemon has been restarted: PostgreSQL was restarted after its workers.')
    if done:
        found = standstill(chosen)
    controller = get_manager().get_process_controller()
    for node in found.lost:
        controller.continue_process(node.pk, nowait=True, no_reply=True)
        done.append(f'{node.process_label}<{node.pk}> had no task at the broker, and a new one was sent.')
    return done


def lost_processes(pks: set[int] | None = None) -> list[ProcessNode]:
    """Return the active processes that have no task at the broker and would therefore wait forever.

    This is a single check: it includes processes whose task is just being sent or taken.

    :param pks: processes to consider, all if None.
    """
    return _look(pks).lost


def _active(pks: set[int] | None) -> list[ProcessNode]:
    """Return the active processes that have tasks: functions have none, and processes without a checkpoint never
    started.
    """
    nodes = [node for node in get_active_processes() if pks is None or node.pk in pks]
    return [node for node in nodes if isinstance(node, CalcJobNode | WorkChainNode) and node.checkpoint is not None]


def _look(pks: set[int] | None) -> Standstill:
    active = _active(pks)
    broker = get_manager().get_broker()
    if not active or broker is None:
        return Standstill()
    ready, held = _tasks(broker)
    others = {node.pk: held(node.pk) for node in active if node.pk not in ready}
    return Standstill(
        lost=[node for node in active if not others.get(node.pk, True)],
        untaken=[node.pk for node in active if node.pk in ready],
        deaf=[node.pk for node in active if others.get(node.pk, False) and _deaf(node)],
    )


def _cut_off() -> list[int]:
    """Return the workers that were started before the PostgreSQL server.

    A worker that was writing when the server stopped keeps an invalid session for the rest of its life, since AiiDA
    never rolls it back. Its processes appear to be active.
    """
    session = get_manager().get_profile_storage().get_session()
    if session.get_bind().dialect.name != 'postgresql':
        return []
    # The clock of the server is used, which may differ from the local one.
    uptime = session.execute(text('SELECT extract(epoch FROM now() - pg_postmaster_start_time())')).scalar()
    started = time.time() - float(uptime)
    workers = get_daemon_client().get_worker_info().get('info', {})
    return sorted(int(pid) for pid, info in workers.items() if info['create_time'] < started)


def _tasks(broker: Broker) -> tuple[set[int], Callable[[int], bool]]:
    """Return the processes whose tasks wait for a worker, and a function that checks whether a worker holds a task.

    The folder of the ZeroMQ broker is read directly, since AiiDA's own reader requeues tasks that are being processed.
    RabbitMQ gives no information on tasks held by a worker, so the worker is asked.
    """
    if isinstance(broker, ZeromqBroker):
        queue = broker_files().storage_path / 'tasks'
        return _pids(queue.glob('pending/*.json')), _pids(queue.glob('processing/*.json')).__contains__
    controller = get_manager().get_process_controller()

    def held(pk: int) -> bool:
        try:
            controller.get_status(pk)
        except kiwipy.UnroutableError:
            return False
        return True

    return set(get_process_tasks(broker)), held


def _pids(paths: Iterable[Path]) -> set[int]:
    found = set()
    for path in paths:
        try:
            found.add(json.loads(path.read_text())['body']['args']['pid'])
        except (OSError, ValueError, KeyError):
            continue  # moved between listing and reading: found by the next check
    return found


def _deaf(node: ProcessNode) -> bool:
    """Whether a work chain still waits although its last child ended a while ago."""
    children = node.called if isinstance(node, WorkChainNode) else []
    if node.paused or not children or not all(child.is_terminated for child in children):
        return False
    latest = max(node.mtime, *(child.mtime for child in children))
    return (datetime.now(UTC) - latest).total_seconds() > DEAF_AFTER


def _listed(pks: list[int]) -> str:
    return f'process{"es" if len(pks) > 1 else ""} {", ".join(map(str, pks))}'


def _end(processes: list[psutil.Process]) -> set[int]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)
    return {process.pid for process in processes}
