"""Let a process wait for a locked SQLite database for minutes, as a server would; by default it gives up after 5 s.

A worker and the display of a study share one file. On a busy machine a reader may keep it for more than 5 s, and then
a commit of AiiDA fails. SQLite leaves that transaction open, AiiDA does not roll it back, and its lock keeps every
other process from reading until the worker ends. A failed query is no better: AiiDA closes its session, and the nodes
that the process holds are unusable. So neither may fail.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from aiida.manage import get_manager
from sqlalchemy import event, text

#: Time in s for which the database may be locked.
LONGEST = 300.0
PATIENCE = f'PRAGMA busy_timeout = {LONGEST * 1000:.0f}'


def wait_for_locks() -> None:
    """Let this process wait for locks of the loaded profile's database for up to `LONGEST`, from now on."""
    session = get_manager().get_profile_storage().get_session()
    engine: Any = session.get_bind()
    if engine.dialect.name == 'sqlite' and not event.contains(engine, 'checkout', be_patient):
        event.listen(engine, 'checkout', be_patient)
        session.execute(text(PATIENCE))


def be_patient(connection: sqlite3.Connection, *_: object) -> None:
    """Set the waiting time of a connection, whenever one is taken from the pool."""
    connection.execute(PATIENCE)
