"""Run each process in one worker at a time, also if the broker distributes its task twice.

When RabbitMQ restarts, it returns every task to the queue although the worker that has it continues to run the process
(`aiida.engine.processes.launcher` describes this). A second worker would run the same steps beside the first: outputs
are made twice, and the process fails. An advisory lock of PostgreSQL, which ends with the connection of its worker,
decides which of them runs the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import kiwipy
from aiida.manage import get_manager
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from aiida_dpasse.calculations.sqlite_locks import wait_for_locks

#: First key of our locks, such that they differ from those of others.
KEY = 0x64706173
#: Attempts, and the pause between them in s: the server notices the end of a killed worker a moment later.
ATTEMPTS, PAUSE = 5, 0.2


class Locks:
    """Locks of this operating-system process, held by one connection of its own."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._owner: tuple[int, str] | None = None
        self._held: set[int] = set()

    def take(self, pk: int) -> bool:
        """Return whether this process now has the lock; without PostgreSQL it always has.

        :param pk: of the process node.
        """
        for attempt in range(ATTEMPTS):
            if self._ask('pg_try_advisory_lock', pk):
                self._held.add(pk)
                return True
            if attempt < ATTEMPTS - 1:
                time.sleep(PAUSE)
        return False

    def release(self, pk: int) -> None:
        """Give the lock back."""
        self._held.discard(pk)
        self._ask('pg_advisory_unlock', pk)

    def _ask(self, function: str, pk: int) -> bool:
        for _ in range(2):
            try:
                connection = self._connect()
                if connection is None:
                    return True
                return bool(connection.execute(text(f'SELECT {function}({KEY}, {pk})')).scalar())
            except SQLAlchemyError:
                self._connection = None
        # A database that is away decides nothing: the process itself fails at its next access.
        return True

    def _connect(self) -> Connection | None:
        manager = get_manager()
        profile = manager.get_profile()
        owner = (os.getpid(), '' if profile is None else profile.name)
        if self._connection is None or self._owner != owner:
            engine: Any = manager.get_profile_storage().get_session().get_bind()
            if engine.dialect.name != 'postgresql':
                return None
            self._connection = engine.connect().execution_options(isolation_level='AUTOCOMMIT')
            if self._owner == owner:
                for held in self._held:
                    self._connection.execute(text(f'SELECT pg_try_advisory_lock({KEY}, {held})'))
            else:
                self._held = set()
            self._owner = owner
        return self._connection


LOCKS = Locks()


class OneWorker:
    """Mixin for processes of which a second instance is refused while the first one lives."""

    pid: int
    add_cleanup: Callable[[Callable[[], None]], None]
    close: Callable[[], None]

    def init(self) -> None:
        """Take the lock of this process.

        :raises kiwipy.DuplicateSubscriberIdentifier: if another worker runs it. AiiDA then drops the second task.
        """
        # Every process of ours begins here in its worker, and any of them may be the first.
        wait_for_locks()
        super().init()  # type: ignore[misc]
        if not LOCKS.take(self.pid):
            self.close()
            raise kiwipy.DuplicateSubscriberIdentifier(f'Process {self.pid} runs in another worker.')
        self.add_cleanup(lambda: LOCKS.release(self.pid))
