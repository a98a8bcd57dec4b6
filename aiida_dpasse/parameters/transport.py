"""Parameters of the trajectory analysis and of the mobile ion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.quantities import Timestep


class MobileIonParameters(Parameters):
    """The mobile ion whose transport is analysed."""

    ion: str = Field(default='Li', description='Element of the mobile ion.')
    charge: float = Field(default=1.0, description='Its charge in elementary charges.')
    max_frames: int = Field(
        default=4000,
        gt=15,
        description='Largest number of frames in memory; a longer trajectory is sampled at equal intervals.',
    )
    # Approximately three neighbour shells of a lithium ion.
    van_hove_range: float | None = Field(
        default=8.0, ge=0.2, description='Largest distance of the van Hove maps in A; null disables them.'
    )


class TransportParameters(MobileIonParameters):
    """The mobile ion and the selection of frames from its trajectory."""

    ion: str = Field(description='Element of the mobile ion.')
    timestep: Timestep = Field(description='Timestep of the dynamics in fs.')
    trajectory_interval: int | None = Field(
        default=None,
        gt=0,
        description='Steps between written frames; all frames from `first_step` to `last_step` are required. Null uses '
        'the frames that exist.',
    )
    first_step: int = Field(default=0, ge=0, description='First step of the production.')
    last_step: int | None = Field(
        default=None, gt=0, description='Last step of the analysis; null is the last step of the run.'
    )

    @model_validator(mode='after')
    def _due(self) -> TransportParameters:
        if self.trajectory_interval is not None and self.last_step is None:
            raise ValueError(
                '`last_step` is missing: with `trajectory_interval` it determines which frames are required'
            )
        return self


class DiffusionParameters(Parameters):
    """Parameters of the diffusion analysis, common to all work chains that determine diffusion."""

    transport: MobileIonParameters = Field(default=MobileIonParameters(), description='The mobile ion.')

    def analysis(self, md: Mapping[str, Any], last_step: int | None = None, **changes: Any) -> dict[str, Any]:
        """Return the parameters of `dpasse.transport` for a molecular dynamics run.

        :param md: complete parameters of `dpasse.md`.
        :param last_step: last step of the analysis, by default that of the run.
        :param changes: parameters of the analysis that differ.
        """
        first, last = total_steps(md)
        given = {
            **self.transport.model_dump(),
            'timestep': md['timestep'],
            'trajectory_interval': md['trajectory_interval'],
            'first_step': first,
            'last_step': last if last_step is None else last_step,
            **changes,
        }
        return TransportParameters.model_validate(given).model_dump()
