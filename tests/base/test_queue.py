"""The queue of a chain: never more programs at once than may be, and no program waits while there is room for it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.calculations.arithmetic.add import ArithmeticAddCalculation
from aiida.engine import run_get_node, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import SHARE, DpasseWorkChain
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


class Brief(Sleepers):
    """A chain that soon ends."""

    SECONDS = {'only': 1}


class Alone(Sleepers):
    """A chain that runs its programs one after the other."""

    SECONDS = {'first': 1, 'second': 1}
    ONE_AT_A_TIME = True


class Many(Sleepers):
    """A chain with more programs than may run."""

    SECONDS = {f'job{number}': 5 for number in range(5)}


class Family(DpasseWorkChain):
    """Three chains side by side."""

    CODES = ('shell',)
    PARAMETERS = NoParameters
    CHAINS = {'brief': Brief, 'alone': Alone, 'many': Many}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the outline."""
        super().define(spec)
        spec.outline(cls.setup, while_(cls.queue_left)(cls.submit_queue))

    def setup(self) -> None:
        """Queue the chains."""
        self.enqueue('make_chain', [Run(what) for what in self.CHAINS])

    def make_chain(self, run: Run) -> tuple[type[DpasseWorkChain], dict[str, Any]]:
        """Return a chain."""
        process = self.CHAINS[run.what]
        return process, {'parameters': orm.Dict({}), **self.shared(process, run.label)}


def children(node: orm.WorkChainNode) -> dict[str, orm.ProcessNode]:
    """Return the children of a chain by label."""
    return {link.link_label: link.node for link in node.base.links.get_outgoing(link_label_filter='%').all()}


def most_at_once(jobs: list[orm.ProcessNode]) -> int:
    """Return how many of the jobs existed at the same time."""
    return max(sum(other.ctime <= job.ctime < other.mtime for other in jobs) for job in jobs)


def test_a_chain_takes_over_the_programs_of_one_that_ended(localhost):
    code = orm.InstalledCode(computer=localhost, filepath_executable='/bin/bash', label='sleep').store()
    _, node = run_get_node(Family, codes={'shell': code}, parameters=orm.Dict({}), max_concurrent=4)
    assert node.is_finished_ok, node.exception
    chains = {what: children(node)[Run(what).label] for what in Family.CHAINS}
    jobs = {what: list(children(chain).values()) for what, chain in chains.items()}
    assert {what: len(found) for what, found in jobs.items()} == {'brief': 1, 'alone': 2, 'many': 5}
    assert most_at_once([job for found in jobs.values() for job in found]) <= 4
    # Two of four for the first of three, one for the second whatever is left, and one for the third, until others end.
    assert most_at_once(jobs['alone']) == 1
    assert chains['alone'].base.extras.get(SHARE, None) is None
    assert chains['many'].base.extras.get(SHARE) == 4
    assert most_at_once(jobs['many']) in (3, 4)


def test_short_jobs_follow_each_other_beside_a_long_one(localhost):
    code = orm.InstalledCode(computer=localhost, filepath_executable='/bin/bash', label='sleep').store()
    _, node = run_get_node(Sleepers, codes={'shell': code}, parameters=orm.Dict({}), max_concurrent=2)
    assert node.is_finished_ok, node.exception
    jobs = children(node)
    assert set(jobs) == {Run(what).label for what in Sleepers.SECONDS}
    spans = {what: (jobs[Run(what).label].ctime, jobs[Run(what).label].mtime) for what in Sleepers.SECONDS}
    # A wave of two would have held the second and the third back until the long one ended.
    assert spans['second'][0] < spans['long'][1]
    assert spans['third'][0] < spans['long'][1]
    for begin, _ in spans.values():
        assert sum(start <= begin < end for start, end in spans.values()) <= 2
