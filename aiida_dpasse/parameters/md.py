"""Parameters of molecular dynamics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from aiida_dpasse.lammps.script import DEFAULTS
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.quantities import Damping, Pressure, Steps, Temperature, Timestep
from aiida_dpasse.seeds import LARGEST_SEED


class EquilibrationParameters(Parameters):
    """Parameters of the equilibration before the production run."""

    ensemble: Literal['nvt', 'npt'] = Field(
        description='`nvt` or `npt`. After an `npt` equilibration, an `nvt` or `nve` production starts with the mean '
        'cell of the second half of the equilibration.'
    )
    steps: Steps = Field(description='Number of steps.')


class DeviationLimit(Parameters):
    """Limit at which a run has left the trust region of the committee, and selection of its frames for labelling."""

    limit: float = Field(
        gt=0,
        description='Frames whose largest force deviation exceeds this, in eV/A (no unit if relative), are candidates '
        'for labelling.',
    )
    rows: int = Field(
        default=3,
        gt=0,
        description='Number of consecutive evaluations of the committee above the limit after which '
        'the run is stopped.',
    )
    high: float = Field(default=10.0, gt=0, description='Frames with a larger deviation are not labelled.')
    max_candidates: int = Field(default=100, gt=0, description='Largest number of selected frames.')

    @model_validator(mode='after')
    def _order(self) -> DeviationLimit:
        if self.high <= self.limit:
            raise ValueError(f'`high` ({self.high}) should be above `limit` ({self.limit})')
        return self


class WatchParameters(Parameters):
    """Limits that stop a run; a limit that is null is not monitored."""

    mobile: list[str] = Field(
        default=[], description='Elements that may leave their sites; all others are the framework.'
    )
    framework_displacement: float | None = Field(
        default=None,
        gt=0,
        description='Root mean square displacement of the framework from its sites, in A, without drift, above which '
        'the crystal has melted.',
    )
    heating: float | None = Field(
        default=None,
        gt=0,
        description='Largest relative excess of the temperature in production over `temperature`, or '
        '`final_temperature` if it is higher; the temperature of N atoms fluctuates by sqrt(2/3N).',
    )
    energy_drift: float | None = Field(
        default=None,
        gt=0,
        description='Largest drift of the conserved energy during production, in meV/atom/ps.',
    )
    deviation: DeviationLimit | None = Field(
        default=None, description='Largest deviation of the committee during production.'
    )


class MDParameters(Parameters):
    """Parameters of one molecular dynamics run."""

    ensemble: Literal['nve', 'nvt', 'npt'] = Field(description='Ensemble of the production.')
    temperature: Temperature = Field(description='Temperature in K of the thermostat and of the initial velocities.')
    final_temperature: Temperature | None = Field(
        default=DEFAULTS['final_temperature'],
        description='Temperature of the thermostat at the end of the production, in K, reached linearly from '
        '`temperature`; null keeps the temperature constant.',
    )
    pressure: Pressure = Field(default=DEFAULTS['pressure'], description='Pressure in GPa, for `npt`.')
    timestep: Timestep = Field(default=DEFAULTS['timestep'], description='Time step in fs.')
    steps: Steps = Field(description='Number of steps of the production.')
    equilibration: EquilibrationParameters | None = Field(
        default=DEFAULTS['equilibration'], description='Equilibration before the production; null omits it.'
    )
    coupling: Literal['iso', 'aniso', 'tri'] | None = Field(
        default=DEFAULTS['coupling'],
        description='Degrees of freedom of the barostat: volume, lengths, or lengths and angles of the cell. By '
        'default `aniso` for an orthogonal cell and `tri` for any other.',
    )
    fixed: list[NonNegativeInt] | None = Field(
        default=DEFAULTS['fixed'],
        description='Indices of the sites, from 0, whose atoms are fixed; the temperature is that of the other atoms. '
        'Not with `npt`. Null fixes none.',
    )
    thermo_interval: int = Field(
        default=DEFAULTS['thermo_interval'], gt=0, description='Steps between rows of the thermodynamic table.'
    )
    sample_interval: int | None = Field(
        default=DEFAULTS['sample_interval'], gt=0, description='Steps between retrieved frames; null retrieves none.'
    )
    deviation_interval: int | None = Field(
        default=DEFAULTS['deviation_interval'],
        gt=0,
        description='Steps between evaluations of the committee; by default `sample_interval`.',
    )
    trajectory_interval: int | None = Field(
        default=DEFAULTS['trajectory_interval'],
        gt=0,
        description='Steps between frames of the trajectory, which stays on the compute machine; null writes none.',
    )
    restart_interval: int | None = Field(
        default=DEFAULTS['restart_interval'],
        gt=0,
        description='Steps between restart files, rounded up to a multiple of ten; by default at '
        'most twenty files in a run.',
    )
    relative_deviation: float | None = Field(
        default=DEFAULTS['relative_deviation'],
        gt=0,
        description='The deviation of a force is divided by its magnitude plus this level, in eV/A, and then has no '
        'unit; null gives absolute deviations in eV/A.',
    )
    stop_force: float | None = Field(
        default=DEFAULTS['stop_force'],
        gt=0,
        description='Force on an atom, in eV/A, above which the run is stopped as unstable; null disables the check.',
    )
    watch: WatchParameters | None = Field(
        default=DEFAULTS['watch'], description='Limits that stop the run when exceeded; null disables them.'
    )
    temperature_damping: Damping = Field(
        default=DEFAULTS['temperature_damping'], description='Relaxation time of the thermostat in fs.'
    )
    pressure_damping: Damping = Field(
        default=DEFAULTS['pressure_damping'], description='Relaxation time of the barostat in fs.'
    )
    seed: int = Field(ge=1, le=LARGEST_SEED, description='Seed of the initial velocities.')

    @model_validator(mode='after')
    def _intervals(self) -> MDParameters:
        if self.sample_interval and self.deviation_interval and self.sample_interval % self.deviation_interval:
            raise ValueError(
                f'`sample_interval` ({self.sample_interval}) should be a multiple of `deviation_interval` '
                f'({self.deviation_interval}), or frames are retrieved without their deviation'
            )
        return self

    @model_validator(mode='after')
    def _held(self) -> MDParameters:
        if not self.fixed:
            return self
        if len(set(self.fixed)) < len(self.fixed):
            raise ValueError('`fixed` should name each site once')
        for name, stage in (('ensemble', self), ('equilibration.ensemble', self.equilibration)):
            if stage is not None and stage.ensemble == 'npt':
                raise ValueError(f'`fixed` atoms would move with a cell that changes: set `{name}` to nvt')
        return self

    @model_validator(mode='after')
    def _heating(self) -> MDParameters:
        if self.final_temperature is None:
            return self
        if self.ensemble == 'nve':
            raise ValueError('`final_temperature` requires a thermostat: set `ensemble` to nvt or npt, or remove it')
        if self.watch is not None and self.watch.energy_drift is not None:
            raise ValueError(
                'no energy is conserved while the temperature changes to `final_temperature`: set '
                '`watch.energy_drift` to null'
            )
        return self


def refuse_what_is_set(md: Mapping[str, Any], names: Iterable[str], where: str = 'md') -> None:
    """Reject molecular dynamics parameters that a work chain sets for each of its runs itself.

    :param md: parameters given by the user.
    :param names: parameters set by the work chain.
    :param where: name of ``md`` in the message.
    :raises ValueError: if ``md`` contains one of ``names``.
    """
    if taken := sorted(set(names) & set(md)):
        raise ValueError(f'`{where}.{taken[0]}` is set for each run: remove it')


def check_transport_run(md: Mapping[str, Any], **each: Any) -> None:
    """Validate the molecular dynamics parameters of a run for transport analysis.

    :param md: parameters given by the user.
    :param each: parameters set for each run.
    :raises ValueError: if they are invalid, the temperature changes during the run, or no trajectory is written.
    """
    if message := check_parameters(MDParameters, {**md, **each}):
        raise ValueError(f'`md`: {message}')
    if md.get('final_temperature') is not None:
        raise ValueError('`md.final_temperature` should be null: transport is determined at one temperature')
    if not md.get('trajectory_interval'):
        raise ValueError('`md.trajectory_interval` is missing: without a trajectory there is nothing to analyse')
