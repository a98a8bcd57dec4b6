"""Parameters of the trajectory analysis and of the mobile ion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.parameters.base import Parameters


class MobileIonParameters(Parameters):
    """The mobile ion whose transport is analysed."""

    ion: str = Field(default='Li', description='Element of the mobile ion.')
    charge: float = Field(default=1.0, description='Its charge in elementary charges.')
    max_frames: int = Field(
        default=4000, gt=15, description='Frames held in memory; a longer trajectory is thinned out, evenly, to fewer.'
    )
    # Approximately three neighbour shells of a lithium ion.
    van_hove_range: float | None = Field(
        default=8.0, ge=0.2, description='Largest distance in A of the van Hove maps; null makes none.'
    )


class TransportParameters(MobileIonParameters):
    """The mobile ion, and how its trajectory is read."""

    ion: str = Field(description='Element of the mobile ion.')
    timestep: float = Field(gt=0, description='Timestep of the dynamics in fs.')
    trajectory_interval: int | None = Field(
        default=None,
        gt=0,
        description='Steps between frames as they were written: every one from `first_step` to `last_step` has to be '
        'there. Null takes what there is.',
    )
    first_step: int = Field(default=0, ge=0, description='First step of the production.')
    last_step: int | None = Field(
        default=None, gt=0, description='Frames of later steps are left out; null reads the whole run.'
    )

    @model_validator(mode='after')
    def _due(self) -> TransportParameters:
        if self.trajectory_interval is not None and self.last_step is None:
            raise ValueError('`last_step` is missing: with `trajectory_interval` it says which frames have to be there')
        return self


class DiffusionParameters(Parameters):
    """Parameters of the diffusion analysis, common to all work chains that determine diffusion."""

    transport: MobileIonParameters = Field(default=MobileIonParameters(), description='The mobile ion.')
    hop_length: float = Field(
        default=2.5,
        gt=0,
        description='Distance between neighbouring sites in A: it separates hops from the motion about a site.',
    )

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
