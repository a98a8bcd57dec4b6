"""`CommitteeLoopWorkChain`: base of the loops that train a committee in each iteration."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.reasons import reason_of
from aiida_dpasse.base.structures import PlannedWorkChain
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.committee import CommitteeWorkChain
from aiida_dpasse.runs import Run


class CommitteeLoopWorkChain(PlannedWorkChain):
    """Base class of a loop over a committee; a subclass sets the frames and attaches the outputs (`attach`).

    The context contains ``iteration``, ``over``, ``training``, ``committee`` and ``plan``. In the plan, ``committee``
    has the parameters of every training by id, and ``evaluate`` those of the evaluations.
    """

    def goes_on(self) -> bool:
        """Return whether there is another iteration."""
        return not self.ctx.over

    def run_of(self, what: str) -> Run:
        """Return the record of a step of this iteration."""
        return Run(what, iteration=self.ctx.iteration)

    def child(self, what: str) -> orm.ProcessNode:
        """Return the process of a step of this iteration."""
        key = self.run_of(what).id
        return self.ctx.done[key] if key in self.ctx.get('done', {}) else self.ctx[key]

    def link(self, what: str) -> dict[str, Any]:
        """Return the metadata of a calcfunction of this iteration, with its link label."""
        return {'call_link_label': self.run_of(what).label}

    def committee_data(self) -> dict[str, Any]:
        """Return the frames among the inputs of the committee."""
        return {'training_data': self.ctx.training}

    def train_committee(self) -> None:
        """Train a committee on all training frames so far."""
        run = self.run_of('committee')
        inputs = {
            **self.committee_data(),
            'parameters': self.ctx.plan['committee'][run.id],
            **self.shared(CommitteeWorkChain, run.label),
        }
        self.run_child(run.id, CommitteeWorkChain, inputs)

    def inspect_committee(self) -> ExitCode | None:
        """Store the committee, or end the chain if its training failed."""
        node = self.child('committee')
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_COMMITTEE_FAILED')
        self.ctx.committee = dict(node.outputs.potentials)
        return None

    def prediction(self, run: Run, frames: FramesData) -> Child:
        """Return the evaluation of the committee on labelled frames, which gives its errors and its deviation.

        :param run: record of the step.
        :param frames: labelled frames.
        """
        return self.evaluation(run.label, self.ctx.committee, frames, self.ctx.plan['evaluate'])

    def attach(self) -> None:
        """Attach the outputs so far."""
        raise NotImplementedError

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Attach the outputs so far and return the exit code ``name`` with the reason why ``node`` failed."""
        self.attach()
        return self.failure(node, self.exit_codes[name].format(index=self.ctx.iteration, reason=reason_of(node)))
