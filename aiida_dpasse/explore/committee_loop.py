"""`CommitteeLoopWorkChain`: what the chains share that train a committee again and again."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.base.jobs import EvaluateBaseWorkChain
from aiida_dpasse.base.reasons import reason_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.committee import CommitteeWorkChain
from aiida_dpasse.runs import Run


class CommitteeLoopWorkChain(DpasseWorkChain):
    """Base of a loop over a committee; a subclass says what it learns from and what it leaves (`attach`).

    The context holds ``iteration``, ``over``, ``training``, ``committee`` and ``plan``, in which ``committee`` has the
    parameters of every training by id, and ``evaluate`` those of the evaluations.
    """

    def goes_on(self) -> bool:
        """Whether there is another iteration."""
        return not self.ctx.over

    def run_of(self, what: str) -> Run:
        """Return the record of a step of this iteration."""
        return Run(what, iteration=self.ctx.iteration)

    def child(self, what: str) -> orm.ProcessNode:
        """Return the process of a step of this iteration."""
        return self.ctx[self.run_of(what).id]

    def link(self, what: str) -> dict[str, Any]:
        """Return the metadata of a calcfunction of this iteration."""
        return {'call_link_label': self.run_of(what).label}

    def committee_data(self) -> dict[str, Any]:
        """Return the frames of the committee's inputs."""
        return {'training_data': self.ctx.training}

    def train_committee(self) -> None:
        """Train a committee on all frames so far."""
        run = self.run_of('committee')
        inputs = {
            **self.committee_data(),
            'parameters': self.ctx.plan['committee'][run.id],
            **self.shared(CommitteeWorkChain, run.label),
        }
        self.run_child(run.id, CommitteeWorkChain, inputs)

    def inspect_committee(self) -> ExitCode | None:
        """Take the committee, or give up."""
        node = self.child('committee')
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_COMMITTEE_FAILED')
        self.ctx.committee = dict(node.outputs.potentials)
        return None

    def predict(self, what: str, frames: FramesData) -> None:
        """Let the committee predict labelled frames, which gives its errors and its deviation."""
        run = self.run_of(what)
        process, inputs = self.job(
            EvaluateBaseWorkChain,
            'evaluate',
            run.label,
            code=self.inputs.codes.python,
            potentials=self.ctx.committee,
            frames=frames,
            parameters=self.ctx.plan['evaluate'],
        )
        self.run_child(run.id, process, inputs)

    def attach(self) -> None:
        """Attach what there is."""
        raise NotImplementedError

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Attach what there is and return the exit code ``name`` with the reason why ``node`` failed."""
        self.attach()
        return self.failure(node, self.exit_codes[name].format(index=self.ctx.iteration, reason=reason_of(node)))
