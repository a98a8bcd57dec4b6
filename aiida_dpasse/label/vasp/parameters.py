"""Parameters of VASP."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from aiida_dpasse.parameters.base import Parameters, objection_to_retry
from aiida_dpasse.parameters.kpoints import KpointsParameters
from aiida_dpasse.parameters.label import LabelJobParameters
from aiida_dpasse.vasp.incar import OURS, objection_to_tags


class VaspParameters(Parameters):
    """Parameters of VASP; the tags of the ionic motion and of the computed quantities are set by the labelling."""

    incar: dict[str, Any] = Field(
        description='INCAR tags of the electronic structure; LDAUU, LDAUL, LDAUJ, MAGMOM and other tags of single '
        'elements or atoms by element, as `{Fe: 4.0}`.'
    )
    kpoints: KpointsParameters = Field(description='Gamma-centred mesh of k-points, or its spacing as with KSPACING.')
    potential_family: str | None = Field(
        description='POTCAR family, by the name given to `aiida-vasp potcar uploadfamily`; it must be set.'
    )
    potential_mapping: dict[str, str] = Field(description='Name of the POTCAR of each element, such as `Li_sv`.')
    stalled_after: float = Field(
        default=3600.0,
        gt=0,
        description='VASP is stopped if it has written nothing for this time, in s.',
    )
    retry: dict[str, Any] | None = Field(
        default=None,
        description='Settings that replace the others for frames that failed after the handlers of aiida-vasp.',
    )

    @field_validator('incar')
    @classmethod
    def _free(cls, incar: dict[str, Any]) -> dict[str, Any]:
        if taken := [name for name in incar if name.upper() in OURS]:
            raise ValueError(f'remove {taken[0]}: labelling sets it')
        if message := objection_to_tags(incar):
            raise ValueError(message)
        return incar

    @model_validator(mode='after')
    def _retried(self) -> VaspParameters:
        if self.retry and (message := objection_to_retry(self, self.retry)):
            raise ValueError(message.rstrip('.'))
        return self


class VaspLabelParameters(LabelJobParameters):
    """Acceptance criteria and settings of VASP."""

    vasp: VaspParameters = Field(description="VASP's settings.")
