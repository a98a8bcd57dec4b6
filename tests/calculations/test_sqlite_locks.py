"""A commit of AiiDA that waits for a slow reader of the same SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage import get_manager
from sqlalchemy import event

from aiida_dpasse.calculations.one_worker import OneWorker
from aiida_dpasse.calculations.sqlite_locks import be_patient, wait_for_locks


@pytest.fixture
def slow_reader(aiida_profile):
    """Another connection in the middle of a query, for 8 s: 3 s longer than SQLite waits by default."""
    folder = get_manager().get_profile_storage().profile.storage_config['filepath']
    [database] = Path(folder).glob('database.sqlite')
    reading, over = threading.Event(), threading.Event()

    def read() -> None:
        connection = sqlite3.connect(database)
        cursor = connection.execute('SELECT id FROM db_dbnode')
        assert cursor.fetchone() is not None
        reading.set()
        over.wait(8.0)
        cursor.close()
        connection.close()

    orm.Int(1).store()
    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    yield
    over.set()
    thread.join()


def test_a_commit_waits_for_a_reader(slow_reader):
    """It failed after 5 s, and its transaction kept every other process from reading."""
    wait_for_locks()
    assert orm.load_node(orm.Int(2).store().pk).value == 2


class Process:
    """What AiiDA calls when a worker takes a process."""

    pid = 1

    def init(self):
        self.begun = True

    def add_cleanup(self, cleanup):
        self.cleanup = cleanup


class OurProcess(OneWorker, Process):
    """Any process of ours."""


def test_every_process_of_ours_waits(aiida_profile):
    """Whichever of them is the first in its worker."""
    engine = get_manager().get_profile_storage().get_session().get_bind()
    if event.contains(engine, 'checkout', be_patient):
        event.remove(engine, 'checkout', be_patient)
    process = OurProcess()
    process.init()
    assert process.begun
    assert event.contains(engine, 'checkout', be_patient)
