"""Settings of a molecular dynamics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aiida_dpasse.calculations.parameters import Parameters
from aiida_dpasse.lammps.script import DEFAULTS
from aiida_dpasse.seeds import LARGEST_SEED


class EquilibrationParameters(Parameters):
    """What comes before production."""

    ensemble: Literal['nvt', 'npt'] = Field(
        description='`nvt` or `npt`; an `npt` equilibration before an `nvt` or `nve` production hands on the mean cell '
        'of its second half.'
    )
    steps: int = Field(gt=0, description='Number of steps.')


class MDParameters(Parameters):
    """Settings of one molecular dynamics."""

    ensemble: Literal['nve', 'nvt', 'npt'] = Field(description='Ensemble of the production.')
    temperature: float = Field(gt=0, description='Temperature in K, of the thermostat and of the first velocities.')
    pressure: float = Field(default=DEFAULTS['pressure'], ge=0, description='Pressure in GPa, for `npt`.')
    timestep: float = Field(default=DEFAULTS['timestep'], gt=0, description='Time step in fs.')
    steps: int = Field(gt=0, description='Number of steps of the production.')
    equilibration: EquilibrationParameters | None = Field(
        default=DEFAULTS['equilibration'], description='What comes before production; none starts with production.'
    )
    coupling: Literal['iso', 'aniso', 'tri'] | None = Field(
        default=DEFAULTS['coupling'],
        description='How the cell follows the pressure: its volume, its lengths, or lengths and angles. By default '
        '`aniso` for an orthogonal cell and `tri` for any other.',
    )
    thermo_interval: int = Field(
        default=DEFAULTS['thermo_interval'], gt=0, description='Steps between rows of the thermodynamic table.'
    )
    sample_interval: int | None = Field(
        default=DEFAULTS['sample_interval'], gt=0, description='Steps between frames that come home; none brings none.'
    )
    deviation_interval: int | None = Field(
        default=DEFAULTS['deviation_interval'],
        gt=0,
        description='Steps between evaluations of the committee; by default those of the samples.',
    )
    trajectory_interval: int | None = Field(
        default=DEFAULTS['trajectory_interval'],
        gt=0,
        description='Steps between frames of the trajectory that stays on the machine; none writes none.',
    )
    restart_interval: int | None = Field(
        default=DEFAULTS['restart_interval'],
        gt=0,
        description='Steps between restart files, rounded up to tens; by default twenty files in a run at most.',
    )
    relative_deviation: float | None = Field(
        default=DEFAULTS['relative_deviation'],
        gt=0,
        description='The deviation of a force is divided by its size plus this level, in eV/A, and has no unit then; '
        'null leaves it in eV/A.',
    )
    stop_force: float | None = Field(
        default=DEFAULTS['stop_force'],
        gt=0,
        description='The run stops when the force on an atom is larger, in eV/A: it has exploded. Null lets it run.',
    )
    temperature_damping: float = Field(
        default=DEFAULTS['temperature_damping'], gt=0, description='Relaxation time of the thermostat in fs.'
    )
    pressure_damping: float = Field(
        default=DEFAULTS['pressure_damping'], gt=0, description='Relaxation time of the barostat in fs.'
    )
    seed: int = Field(ge=1, le=LARGEST_SEED, description='Seed of the first velocities.')

    @model_validator(mode='after')
    def _intervals(self) -> MDParameters:
        if self.sample_interval and self.deviation_interval and self.sample_interval % self.deviation_interval:
            raise ValueError(
                f'`sample_interval` ({self.sample_interval}) should be a multiple of `deviation_interval` '
                f'({self.deviation_interval}), or frames come home without their deviation'
            )
        return self
