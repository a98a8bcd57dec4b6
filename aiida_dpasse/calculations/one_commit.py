"""Write what a process stores at a change of its state in one transaction instead of five or six, and encode it once.

AiiDA commits each attribute by itself: the position in the outline, the state, the checkpoint, the exit status, the
exit message, every link of an input. After each commit SQLAlchemy reads again every row that is used next, among them
that of the process with its whole checkpoint. One transaction for all of them costs less, and a worker that is killed
in the middle leaves the previous state, complete, instead of a mixture of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any
from uuid import UUID

from aiida import orm
from aiida.manage import get_manager
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from aiida_dpasse.calculations.sqlite_locks import wait_for_locks


@contextmanager
def one_commit(node: orm.ProcessNode | None = None) -> Iterator[None]:
    """Store everything within in one transaction; an exception undoes it.

    Nothing within may wait for another process: all processes of a worker share its session.

    :param node: process node that is changed; it is read anew, since AiiDA does not do that within a transaction.
    """
    storage: Any = get_manager().get_profile_storage()
    if storage.in_transaction:
        yield
        return
    session: Session = storage.get_session()
    begin(session)
    if node is not None and node.is_stored:
        session.expire(node.backend_entity.bare_model)
    try:
        yield
    except BaseException:
        session.rollback()
        raise
    session.commit()


def begin(session: Session) -> None:
    """Begin a transaction in which AiiDA does not commit.

    SQLite does not wait for another writer if a transaction has read before it writes: it fails at once, however long
    `sqlite_locks` allows. One that is known to write waits at its beginning.

    :param session: session of AiiDA.
    """
    connection = session.connection()
    if connection.dialect.name == 'sqlite':
        wait_for_locks()
        if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            session.execute(text('BEGIN IMMEDIATE'))
    session.begin_nested()


class OneCommit:
    """Mixin for processes that write each change of their state in one transaction.

    The transaction ends before the change is announced, since a parent reads the state as soon as it is.
    """

    node: orm.ProcessNode
    inputs: Any
    raw_inputs: Any
    state: Any
    #: Transaction of the transition that is under way.
    _transition: ExitStack | None = None
    #: Inputs with their text, as given and as parsed.
    _encoded: tuple[tuple[Any, str], ...] = ()

    def encode_input_args(self, inputs: Any) -> str:
        """Return the text of inputs or outputs in a checkpoint.

        The inputs of a process never change, and YAML takes milliseconds for them: their text is kept.

        :param inputs: inputs of this process, as given or as parsed, or its outputs.
        """
        for known, known_text in self._encoded:
            if known is inputs:
                return known_text
        encoded: str = super().encode_input_args(inputs)  # type: ignore[misc]
        if inputs is self.raw_inputs or inputs is self.inputs:
            self._encoded = (*self._encoded, (inputs, encoded))
        return encoded

    def _create_and_setup_db_record(self) -> int | UUID:
        with one_commit():
            return super()._create_and_setup_db_record()  # type: ignore[misc]

    def transition_to(self, new_state: Any, **kwargs: Any) -> None:
        """Leave the present state and enter another.

        :param new_state: the next state; None remains in the present one.
        """
        # The inputs of a process are validated in the transition that creates it, which may take long.
        if new_state is None or self.state is None:
            super().transition_to(new_state, **kwargs)  # type: ignore[misc]
            return
        with ExitStack() as transition:
            transition.enter_context(one_commit(self.node))
            self._transition = transition
            super().transition_to(new_state, **kwargs)  # type: ignore[misc]
        self._transition = None

    def transition_failed(self, initial: Any, final: Any, exception: Exception, trace: TracebackType) -> None:
        """Undo the transition; AiiDA then enters the state of an exception.

        A database that is away for a moment is none: the process keeps its stored state, from which
        `aiida-dpasse status --repair` lets it continue.

        :raises sqlalchemy.exc.OperationalError: if the database cannot be used, and likewise InterfaceError.
        """
        if self._transition is not None:
            failed, self._transition = self._transition, None
            failed.__exit__(type(exception), exception, trace)
        if isinstance(exception, (InterfaceError, OperationalError)):
            raise exception
        super().transition_failed(initial, final, exception, trace)  # type: ignore[misc]

    def update_outputs(self) -> None:
        """Attach new outputs; AiiDA commits each link of an output that exists already, even in a transaction."""
        super().update_outputs()  # type: ignore[misc]
        storage: Any = get_manager().get_profile_storage()
        if self._transition is not None and not storage.in_transaction:
            begin(storage.get_session())

    def end_transaction(self) -> None:
        """Commit the transition."""
        if self._transition is not None:
            transition, self._transition = self._transition, None
            transition.close()

    def on_running(self) -> None:
        """The process runs."""
        super().on_running()  # type: ignore[misc]
        self.end_transaction()

    def on_waiting(self) -> None:
        """The process waits."""
        super().on_waiting()  # type: ignore[misc]
        self.end_transaction()

    def on_finished(self) -> None:
        """The process has finished."""
        super().on_finished()  # type: ignore[misc]
        self.end_transaction()

    def on_excepted(self) -> None:
        """An exception ended the process."""
        super().on_excepted()  # type: ignore[misc]
        self.end_transaction()

    def on_killed(self) -> None:
        """The process was killed."""
        super().on_killed()  # type: ignore[misc]
        self.end_transaction()
