"""Parameters of the acceptance of a student."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.sizes import SupercellSize


class LimitParameters(Parameters):
    """Limits that the student has to meet; null switches a limit off."""

    force_mae: float | None = Field(gt=0, description='Largest MAE of the forces against the teacher, meV/A.')
    energy_mae: float | None = Field(gt=0, description='Largest MAE of the energy against the teacher, meV/atom.')
    error_ratio: float | None = Field(
        gt=0, description='Largest ratio of the force MAE against reference labels to that of the teacher.'
    )
    energy_drift: float | None = Field(
        gt=0, description='Largest drift of the total energy in the NVE ensemble, meV/(atom ps).'
    )
    density_change: float | None = Field(gt=0, description='Largest relative change of the density.')
    rdf_mismatch: float | None = Field(
        gt=0,
        lt=1,
        description='Largest mismatch of the radial distributions of any pair of elements, as a fraction of the '
        "neighbours; at least the mismatch between the halves of the teacher's run is accepted.",
    )
    diffusion_deviation: float | None = Field(
        gt=0, description='Largest difference of the diffusion coefficients in standard errors.'
    )
    activation_deviation: float | None = Field(
        gt=0, description='Largest difference of the activation energies in standard errors.'
    )
    speedup: float | None = Field(
        gt=0, description='Smallest ratio of the speed of the student to that of the teacher.'
    )


class AcceptanceParameters(Parameters):
    """Parameters of the runs and the limits."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    hot: dict[str, Any] = Field(
        description='Parameters of `dpasse.md`, without `seed`, of the long hot run with both; `npt` for the density.'
    )
    drift: dict[str, Any] | None = Field(
        description='Parameters of `dpasse.md`, without `seed`, of the NVE run; null skips it.'
    )
    conductivity: ConductivityParameters | None = Field(
        default=None, description='Transport with both potentials; null skips the comparison.'
    )
    limits: LimitParameters = Field(description='Limits that the student has to meet.')
    rdf_cutoff: float = Field(gt=0, description='Largest distance in A of the compared radial distributions.')
    seed: int = Field(
        ge=0,
        description='Seed of all velocities; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _runs(self) -> AcceptanceParameters:
        for name, md in (('hot', self.hot), ('drift', self.drift)):
            if md is None:
                continue
            refuse_what_is_set(md, ['seed'], name)
            if message := check_parameters(MDParameters, {**md, 'seed': 1}):
                raise ValueError(f'`{name}`: {message}')
        if self.drift is not None and self.drift['ensemble'] != 'nve':
            raise ValueError('`drift.ensemble` should be `nve`: a thermostat hides the drift')
        if self.limits.rdf_mismatch is not None and not self.hot.get('sample_interval'):
            raise ValueError('`hot.sample_interval` is missing: radial distributions need frames')
        if self.limits.density_change is not None and self.hot['ensemble'] != 'npt':
            raise ValueError(
                '`hot.ensemble` should be `npt`, because the density is constant otherwise; or set '
                '`limits.density_change` to null'
            )
        return self
