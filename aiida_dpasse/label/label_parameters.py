"""Parameters of `LabelWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from aiida_dpasse.label.sources import BY_CODE
from aiida_dpasse.parameters.label import LabelJobParameters

#: One optional section for each label source, with the fields that the source's own parameters define.
Sections: Any = create_model(
    'Sections',
    __base__=LabelJobParameters,
    **{
        name: (field.annotation | None, Field(default=None, description=field.description))
        for name, field in ((name, source.PARAMETERS.model_fields[name]) for name, source in BY_CODE.items())
    },
)


class LabelParameters(Sections):
    """Division of frames into jobs, acceptance criteria, tolerated failures, and settings of each program."""

    batch_size: int = Field(default=100, gt=0, description='Largest number of frames in one job.')
    minimum_success: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description='Smallest fraction of the frames that must not fail.',
    )
