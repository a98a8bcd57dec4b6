"""Parameters of `ConductivityWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.md import DeviationLimit, check_transport_run, refuse_what_is_set
from aiida_dpasse.parameters.sizes import SupercellSize
from aiida_dpasse.parameters.transport import DiffusionParameters


class PrecisionParameters(Parameters):
    """Requested precision of the diffusion coefficient, and the maximum length of a run."""

    relative_error: float = Field(
        gt=0, lt=1, description='Runs go on where the error of the tracer coefficient is a larger part of it than this.'
    )
    maximum_steps: int = Field(
        gt=0, description='No run becomes longer than this; each time the runs of a temperature become twice as long.'
    )


class TrustParameters(DeviationLimit):
    """Limits of the committee deviation during a run."""

    interval: int = Field(gt=0, description='Steps between frames whose deviation is looked at, and may be chosen.')


class FiniteSizeParameters(Parameters):
    """A larger cell at one temperature, which tests the diffusion coefficient for finite-size effects."""

    supercell: SupercellSize = Field(
        description='The larger cell: three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperature: float = Field(gt=0, description='One of `temperatures`.')
    replicas: int | None = Field(
        default=None, gt=0, description='Independent runs of each larger cell; null makes as many as of the others.'
    )


class ConductivityParameters(DiffusionParameters):
    """Temperatures, replicas, dynamics and analysis of a conductivity."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[PositiveFloat] = Field(min_length=1, description='Temperatures in K.')
    replicas: int = Field(gt=0, description='Independent runs of each structure at each temperature.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature` and `seed`.')
    precision: PrecisionParameters | None = Field(
        default=None, description='Lengthens the runs until the diffusion is known well enough; null runs them once.'
    )
    trust: TrustParameters | None = Field(
        default=None, description='When a run has left the trust of the `committee`, if one is given; null never.'
    )
    finite_size: FiniteSizeParameters | None = Field(
        default=None, description='Compares the diffusion with that of a larger cell; null does not.'
    )
    extrapolate_to: float | None = Field(
        default=300.0, gt=0, description='Temperature in K of the conductivity; null fits no line.'
    )
    seed: int = Field(
        ge=0, description='Seed of all velocities; a chain that calls this one replaces it by one derived from its own.'
    )

    @model_validator(mode='after')
    def _runs(self) -> ConductivityParameters:
        refuse_what_is_set(self.md, ('temperature', 'seed'))
        check_transport_run(self.md, temperature=1.0, seed=1)
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError('`temperatures` should name each temperature once: `replicas` repeats the runs')
        if (self.md.get('watch') or {}).get('deviation'):
            raise ValueError('`md.watch.deviation` is set by `trust`: take it out')
        if self.finite_size is not None and self.finite_size.temperature not in self.temperatures:
            raise ValueError(
                f'`finite_size.temperature` ({self.finite_size.temperature:g}) should be one of `temperatures`'
            )
        if self.precision is not None and self.precision.maximum_steps < 2 * self.md['steps']:
            raise ValueError(
                f'`precision.maximum_steps` ({self.precision.maximum_steps}) should be twice `md.steps` '
                f'({self.md["steps"]}) at least: a run that goes on becomes twice as long'
            )
        return self
