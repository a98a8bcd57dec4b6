"""Parameters of VASP."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from aiida_dpasse.parameters.base import Parameters, objection_to_retry
from aiida_dpasse.parameters.kpoints import KpointsParameters
from aiida_dpasse.parameters.label import LabelJobParameters
from aiida_dpasse.vasp.incar import OURS


class VaspParameters(Parameters):
    """Parameters of VASP; the tags of the ionic motion and of the computed quantities are set by the labelling."""

    incar: dict[str, Any] = Field(description='Tags of INCAR for the electrons.')
    kpoints: KpointsParameters = Field(description='K-points: a mesh around Gamma, or its density, as by KSPACING.')
    potential_family: str | None = Field(
        description='POTCAR family, as `aiida-vasp potcar uploadfamily` named it; it has to be given.'
    )
    potential_mapping: dict[str, str] = Field(description='Name of the POTCAR of each element, as `Li_sv`.')
    stalled_after: float = Field(
        default=3600.0,
        gt=0,
        description='A VASP that has written nothing for so many seconds is stopped.',
    )
    retry: dict[str, Any] | None = Field(
        default=None, description='Laid over the other settings for frames that failed in spite of aiida-vasp.'
    )

    @field_validator('incar')
    @classmethod
    def _free(cls, incar: dict[str, Any]) -> dict[str, Any]:
        if taken := [name for name in incar if name.upper() in OURS]:
            raise ValueError(f'take {taken[0]} out: labelling writes it')
        return incar

    @model_validator(mode='after')
    def _retried(self) -> VaspParameters:
        if self.retry and (message := objection_to_retry(self, self.retry)):
            raise ValueError(message.rstrip('.'))
        return self


class VaspLabelParameters(LabelJobParameters):
    """Acceptance criteria and settings of VASP."""

    vasp: VaspParameters = Field(description="VASP's settings.")
