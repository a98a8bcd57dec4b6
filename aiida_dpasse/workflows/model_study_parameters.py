"""Settings of a model study, and what they and its inputs have to agree on."""

from __future__ import annotations

from typing import Any, Literal

from aiida import orm
from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.calculations.train import TrainParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.conductivity_parameters import ConductivityParameters, validate_conductivity
from aiida_dpasse.workflows.validate_parameters import ValidateParameters, validate_validation


class ModelStudyParameters(Parameters):
    """Every model is trained on every set of data at every size, so many times."""

    models: dict[str, TrainParameters | None] = Field(
        description='Trainings from scratch by name, for example one for each architecture; null leaves one out.'
    )
    sizes: list[PositiveInt] | None = Field(
        default=None, min_length=1, description='Numbers of frames to train on; null takes all that there are.'
    )
    repeats: int = Field(gt=0, description='Trainings of each kind, with frames and weights drawn anew.')
    choice: Literal['random', 'diverse'] = Field(
        default='random', description='How frames are drawn: at random, or the farthest from each other.'
    )
    epochs: float | None = Field(
        default=None,
        gt=0,
        description='How often a training sees each of its frames; null keeps `numb_steps` whatever the size.',
    )
    validation: ValidateParameters = Field(description='The test of all potentials.')
    conductivity: ConductivityParameters | None = Field(
        default=None, description='Dynamics of `structures` with every potential; null compares errors only.'
    )
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _possible(self) -> ModelStudyParameters:
        for name, training in self.models.items():
            if training is not None and training.finetune is not None:
                raise ValueError(f'`models.{name}.finetune` should be null: what is compared starts from nothing')
            if training is not None and training.early_stop is not None:
                raise ValueError(f'`models.{name}.early_stop` should be null: every training is as long as it is told')
        if self.sizes is not None and len(set(self.sizes)) < len(self.sizes):
            raise ValueError('`sizes` should name each number once')
        return self


def validate_model_study(inputs: Any, port: Any) -> str | None:
    """Return one sentence if there is nothing to compare, or data, structures and potentials do not go together."""
    if 'parameters' not in inputs or 'test_data' not in inputs:
        return None
    settings = inputs['parameters'].get_dict()
    models = [name for name, training in settings['models'].items() if training is not None]
    data, test = inputs.get('training_data', {}), inputs['test_data']
    if models and not data:
        return 'training_data: there is none for the `models`: give labelled frames by name.'
    if not models and not inputs.get('potentials') and not inputs.get('calculators'):
        return 'parameters: `models` holds none, and no potential or calculator is given: there is nothing to compare.'
    for name, frames in data.items() if models else ():
        if max(settings.get('sizes') or [0]) > frames.frames:
            return (
                f'parameters: `sizes` asks for {max(settings["sizes"])} frames and `training_data.{name}` has '
                f'{frames.frames}: lower it, or give more.'
            )
        if both := set(frames.ids()) & set(test.ids()):
            return (
                f'test_data: {len(both)} of its frames are in `training_data.{name}` too: test on frames that no '
                'training sees.'
            )
        if missing := sorted(set(test.elements) - set(frames.elements)):
            return f'test_data: it holds {missing[0]}, which `training_data.{name}` lacks: nothing can be learnt of it.'
    return _check_given(inputs, settings, port) or _check_dynamics(inputs, settings, port)


def _check_given(inputs: Any, settings: Any, port: Any) -> str | None:
    """What the test would object to in potentials and calculators that were handed in."""
    given = {name: inputs[name] for name in ('codes', 'potentials', 'calculators') if inputs.get(name)}
    if len(given) == ('codes' in given):
        return None
    parameters = orm.Dict(settings['validation'])
    return validate_validation({**given, 'test_sets': {'test': inputs['test_data']}, 'parameters': parameters}, port)


def _check_dynamics(inputs: Any, settings: Any, port: Any) -> str | None:
    structures = inputs.get('structures', {})
    if settings.get('conductivity') is None:
        return 'structures: `conductivity` is null: set it, or leave them out.' if structures else None
    if not structures:
        return 'structures: there is none for `conductivity`: give one, or set it to null.'
    if 'lmp' not in inputs.get('codes', {}):
        return 'codes.lmp: `conductivity` asks for dynamics: give LAMMPS, or set it to null.'
    for name, frames in inputs.get('training_data', {}).items():
        for label, structure in structures.items():
            if missing := sorted(structure.get_symbols_set() - set(frames.elements)):
                return f'structures.{label}: it holds {missing[0]}, which `training_data.{name}` lacks: leave one out.'
    common = {name: inputs[name] for name in ('codes', 'structures') if name in inputs}
    for kind, namespace in (('potential', 'potentials'), ('calculator', 'calculators')):
        for label, node in inputs.get(namespace, {}).items():
            # What a calculator runs cannot be made longer.
            own = {'precision': None} if kind == 'calculator' else {}
            given = {**settings['conductivity'], **own}
            if message := validate_conductivity({**common, kind: node, 'parameters': orm.Dict(given)}, port):
                return f'{namespace}.{label}: {message}'
    return None
