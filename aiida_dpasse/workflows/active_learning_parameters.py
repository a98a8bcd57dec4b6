"""Settings of the active learning, and what they and its inputs have to agree on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.calculations.parameters import Parameters
from aiida_dpasse.workflows.committee import CommitteeParameters
from aiida_dpasse.workflows.explore import ExploreParameters
from aiida_dpasse.workflows.label import LabelParameters
from aiida_dpasse.workflows.label_sources import validate_labeller


class ConvergenceParameters(Parameters):
    """When the loop may stop."""

    accurate_fraction: float = Field(gt=0, le=1, description='Least fraction of the sampled frames that are accurate.')
    maximum_force_rmse: float | None = Field(
        gt=0, description='Largest RMSE of the forces on the held-out frames, in eV/A, mean of the committee.'
    )
    maximum_force_change: float | None = Field(
        gt=0, description='Largest relative change of that RMSE since the iteration before.'
    )

    @model_validator(mode='after')
    def _held_out(self) -> ConvergenceParameters:
        if self.maximum_force_rmse is None and self.maximum_force_change is None:
            raise ValueError('agreement can be wrong: give `maximum_force_rmse`, `maximum_force_change` or both')
        return self


class ActiveLearningParameters(Parameters):
    """The loop, and its steps."""

    max_active_iterations: int = Field(gt=0, description='At most so many iterations.')
    final_committee: bool = Field(
        description='Whether a committee is trained once more, on all frames, after the last labels.'
    )
    validation: float = Field(
        gt=0,
        description='Number, or fraction below 1, of `frames` held out if no `validation_data` is given.',
    )
    convergence: ConvergenceParameters = Field(description='When the loop may stop.')
    committee: CommitteeParameters = Field(description='Training of the committee.')
    explore: ExploreParameters = Field(description='Exploration with the committee.')
    label: LabelParameters = Field(description='Labels of the candidates.')
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _labels(self) -> ActiveLearningParameters:
        if self.label.dynamics is not None:
            raise ValueError('`label.dynamics` should be null: the loop labels the candidates as they are')
        return self


def validate_active_learning(inputs: Any, _: Any = None) -> str | None:
    """Return one sentence unless one labeller is given and the frames hold the elements of all structures."""
    if message := validate_labeller(inputs):
        return message
    elements = set(inputs['frames'].elements) if 'frames' in inputs else set()
    for label, structure in inputs.get('structures', {}).items():
        if missing := sorted(structure.get_symbols_set() - elements):
            return f'structures.{label}: the frames hold no {missing[0]}; add labelled frames with this element.'
    return None
