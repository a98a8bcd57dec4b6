"""Parameters of `ConductivityWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.md import DeviationLimit, check_transport_run, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Temperature
from aiida_dpasse.parameters.sizes import SupercellSize
from aiida_dpasse.parameters.transport import DiffusionParameters


class PrecisionParameters(Parameters):
    """Requested precision of the diffusion coefficient, and the maximum length of a run."""

    relative_error: float = Field(
        gt=0,
        lt=1,
        description='Largest thermal part of the relative error of the tracer diffusion coefficient; runs are '
        'extended to reach it.',
    )
    maximum_steps: int = Field(
        gt=0, description='Largest number of steps of a run; each extension doubles the runs of a temperature.'
    )


class TrustParameters(DeviationLimit):
    """Limits of the committee deviation during a run."""

    interval: int = Field(gt=0, description='Steps between the frames that may be selected as candidates.')


class FiniteSizeParameters(Parameters):
    """A larger cell at one temperature, which tests the diffusion coefficient for finite-size effects."""

    supercell: SupercellSize = Field(
        description='The larger cell: three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperature: Temperature = Field(description='One of `temperatures`.')
    replicas: int | None = Field(
        default=None,
        gt=0,
        description='Independent runs of each larger cell; null uses the `replicas` of the other cells.',
    )


class ConductivityParameters(DiffusionParameters):
    """Temperatures, replicas, dynamics and analysis of a conductivity."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[Temperature] = Field(min_length=1, description='Temperatures in K.')
    replicas: int = Field(
        gt=0,
        description='Independent runs of each structure at each temperature; with a `committee` at least the number of '
        'potentials, which drive them in turn.',
    )
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature` and `seed`.')
    precision: PrecisionParameters | None = Field(
        default=None, description='Requested precision, for which runs are extended; null does not extend them.'
    )
    trust: TrustParameters | None = Field(
        default=None, description='Limits of the deviation of the `committee`, if one is given; null sets none.'
    )
    samples: int = Field(
        default=200,
        gt=0,
        description='Number of frames that are drawn at random from all runs with a `committee`, to be compared with '
        'labels.',
    )
    finite_size: FiniteSizeParameters | None = Field(
        default=None, description='Comparison of the diffusion with that in a larger cell; null skips it.'
    )
    extrapolate_to: float | None = Field(
        default=300.0,
        gt=0,
        description='Temperature in K to which the conductivity is extrapolated; null omits the Arrhenius fit.',
    )
    seed: int = Field(
        ge=0, description='Seed of all velocities; a calling chain replaces it by one derived from its own.'
    )

    @model_validator(mode='after')
    def _runs(self) -> ConductivityParameters:
        refuse_what_is_set(self.md, ('temperature', 'seed'))
        check_transport_run(self.md, temperature=1.0, seed=1)
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError('`temperatures` should contain each temperature once: set `replicas` to repeat runs')
        if (self.md.get('watch') or {}).get('deviation'):
            raise ValueError('`md.watch.deviation` is set by `trust`: omit it')
        if self.finite_size is not None and self.finite_size.temperature not in self.temperatures:
            raise ValueError(
                f'`finite_size.temperature` ({self.finite_size.temperature:g}) should be one of `temperatures`'
            )
        if self.precision is not None and self.precision.maximum_steps < 2 * self.md['steps']:
            raise ValueError(
                f'`precision.maximum_steps` ({self.precision.maximum_steps}) should be at least twice '
                f'`md.steps` ({self.md["steps"]}): each extension doubles a run'
            )
        return self
