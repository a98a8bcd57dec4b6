"""Parameters of `ExploreWorkChain`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Pressure, Temperature
from aiida_dpasse.parameters.sizes import SupercellSize


class TrustParameters(Parameters):
    """Classification of frames by the committee's force deviation as accurate, candidate or failed.

    Levels have no unit if the dynamics writes relative deviations.
    """

    mode: Literal['fixed', 'adaptive', 'calibrated'] = Field(
        description='`fixed`: the levels as given; `adaptive`: both are multiplied by the factor, at least 1, that '
        'makes the fraction `quantile` of the frames accurate; `calibrated`: the levels are errors, and both are '
        'divided by the median ratio of error to deviation of the frames labelled before, at least ten.'
    )
    low: float = Field(
        ge=0,
        description='Deviation (calibrated: error) in eV/A below which a frame is accurate; 0, with mode `fixed` only, '
        'makes every frame a candidate that has not failed.',
    )
    high: float = Field(
        gt=0,
        description='Deviation (calibrated: error) in eV/A from which a frame is failed and not labelled.',
    )
    quantile: float = Field(gt=0, lt=1, description='Fraction of the frames that are accurate with adaptive levels.')
    explosion: float = Field(
        gt=0, description='Deviation in eV/A from which a frame is failed regardless of the levels.'
    )

    @model_validator(mode='after')
    def _order(self) -> TrustParameters:
        if not self.low < self.high <= self.explosion:
            raise ValueError(
                f'`low` ({self.low}) should be below `high` ({self.high}), which should not exceed `explosion` '
                f'({self.explosion})'
            )
        if not self.low and self.mode != 'fixed':
            raise ValueError(f'`low` should be above 0 with `mode` {self.mode}')
        return self


class ExploreParameters(Parameters):
    """Runs of an exploration, and the selection of their frames."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[Temperature] = Field(min_length=1, description='Temperatures in K.')
    pressures: list[Pressure] = Field(min_length=1, description='Pressures in GPa.')
    replicas: int = Field(gt=0, description='Number of runs of each structure at each temperature and pressure.')
    runs: int | None = Field(
        gt=0, description='Number of these runs that are drawn, in turn from each structure; null takes all.'
    )
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for each run, without `temperature`, `pressure` and `seed`.'
    )
    trust: TrustParameters = Field(description='Trust levels.')
    max_candidates: int = Field(gt=0, description='Largest number of selected frames.')
    choice: Literal['random', 'diverse'] = Field(
        default='random',
        description='Selection among the candidates: `random`, or `diverse`, the frames whose radial distributions '
        'differ most from each other.',
    )
    max_per_structure: int | None = Field(
        gt=0, description='Largest number of selected frames of one structure; null sets no limit.'
    )
    seed: int = Field(
        ge=0,
        description='Seed of runs and selection; a calling chain replaces it by one derived from its own.',
    )

    @model_validator(mode='after')
    def _runs(self) -> ExploreParameters:
        refuse_what_is_set(self.md, ('temperature', 'pressure', 'seed'))
        if self.md.get('sample_interval') is None:
            raise ValueError('`md.sample_interval` is missing: give the number of steps between two sampled frames')
        if self.trust.mode == 'calibrated' and self.md.get('relative_deviation'):
            raise ValueError('`md.relative_deviation` should be null with `trust.mode` calibrated: errors are in eV/A')
        for temperature in self.temperatures:
            for pressure in self.pressures:
                run = {**self.md, 'temperature': temperature, 'pressure': pressure, 'seed': 1}
                if message := check_parameters(MDParameters, run):
                    raise ValueError(f'a run has invalid parameters: {message}')
        return self
