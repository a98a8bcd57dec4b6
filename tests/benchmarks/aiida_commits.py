"""What AiiDA itself writes, reads and computes for one job, without this package; see docs/upstream.md.

In a new profile (`verdi presto`), for each of the words below and without any:
    python tests/benchmarks/aiida_commits.py [libyaml] [queries] [states]

It runs `core.arithmetic.add` in a `BaseRestartWorkChain`, and prints commits, statements and processor time of a job.
A word changes one thing in the running AiiDA: `libyaml` writes checkpoints with the C library of PyYAML, `queries` lets
a query end its transaction without expiring all objects, `states` stores each state of a process in one transaction.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import yaml
from aiida import load_profile, orm
from aiida.calculations.arithmetic.add import ArithmeticAddCalculation
from aiida.engine import BaseRestartWorkChain, Process, run_get_node, while_
from aiida.manage import get_manager
from aiida.orm.utils import serialize
from aiida.storage.psql_dos.orm.nodes import SqlaNode
from sqlalchemy import event

#: Jobs that are measured, after one that is not.
JOBS = 5


class AddWorkChain(BaseRestartWorkChain):
    """The shortest restarting chain."""

    _process_class = ArithmeticAddCalculation

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.expose_inputs(ArithmeticAddCalculation, namespace='add')
        spec.expose_outputs(ArithmeticAddCalculation)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)

    def setup(self) -> None:
        """Store the inputs in the context."""
        super().setup()
        self.ctx.inputs = self.exposed_inputs(ArithmeticAddCalculation, 'add')


def use_libyaml() -> None:
    """Write checkpoints with `yaml.CDumper` instead of `yaml.Dumper`."""

    kinds = (
        (orm.Node, serialize.represent_node),
        (serialize.NodeLinksManager, serialize.represent_node_links_manager),
        (orm.Computer, serialize.represent_computer),
        (orm.Group, serialize.represent_group),
    )

    class Dumper(yaml.CDumper):
        def represent_data(self, data: Any) -> Any:
            for kind, represent in kinds:
                if isinstance(data, kind):
                    return represent(self, data)
            if is_dataclass(data) and not isinstance(data, type):
                return serialize.represent_dataclass(self, data)
            return super().represent_data(data)

        yaml_representers = serialize.AiiDADumper.yaml_representers
        yaml_multi_representers = serialize.AiiDADumper.yaml_multi_representers

    serialize.AiiDADumper = Dumper


def keep_objects_of_queries() -> None:
    """Let a query commit its transaction without expiring every object of the session."""
    storage = type(get_manager().get_profile_storage())
    original = storage.transaction

    @contextmanager
    def transaction(self: Any) -> Any:
        session = self.get_session()
        caller = sys._getframe(2).f_code.co_name
        if caller not in ('iterall', 'iterdict'):
            with original(self) as found:
                yield found
            return
        session.expire_on_commit = False
        try:
            with original(self) as found:
                yield found
        finally:
            session.expire_on_commit = True

    storage.transaction = transaction


def store_states_at_once() -> None:
    """Store what a process writes when it enters a state in one transaction."""

    def add_incoming(self: Any, source: Any, link_type: Any, link_label: str) -> None:
        self._add_link(source, link_type, link_label)
        if not self.backend.in_transaction:
            self.backend.get_session().commit()

    entered = Process.on_entered

    def on_entered(self: Any, from_state: Any) -> None:
        with get_manager().get_profile_storage().transaction():
            entered(self, from_state)

    SqlaNode.add_incoming = add_incoming
    Process.on_entered = on_entered


CHANGES = {'libyaml': use_libyaml, 'queries': keep_objects_of_queries, 'states': store_states_at_once}


def code() -> orm.InstalledCode:
    """Return bash on this machine."""
    computer = orm.load_computer('localhost')
    computer.set_minimum_job_poll_interval(1.0)
    found = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'bash'}).first(flat=True)
    return found or orm.InstalledCode(label='bash', computer=computer, filepath_executable='/bin/bash').store()


def run_chain(bash: orm.InstalledCode, number: int) -> None:
    """Run one job."""
    inputs = {'code': bash, 'x': orm.Int(number), 'y': orm.Int(1)}
    _, node = run_get_node(AddWorkChain, add=inputs)
    assert node.is_finished_ok, node.exit_message


def main(words: list[str]) -> None:
    """Measure the jobs."""
    bash = code()
    for word in words:
        CHANGES[word]()
    run_chain(bash, 0)
    counts: Counter[str] = Counter()
    engine: Any = get_manager().get_profile_storage().get_session().get_bind()
    event.listen(engine, 'commit', lambda connection: counts.update(['commits']))
    event.listen(
        engine, 'before_cursor_execute', lambda connection, cursor, text, *rest: counts.update([text.split()[0]])
    )
    begin = time.process_time()
    for number in range(JOBS):
        run_chain(bash, number)
    seconds = (time.process_time() - begin) / JOBS
    shown = ', '.join(f'{counts[name] / JOBS:.0f} {name}' for name in ('commits', 'SELECT', 'INSERT', 'UPDATE'))
    print(f'{" ".join(words) or "as it is":28s} {shown}; {1000 * seconds:.0f} ms of processor time')


if __name__ == '__main__':
    load_profile()
    main(sys.argv[1:])
