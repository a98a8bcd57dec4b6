"""`ShellLabelWorkChain`: labels by any program that reads and writes extended XYZ, through aiida-shell."""

from __future__ import annotations

from typing import Any

from aiida.plugins import CalculationFactory
from aiida_shell.parsers.shell import ShellParser

from aiida_dpasse.base.chain import Child
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.shell.parameters import ANSWER, ShellLabelParameters
from aiida_dpasse.label.shell.plan import plan_shell_label
from aiida_dpasse.label.shell.read import read_shell_labels
from aiida_dpasse.runs import Run


class ShellLabelWorkChain(BatchLabelWorkChain):
    """Compute labels of one batch with a program of the user, through extended XYZ files.

    The program reads the frames and writes them with energies and forces.
    """

    CODES = ('shell',)
    PARAMETERS = ShellLabelParameters
    HELP = 'Program of the user that reads extended XYZ and writes it with energies and forces, for labelling.'
    PLAN = staticmethod(plan_shell_label)
    READ = staticmethod(read_shell_labels)
    RELAXES = False

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

    def answers(self) -> dict[str, Any]:
        """Return the file that the program wrote."""
        link = ShellParser.format_link_label(ANSWER)
        ended = self.ended('shell').items()
        return {'files': {run.id: node.outputs[link] for run, node in ended if link in node.outputs}}
