"""Monitors of running jobs: they end what would only use up its time."""

from __future__ import annotations

from aiida.orm import CalcJobNode
from aiida.transports import Transport


def monitor_stalled(node: CalcJobNode, transport: Transport, seconds: float = 3600.0) -> str | None:
    """Return why a job is stopped if it has written to no file of its directory for ``seconds``.

    The compute machine's own clock is asked, since ours may go otherwise.
    """
    directory = node.get_remote_workdir()
    status, now, _ = transport.exec_command_wait('date +%s')
    if directory is None or status != 0:
        return None
    times = [entry['attributes'].st_mtime for entry in transport.listdir_withattributes(directory)]
    silent = float(now) - max(times, default=float(now))
    return f'It has written nothing for {silent:.0f} s.' if silent > seconds else None
