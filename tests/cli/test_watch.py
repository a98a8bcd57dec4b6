"""The display of a process."""

from __future__ import annotations

import io
import sqlite3
import threading
from pathlib import Path

from aiida import orm
from aiida.manage import get_manager

from aiida_dpasse.cli.watch import Display, watch


def test_a_locked_database_is_waited_for(aiida_profile):
    """SQLite refuses a reader after 5 s: a commit that takes longer ended the display of a study, and its script."""
    node = orm.WorkChainNode()
    node.set_process_state('finished')
    node.set_exit_status(0)
    node.store()
    assert node.is_terminated
    folder = get_manager().get_profile_storage().profile.storage_config['filepath']
    [database] = Path(folder).glob('database.sqlite')
    locked, released = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute('BEGIN EXCLUSIVE')
        locked.set()
        released.wait(8.0)
        connection.rollback()
        connection.close()

    other = threading.Thread(target=hold)
    other.start()
    locked.wait()
    output = io.StringIO()
    state = watch(node, display=Display(output))
    other.join()
    assert state.terminated
    assert state.pk == node.pk
    assert output.getvalue().count('\n') == 1
    # Nodes that the script holds are still usable.
    assert node.base.attributes.get('exit_status') == 0
