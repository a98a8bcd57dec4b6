"""`CheckedLoopWorkChain`: what a loop asks of its committee beside agreement: errors, calibration, transport."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode

from aiida_dpasse.functions.compare_to_labels import compare_to_labels
from aiida_dpasse.workflows.committee_loop import CommitteeLoopWorkChain
from aiida_dpasse.workflows.conductivity import ConductivityWorkChain


class CheckedLoopWorkChain(CommitteeLoopWorkChain):
    """Base of the active learning.

    The context holds, beside that of `CommitteeLoopWorkChain`, ``held_out`` and ``labelled`` frames, and collects
    ``parts`` of the table and ``calibration``.
    """

    def validate_committee(self) -> None:
        """Measure the errors of the committee on the held-out frames."""
        self.predict('evaluate', self.ctx.held_out)

    def inspect_validation(self) -> ExitCode | None:
        """Take the errors, or give up."""
        node = self.ctx[self.key('evaluate')]
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_VALIDATION_FAILED')
        self.ctx.parts[self.key('errors')] = node.outputs.results
        return None

    def calibrates(self) -> bool:
        """Whether the trust levels follow the errors of what was labelled, and something was."""
        trust = self.ctx.plan[self.key('explore')]['trust']
        return bool(trust['mode'] == 'calibrated' and self.key('labelled') in self.ctx.labelled)

    def evaluate_labels(self) -> None:
        """Let the committee that chose the frames predict them, now that their labels are known."""
        self.predict('truth', self.ctx.labelled[self.key('labelled')])

    def calibrate(self) -> None:
        """Compare errors and deviations; without them the levels stay as they were."""
        node = self.ctx[self.key('truth')]
        if not node.is_finished_ok:
            self.report(f'{node.process_label}<{node.pk}> says: {node.exit_message} The trust levels stay.')
            return
        frames, metadata = self.ctx.labelled[self.key('labelled')], {'call_link_label': self.key('compare')}
        self.ctx.calibration[self.key('pairs')] = compare_to_labels(frames, node.outputs.predictions, metadata=metadata)

    def observes(self) -> bool:
        """Whether the diffusion of the ions is watched."""
        return self.inputs.parameters.get_dict().get('conductivity') is not None

    def observe(self) -> None:
        """Queue the dynamics of every structure, one after the other, with the first member of the committee."""
        self.enqueue('make_observation', [self.key(f'transport_{label}') for label in sorted(self.inputs.structures)])

    def make_observation(self, key: str) -> tuple[type[ConductivityWorkChain], dict[str, Any]]:
        """Return the dynamics of one structure."""
        label = key.removeprefix('transport_').rpartition('_')[0]
        inputs = {
            'structures': {label: self.inputs.structures[label]},
            'potential': self.ctx.committee[min(self.ctx.committee)],
            'parameters': self.ctx.plan['conductivity'],
            **self.shared(ConductivityWorkChain, key),
        }
        return ConductivityWorkChain, inputs

    def submit_observation(self) -> None:
        """Submit these dynamics one by one: each runs as many programs at once as the loop may."""
        self.submit_queue()

    def inspect_observation(self) -> None:
        """Take the diffusion coefficients; where there are none, the loop is not converged, and says why."""
        for label in sorted(self.inputs.structures):
            node = self.ctx.done[key := self.key(f'transport_{label}')]
            if 'transport' in node.outputs:
                self.ctx.parts[key] = node.outputs.transport
            else:
                self.report(f'{node.process_label}<{node.pk}> says: {node.exit_message}')
