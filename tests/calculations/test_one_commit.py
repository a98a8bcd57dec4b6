"""Every change of the state of a process is one transaction."""

from __future__ import annotations

from contextlib import suppress

import pytest
from aiida import orm
from aiida.engine import WorkChain, run_get_node
from aiida.manage import get_manager
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from aiida_dpasse.calculations.one_commit import one_commit
from aiida_dpasse.calculations.one_worker import OneWorker


class Plain(WorkChain):
    """Two steps, of which the second returns an input."""

    @classmethod
    def define(cls, spec):
        """Define the ports and the outline."""
        super().define(spec)
        spec.input('number', valid_type=orm.Int)
        spec.output('number', valid_type=orm.Int)
        spec.outline(cls.first, cls.second)

    def first(self):
        """Do nothing."""

    def second(self):
        """Return the input."""
        self.out('number', self.inputs.number)


class Steps(OneWorker, Plain):
    """The same steps, stored by us."""


class WrongOutput(Steps):
    """A chain that returns a node that is not stored, which AiiDA refuses when it attaches it."""

    def second(self):
        """Return a new node."""
        self.out('number', orm.Int(3))


@pytest.fixture
def writes(aiida_profile_clean):
    """Count the commits that follow a statement which writes."""
    engine = get_manager().get_profile_storage().get_session().get_bind()
    found = {'commits': 0, 'written': False}

    def statement(connection, cursor, words, *rest):
        found['written'] |= words.split()[0] in ('INSERT', 'UPDATE', 'DELETE')

    def commit(connection):
        found['commits'] += found['written']
        found['written'] = False

    event.listen(engine, 'before_cursor_execute', statement)
    event.listen(engine, 'commit', commit)
    yield found
    event.remove(engine, 'before_cursor_execute', statement)
    event.remove(engine, 'commit', commit)


def commits_of(process, writes):
    """Return the commits that a chain needs, and its node."""
    number = orm.Int(2).store()
    before = writes['commits']
    _, node = run_get_node(process, number=number)
    return writes['commits'] - before, node


def test_a_chain_of_two_steps_needs_about_half_of_the_commits(writes):
    """One to create it, three in its first state, one each to run twice, two to finish, and two to end."""
    ours, node = commits_of(Steps, writes)
    theirs, _ = commits_of(Plain, writes)
    assert node.is_finished_ok
    assert node.outputs.number.value == 2
    assert node.is_sealed
    assert node.checkpoint is None
    assert ours <= 10
    assert ours < 0.6 * theirs


def test_a_transition_that_fails_is_undone_and_the_process_excepts(aiida_profile_clean):
    with pytest.raises(ValueError, match='unstored'):
        run_get_node(WrongOutput, number=orm.Int(1))
    node = orm.QueryBuilder().append(orm.WorkChainNode).first(flat=True)
    assert node.is_excepted
    assert node.is_sealed
    assert node.exit_status is None
    assert 'number' not in node.outputs
    assert not get_manager().get_profile_storage().in_transaction


def test_a_database_that_is_away_leaves_the_process_where_it_was(aiida_profile_clean):
    engine = get_manager().get_profile_storage().get_session().get_bind()
    lost = []

    def lose(connection, cursor, words, parameters, *rest):
        if 'UPDATE' in words and 'finished' in str(parameters) and not lost:
            lost.append(words)
            raise OperationalError(words, parameters, Exception('the connection is lost'))

    event.listen(engine, 'before_cursor_execute', lose)
    try:
        with pytest.raises(OperationalError, match='the connection is lost'):
            run_get_node(Steps, number=orm.Int(1))
    finally:
        event.remove(engine, 'before_cursor_execute', lose)
    node = orm.QueryBuilder().append(orm.WorkChainNode).first(flat=True)
    assert len(lost) == 1
    assert node.process_state.value == 'running'
    assert 'second' in node.checkpoint
    assert not node.is_sealed


def test_an_exception_undoes_what_was_stored(aiida_profile_clean):
    node = orm.Int(1).store()
    with suppress(RuntimeError), one_commit():
        node.base.extras.set('key', 1)
        raise RuntimeError
    assert 'key' not in node.base.extras.all
    with one_commit():
        node.base.extras.set('key', 2)
        with one_commit():
            node.base.extras.set('other', 3)
    assert node.base.extras.all['key'] == 2
    assert node.base.extras.all['other'] == 3


def test_another_writer_is_waited_for(aiida_profile_clean):
    """A transaction that read before it writes would fail at once, whatever time SQLite may wait."""
    session = get_manager().get_profile_storage().get_session()
    if session.get_bind().dialect.name != 'sqlite':
        pytest.skip('of SQLite')
    session.commit()
    with one_commit():
        connection = session.connection().connection.driver_connection
        assert connection.in_transaction
        with session.get_bind().connect() as other:
            other.execute(text('PRAGMA busy_timeout = 0'))
            with pytest.raises(Exception, match='locked'):
                other.exec_driver_sql('BEGIN IMMEDIATE')
