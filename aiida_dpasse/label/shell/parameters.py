"""Parameters of a user-defined labelling program."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.label import LabelJobParameters

#: File that the program has to write.
ANSWER = 'labels.xyz'


class ShellParameters(Parameters):
    """Command line of the program."""

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
    """Acceptance criteria and the command line of the program."""

    shell: ShellParameters = Field(default=ShellParameters(), description='How a program of your own is called.')

    @model_validator(mode='after')
    def _frames_only(self) -> ShellLabelParameters:
        if self.dynamics is not None:
            raise ValueError('`dynamics` should be null: a program of your own labels frames as they are')
        return self
