"""Parameters of a model study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.assess.validate_parameters import ValidateParameters
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.train import TrainParameters


class ModelStudyParameters(Parameters):
    """Parameters of the trainings: every model is trained on every data set at every size, ``repeats`` times."""

    models: dict[str, TrainParameters | None] = Field(
        description='Trainings from scratch by name, for example one for each architecture; null omits one.'
    )
    sizes: list[PositiveInt] | None = Field(
        default=None, min_length=1, description='Numbers of training frames; null takes all frames.'
    )
    repeats: int = Field(
        gt=0, description='Number of trainings of each kind, with different frames and initial weights.'
    )
    choice: Literal['random', 'diverse'] = Field(
        default='random',
        description='Selection of frames: `random`, or `diverse`, those that differ most from each other.',
    )
    epochs: float | None = Field(
        default=None,
        gt=0,
        description='Number of epochs of each training; null keeps `numb_steps` for all sizes.',
    )
    validation: ValidateParameters = Field(description='The test of all potentials.')
    conductivity: ConductivityParameters | None = Field(
        default=None, description='Dynamics of `structures` with every potential; null compares only errors.'
    )
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _possible(self) -> ModelStudyParameters:
        for name, training in self.models.items():
            if training is not None and training.finetune is not None:
                raise ValueError(f'`models.{name}.finetune` should be null: compared trainings start from scratch')
            if training is not None and training.early_stop is not None:
                raise ValueError(f'`models.{name}.early_stop` should be null: compared trainings have a fixed length')
        if self.sizes is not None and len(set(self.sizes)) < len(self.sizes):
            raise ValueError('`sizes` should contain each number once')
        return self


def of_calculator(settings: ConductivityParameters) -> dict[str, Any]:
    """Return the conductivity parameters for an ASE calculator.

    Molecular dynamics with an ASE calculator runs at constant volume, samples no frames and cannot be continued.

    :param settings: conductivity parameters of the potentials.
    :return: the same parameters without sampling, precision and trust limits, and with `npt` replaced by `nvt`.
    """
    given = settings.model_dump()
    md = {**given['md']}
    for name in ('sample_interval', 'deviation_interval'):
        md.pop(name, None)
    if md.get('ensemble') == 'npt':
        md['ensemble'] = 'nvt'
    if (md.get('equilibration') or {}).get('ensemble') == 'npt':
        md['equilibration'] = {**md['equilibration'], 'ensemble': 'nvt'}
    return {**given, 'md': md, 'precision': None, 'trust': None}
