"""One study per private profile: submit its process once, whatever is killed in between, and find it again.

The profile's database is the truth. A process counts as submitted when its checkpoint is stored; the file with its UUID
is only a copy for people. So a script that is killed between the two neither loses the process nor submits it twice,
and a task that never reached the broker is sent again by the :class:`~aiida_dpasse.cli.daemon.DaemonKeeper`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiida import orm
from aiida.engine import ProcessBuilder, submit

UUID_FILE = 'process_uuid'
LOCK_FILE = '.lock'


@contextmanager
def sole_watcher(directory: Path) -> Iterator[None]:
    """Hold the study of a directory; the lock goes with the process that holds it, however that ends.

    :raises RuntimeError: if another process holds it.
    """
    with open(directory / LOCK_FILE, 'a+', encoding='utf8') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise RuntimeError(f'{directory} is already watched by process {handle.read().strip()}.') from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def find_study(directory: Path, process_type: str) -> orm.ProcessNode | None:
    """Return the study's process if it was ever submitted, and write its UUID into the directory if it is not there.

    :param process_type: entry point of the process, for example `aiida.workflows:dpasse.electrolyte`.
    """
    builder = orm.QueryBuilder().append(orm.ProcessNode, filters={'process_type': process_type}, tag='process')
    builder.order_by({'process': {'id': 'asc'}})
    for node in builder.all(flat=True):
        # One without checkpoint that has not ended was cut off before it was stored whole: it cannot run, ever.
        if node.caller is None and (node.is_terminated or node.checkpoint is not None):
            write_atomically(directory / UUID_FILE, f'{node.uuid}\n')
            return node
    return None


def start_study(directory: Path, make_builder: Callable[[], ProcessBuilder]) -> orm.ProcessNode:
    """Submit the process and write its UUID into the directory; the daemon must be running."""
    node = submit(make_builder())
    write_atomically(directory / UUID_FILE, f'{node.uuid}\n')
    return node


def write_atomically(path: Path, text: str) -> None:
    """Write a file that others see whole or not at all."""
    if path.exists() and path.read_text(encoding='utf8') == text:
        return
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text, encoding='utf8')
    os.replace(partial, path)
