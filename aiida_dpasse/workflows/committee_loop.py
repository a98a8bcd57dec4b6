"""`CommitteeLoopWorkChain`: what the chains share that train a committee again and again."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.committee import CommitteeWorkChain


class CommitteeLoopWorkChain(DpasseWorkChain):
    """Base of a loop over a committee; a subclass says what it learns from and what it leaves (`attach`).

    The context holds ``iteration``, ``over``, ``training``, ``committee`` and ``plan``, with ``committee_000``... and
    ``evaluate`` in it.
    """

    def goes_on(self) -> bool:
        """Whether there is another iteration."""
        return not self.ctx.over

    def key(self, step: str) -> str:
        """Return the link label of ``step`` in this iteration."""
        return f'{step}_{self.ctx.iteration:03d}'

    def committee_data(self) -> dict[str, Any]:
        """Return the frames of the committee's inputs."""
        return {'training_data': self.ctx.training}

    def train_committee(self) -> None:
        """Train a committee on all frames so far."""
        key = self.key('committee')
        inputs = {
            **self.committee_data(),
            'parameters': self.ctx.plan[key],
            **self.shared(CommitteeWorkChain, key),
        }
        self.run_child(key, CommitteeWorkChain, inputs)

    def inspect_committee(self) -> ExitCode | None:
        """Take the committee, or give up."""
        node = self.ctx[self.key('committee')]
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_COMMITTEE_FAILED')
        self.ctx.committee = dict(node.outputs.potentials)
        return None

    def predict(self, step: str, frames: FramesData) -> None:
        """Let the committee predict labelled frames, which gives its errors and its deviation."""
        inputs = {
            'code': self.inputs.codes.python,
            'potentials': self.ctx.committee,
            'frames': frames,
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate')},
        }
        self.run_child(self.key(step), EvaluateCalculation, inputs)

    def attach(self) -> None:
        """Attach what there is."""
        raise NotImplementedError

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Attach what there is and return the exit code ``name`` with the reason why ``node`` failed."""
        self.attach()
        reason = f'{node.process_label}<{node.pk}> says: {node.exit_message}'
        return self.failure(node, self.exit_codes[name].format(index=self.ctx.iteration, reason=reason))
