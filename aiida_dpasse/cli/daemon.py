"""Keep a profile's daemon at work: start it, restart it if no worker listens, bring back what it lost, stop it cleanly.

Written for a private profile on the ZeroMQ broker, whose daemon a script starts and stops by itself. Nothing here ends
a program of a job: those outlive a worker, and the next worker finds them in the process table.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
from aiida.engine.daemon.client import DaemonClient, DaemonException, get_daemon_client
from aiida.engine.processes.control import get_active_processes, revive_processes
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, ProcessNode, WorkChainNode

#: Seconds that a worker may take to subscribe; it needs about 5 s on an idle machine, and its broker reports every 5 s.
PATIENCE = 45.0
#: Seconds that the broker may take to start; it needs about 3 s on an idle machine.
START_PATIENCE = 120.0
#: Seconds for which an active process must be without a task before it counts as lost: a submission stores it first.
LOST_AFTER = 10.0


class DaemonKeeper:
    """Looks after the daemon of the loaded profile; call :meth:`look` now and then while its work is watched."""

    def __init__(self, client: DaemonClient | None = None) -> None:
        self.client = client or get_daemon_client()
        self._silent_since: float | None = None
        self._lost_since: dict[int, float] = {}

    @property
    def running(self) -> bool:
        """Whether the daemon itself (not only its PID file) is there."""
        pid = self.client.get_daemon_pid()
        return pid is not None and psutil.pid_exists(pid) and not self.client._is_pid_file_stale

    def start(self) -> bool:
        """Start the daemon with one worker if it is not running; return whether it was started.

        One worker serves all processes of a study: it only waits for programs. Two would race for the SQLite file.
        """
        if self.running:
            return False
        self.end_leftovers()
        self.client.start_daemon(number_workers=1)
        self._await_broker()
        self._silent_since = time.monotonic()
        return True

    def _await_broker(self) -> None:
        """Wait until the broker can be reached; AiiDA itself waits 10 s, which a busy machine exceeds.

        :raises DaemonException: if it does not come.
        """
        broker = get_manager().get_broker()
        deadline = time.monotonic() + START_PATIENCE
        while not (broker.check_service_reachable() and broker._router_endpoint):
            if time.monotonic() > deadline:
                raise DaemonException(f'The broker did not start: read {self.client._zmq_broker_service_log_file}.')
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the daemon, its worker and its broker; jobs that run go on and are found again by the next start."""
        if self.running:
            try:
                self.client.stop_daemon(wait=True, timeout=60)
            except DaemonException:  # it does not answer
                pid = self.client.get_daemon_pid()
                if pid is not None and psutil.pid_exists(pid):
                    _end([psutil.Process(pid)])
        self.end_leftovers()

    def end_leftovers(self) -> list[int]:
        """End what serves this profile and has lost its supervisor, which was killed; return the process ids.

        Left alone, such a worker would run a process beside the new worker.
        """
        daemon = self.client.get_daemon_pid() if self.running else None
        leftovers = []
        for process in psutil.process_iter():
            try:
                if self._serves(process) and daemon not in (process.pid, *(parent.pid for parent in process.parents())):
                    leftovers.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return _end(leftovers)

    def _serves(self, process: psutil.Process) -> bool:
        """Whether a process is supervisor, worker, broker or statistics of this profile."""
        command = process.cmdline()
        if self.client.circus_log_file in command:
            return True
        if not {'worker', 'broker', 'start-circus'} & set(command) or self.client.profile.name not in command:
            return False
        home = Path(self.client.get_env()['AIIDA_PATH']).resolve()
        return Path(process.environ().get('AIIDA_PATH', '')).resolve() in (home, home.parent)

    def look(self) -> list[str]:
        """Mend what is wrong; return one sentence for each thing that was mended.

        The daemon is started if it is gone, restarted if no worker has subscribed for a while, and processes without a
        task (their submission was cut between storing and sending) are given one.
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
            return ['No worker listened to the broker: the daemon has been restarted.']
        else:
            return []
        return self._revive(now)

    def _subscribers(self) -> int:
        broker = get_manager().get_broker()
        if broker is None or not broker.check_service_reachable():
            return 0
        return int(broker.probe_service_status().get('task_subscribers', 0))

    def _revive(self, now: float) -> list[str]:
        lost = {process.pk: process for process in lost_processes(self._queue())}
        self._lost_since = {pk: self._lost_since.get(pk, now) for pk in lost}
        due = [process for pk, process in lost.items() if now - self._lost_since[pk] > LOST_AFTER]
        if not due:
            return []
        revive_processes(due)
        for process in due:
            del self._lost_since[process.pk]
        return [f'Process {process.pk} had no task at the broker and has been given one.' for process in due]

    def _queue(self) -> Path:
        broker = get_manager().get_broker()
        return Path(broker._storage_path) / 'tasks'


def lost_processes(queue: Path) -> list[ProcessNode]:
    """Return the active processes that have no task in the broker's queue folder and so would wait forever.

    The folder is read as files: AiiDA's own reader puts tasks that are being processed back in line. Functions have no
    tasks, and a process without checkpoint never began.
    """
    tasks = set()
    for path in (*queue.glob('pending/*.json'), *queue.glob('processing/*.json')):
        try:
            tasks.add(json.loads(path.read_text())['body']['args']['pid'])
        except (OSError, ValueError, KeyError):
            continue  # moved between the listing and the reading: seen again at the next look
    nodes = [node for node in get_active_processes() if isinstance(node, CalcJobNode | WorkChainNode)]
    return [node for node in nodes if node.pk not in tasks and node.checkpoint is not None]


def _end(processes: list[psutil.Process]) -> list[int]:
    for process in processes:
        process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)
    return [process.pid for process in processes]
