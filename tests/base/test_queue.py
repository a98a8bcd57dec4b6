"""The queue of a chain: never more at once than may be, and none waits for the slowest of those before it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.calculations.arithmetic.add import ArithmeticAddCalculation
from aiida.engine import run_get_node, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.runs import Run


class NoParameters(Parameters):
    """There are none."""


class Sleepers(DpasseWorkChain):
    """One long job, and three short ones beside it, one after the other."""

    CODES = ('shell',)
    PARAMETERS = NoParameters
    SECONDS = {'long': 14, 'first': 1, 'second': 1, 'third': 1}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(cls.setup, while_(cls.queue_left)(cls.submit_queue), cls.check)

    def setup(self) -> None:
        """Queue all."""
        self.enqueue('make_sleeper', [Run(what) for what in self.SECONDS])

    def make_sleeper(self, run: Run) -> tuple[type[ArithmeticAddCalculation], dict[str, Any]]:
        """Return a job that sleeps."""
        options = {'sleep': self.SECONDS[run.what], 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}}
        return ArithmeticAddCalculation, {
            'code': self.inputs.codes.shell,
            'x': orm.Int(1),
            'y': orm.Int(2),
            'metadata': {'options': options},
        }

    def check(self) -> None:
        """See that the step after the queue comes when all have ended."""
        assert all(len(self.succeeded(what)) == 1 for what in self.SECONDS)


def test_short_jobs_follow_each_other_beside_a_long_one(localhost):
    code = orm.InstalledCode(computer=localhost, filepath_executable='/bin/bash', label='sleep').store()
    _, node = run_get_node(Sleepers, codes={'shell': code}, parameters=orm.Dict({}), max_concurrent=2)
    assert node.is_finished_ok, node.exception
    jobs = {link.link_label: link.node for link in node.base.links.get_outgoing(link_label_filter='%').all()}
    assert set(jobs) == {Run(what).label for what in Sleepers.SECONDS}
    spans = {what: (jobs[Run(what).label].ctime, jobs[Run(what).label].mtime) for what in Sleepers.SECONDS}
    # A wave of two would have held the second and the third back until the long one ended.
    assert spans['second'][0] < spans['long'][1]
    assert spans['third'][0] < spans['long'][1]
    for begin, _ in spans.values():
        assert sum(start <= begin < end for start, end in spans.values()) <= 2
