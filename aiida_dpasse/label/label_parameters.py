"""Parameters of `LabelWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.sources import BY_CODE
from aiida_dpasse.parameters.label import LabelJobParameters


def _section(source: type[BatchLabelWorkChain]) -> tuple[Any, Any]:
    """Return type and field of the settings of a label source, which are optional here."""
    field = source.PARAMETERS.model_fields[source.CODES[0]]
    annotation: Any = field.annotation
    return annotation | None, Field(default=None, description=field.description)


_SECTIONS: dict[str, Any] = {name: _section(source) for name, source in BY_CODE.items()}
#: Parameters of a job with one optional section for each label source.
Sections: Any = create_model('Sections', __base__=LabelJobParameters, **_SECTIONS)


class LabelParameters(Sections):
    """Division of frames into jobs, acceptance criteria, tolerated failures, and settings of each program."""

    batch_size: int = Field(default=100, gt=0, description='Largest number of frames in one job.')
    minimum_success: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description='Smallest fraction of frames that must not have failed.',
    )
