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
        description='Arguments of the program. `{frames}` is replaced by the file with the frames; '
        'the program writes the '
        f'labelled frames to `{ANSWER}`.',
    )

    @field_validator('arguments')
    @classmethod
    def _reads(cls, arguments: list[str]) -> list[str]:
        if not any('{frames}' in argument for argument in arguments):
            raise ValueError('one of the arguments should contain {frames}, the file with the frames')
        return arguments


class ShellLabelParameters(LabelJobParameters):
    """Acceptance criteria and the command line of the program."""

    shell: ShellParameters = Field(default=ShellParameters(), description='Command line of a program of your own.')

    @model_validator(mode='after')
    def _frames_only(self) -> ShellLabelParameters:
        if self.dynamics is not None:
            raise ValueError('`dynamics` should be null: a program of your own cannot run dynamics')
        return self
