"""Submit the process of a study exactly once per private profile, despite interruptions, and find it again.

The database of the profile is authoritative. A process counts as submitted when its checkpoint is stored; the file with
its UUID is only a copy for users. Therefore a script that is killed in between neither loses the process nor submits it
twice. A task that never reached the broker is sent again by the :class:`~aiida_dpasse.cli.daemon.DaemonKeeper`.
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
    """Lock the study of a directory; the lock is released when the process that holds it ends for whatever reason.

    :param directory: directory of the study.
    :raises RuntimeError: if another process holds the lock.
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
    """Return the process of a study if it was submitted, and write its UUID to the directory.

    :param directory: directory of the study.
    :param process_type: entry point of the process, for example `aiida.workflows:dpasse.electrolyte`.
    :return: the process, or None.
    """
    builder = orm.QueryBuilder().append(orm.ProcessNode, filters={'process_type': process_type}, tag='process')
    builder.order_by({'process': {'id': 'asc'}})
    for node in builder.all(flat=True):
        # An active process without a checkpoint was interrupted before it was completely stored and can never run.
        if node.caller is None and (node.is_terminated or node.checkpoint is not None):
            write_atomically(directory / UUID_FILE, f'{node.uuid}\n')
            return node
    return None


def start_study(directory: Path, make_builder: Callable[[], ProcessBuilder]) -> orm.ProcessNode:
    """Submit the process of a study and write its UUID to the directory; the daemon must be running.

    :param directory: directory of the study.
    :param make_builder: function that returns the builder of the process.
    """
    node = submit(make_builder())
    write_atomically(directory / UUID_FILE, f'{node.uuid}\n')
    return node


def write_atomically(path: Path, text: str) -> None:
    """Write a file such that readers see either the old or the complete new content.

    :param path: path of the file.
    :param text: new content.
    """
    if path.exists() and path.read_text(encoding='utf8') == text:
        return
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text, encoding='utf8')
    os.replace(partial, path)
