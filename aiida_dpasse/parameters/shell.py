"""Parameters of a user-defined labelling program."""

from __future__ import annotations

from pydantic import Field, field_validator

from aiida_dpasse.parameters.base import Parameters

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
