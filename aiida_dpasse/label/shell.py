"""`ShellLabelWorkChain`: labels by any program that reads and writes extended XYZ, through aiida-shell."""

from __future__ import annotations

from typing import Any

from aiida.plugins import CalculationFactory
from aiida_shell.parsers.shell import ShellParser

from aiida_dpasse.base.chain import Child
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.plan_shell_label import plan_shell_label
from aiida_dpasse.label.read_shell_labels import read_shell_labels
from aiida_dpasse.parameters.label import ShellLabelParameters
from aiida_dpasse.parameters.shell import ANSWER
from aiida_dpasse.runs import Run, Runs


class ShellLabelWorkChain(BatchLabelWorkChain):
    """Compute labels of one batch with a program of the user, through extended XYZ files.

    The program reads the frames and writes them with energies and forces.
    """

    CODES = ('shell',)
    PARAMETERS = ShellLabelParameters
    RELAXES = False

    def prepare(self) -> None:
        """Write the frames that pass the geometry checks into one file."""
        self.ctx.plan = plan_shell_label(
            self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'}
        )
        self.enqueue('make_job', Runs.from_dict(self.ctx.plan['runs']).values())

    def make_job(self, run: Run) -> Child:
        """Return the job of ``run``."""
        inputs = {
            'code': self.inputs.codes.shell,
            'nodes': {'frames': self.ctx.plan['files'][run.id]},
            'arguments': self.ctx.plan['arguments'],
            'outputs': self.ctx.plan['outputs'],
            'metadata': {'options': self.job_options()},
        }
        return CalculationFactory('core.shell'), inputs

    def collect(self) -> dict[str, Any]:
        """Read the file that the program wrote."""
        link = ShellParser.format_link_label(ANSWER)
        files = {run.id: node.outputs[link] for run, node in self.ended('shell').items() if link in node.outputs}
        return dict(
            read_shell_labels(
                self.inputs.frames, self.inputs.parameters, files=files, metadata={'call_link_label': 'collect'}
            )
        )
