"""`ShellLabelWorkChain`: labels by any program that reads and writes extended XYZ, through aiida-shell."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode
from aiida.plugins import CalculationFactory
from pydantic import Field, field_validator, model_validator

from aiida_dpasse.calculations.label import LabelJobParameters
from aiida_dpasse.functions.plan_shell_label import ANSWER, FRAMES_KEY, plan_shell_label
from aiida_dpasse.functions.read_shell_labels import read_shell_labels
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.label_batch import BatchLabelWorkChain


class ShellParameters(Parameters):
    """How the program is called."""

    arguments: list[str] = Field(
        default=['{frames}', ANSWER],
        description='Arguments; `{frames}` stands for the file with the frames, and the labelled ones are expected in '
        f'`{ANSWER}`.',
    )

    @field_validator('arguments')
    @classmethod
    def _reads(cls, arguments: list[str]) -> list[str]:
        if not any('{frames}' in argument for argument in arguments):
            raise ValueError('one of the arguments should hold {frames}, the file with the frames')
        return arguments


class ShellLabelParameters(LabelJobParameters):
    """What is admitted, and how the program is called."""

    shell: ShellParameters = Field(default=ShellParameters(), description='How the program is called.')

    @model_validator(mode='after')
    def _frames_only(self) -> ShellLabelParameters:
        if self.dynamics is not None:
            raise ValueError('`dynamics` should be null: a program of your own labels frames as they are')
        return self


class ShellLabelWorkChain(BatchLabelWorkChain):
    """Label one batch with a program of one's own: it reads extended XYZ and writes it with energies and forces."""

    CODES = ('shell',)
    PARAMETERS = ShellLabelParameters
    RELAXES = False

    def prepare(self) -> ExitCode | None:
        """Write the frames that are worth labelling into one file."""
        self.ctx.plan = plan_shell_label(
            self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'}
        )
        self.enqueue('make_job', ['shell'] if FRAMES_KEY in self.ctx.plan else [])
        return None

    def make_job(self, key: str) -> tuple[Any, dict[str, Any]]:
        """Return the one job."""
        inputs = {
            'code': self.inputs.codes.shell,
            'nodes': {'frames': self.ctx.plan[FRAMES_KEY]},
            'arguments': self.ctx.plan['arguments'],
            'outputs': self.ctx.plan['outputs'],
            'metadata': {'options': self.job_options()},
        }
        return CalculationFactory('core.shell'), inputs

    def collect(self) -> dict[str, Any]:
        """Read the file that the program wrote."""
        link = ANSWER.replace('.', '_')
        answers = {key: node.outputs[link] for key, node in self.ctx.done.items() if link in node.outputs}
        return dict(
            read_shell_labels(
                self.inputs.frames, self.inputs.parameters, **answers, metadata={'call_link_label': 'collect'}
            )
        )
