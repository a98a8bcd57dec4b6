"""Parameters of `ActiveLearningWorkChain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.explore.explore_parameters import ExploreParameters
from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.label.passport import ACCEPT_SOFT_LABELS
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.quantities import Pressure, Steps, Temperature
from aiida_dpasse.parameters.sizes import PartSize


class StageParameters(Parameters):
    """Conditions of one stage of the exploration; null keeps the value of `explore`."""

    temperatures: list[Temperature] | None = Field(default=None, min_length=1, description='Temperatures in K.')
    pressures: list[Pressure] | None = Field(default=None, min_length=1, description='Pressures in GPa.')
    steps: Steps | None = Field(default=None, description='Number of steps of each run.')
    ensemble: Literal['nve', 'nvt', 'npt'] | None = Field(default=None, description='Ensemble of each run.')
    coupling: Literal['iso', 'aniso', 'tri'] | None = Field(
        default=None, description='Degrees of freedom of the barostat.'
    )


def staged_parameters(explore: Mapping[str, Any], stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an exploration with the conditions of a stage.

    :param explore: content of `ExploreParameters`.
    :param stage: content of `StageParameters`; null keeps the value of ``explore``.
    """
    own = {name: value for name, value in stage.items() if value is not None}
    md = {name: own.pop(name) for name in ('steps', 'ensemble', 'coupling') if name in own}
    return dict(merge(explore, {**own, 'md': md}))


class ConvergenceParameters(Parameters):
    """Convergence criteria of the loop."""

    accurate_fraction: float = Field(gt=0, le=1, description='Smallest accurate fraction of the sampled frames.')
    stable_iterations: int = Field(
        default=1, gt=0, description='Number of consecutive explorations that have to reach that fraction.'
    )
    maximum_force_rmse: float | None = Field(
        gt=0, description='Largest RMSE of the forces on the held-out frames in eV/A, averaged over the committee.'
    )
    maximum_force_change: float | None = Field(
        gt=0, description='Largest relative change of that RMSE since the previous iteration.'
    )
    maximum_diffusivity_change: float | None = Field(
        default=None,
        gt=0,
        description='Largest relative change of the diffusion coefficient since the previous iteration, and of its '
        'standard error, at every temperature of `conductivity` at which the ions diffuse.',
    )

    @model_validator(mode='after')
    def _held_out(self) -> ConvergenceParameters:
        if self.maximum_force_rmse is None and self.maximum_force_change is None:
            raise ValueError(
                'give `maximum_force_rmse`, `maximum_force_change` or both: a committee can agree on wrong forces'
            )
        return self


class ActiveLearningParameters(Parameters):
    """Iterations of an active learning, and the parameters of each step."""

    max_active_iterations: int = Field(gt=0, description='Largest number of iterations.')
    final_committee: bool = Field(description='Whether a committee is trained on all frames after the last labelling.')
    validation: PartSize = Field(
        gt=0,
        description='Number, or fraction below 1, of `frames` held out if `validation_data` is not given.',
    )
    stages: list[StageParameters] | None = Field(
        default=None,
        min_length=1,
        description='Consecutive stages of the exploration: the next one begins when `accurate_fraction` is reached, '
        'and only the last one can converge. Null uses the conditions of `explore` from the start.',
    )
    convergence: ConvergenceParameters = Field(description='Convergence criteria.')
    committee: CommitteeParameters = Field(description='Training of the committee.')
    explore: ExploreParameters = Field(description='Exploration with the committee.')
    label: LabelParameters = Field(description='Labelling of the candidates.')
    conductivity: ConductivityParameters | None = Field(
        default=None,
        description='Dynamics of every structure with the first member of each committee, for '
        '`convergence.maximum_diffusivity_change`; null skips it.',
    )
    accept_soft_labels: bool = ACCEPT_SOFT_LABELS
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _observed(self) -> ActiveLearningParameters:
        if self.convergence.maximum_diffusivity_change is not None and self.conductivity is None:
            raise ValueError(
                '`convergence.maximum_diffusivity_change` requires molecular dynamics: give `conductivity`'
            )
        return self

    @model_validator(mode='after')
    def _stages(self) -> ActiveLearningParameters:
        explore = self.explore.model_dump()
        for number, stage in enumerate(self.stages or []):
            if message := check_parameters(ExploreParameters, staged_parameters(explore, stage.model_dump())):
                raise ValueError(f'`stages.{number}` is invalid: {message}')
        return self

    @model_validator(mode='after')
    def _labels(self) -> ActiveLearningParameters:
        if self.label.dynamics is not None:
            raise ValueError('`label.dynamics` should be null: candidates are labelled without further dynamics')
        return self
