"""Parameters of the test sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.parameters.quantities import Steps, Temperature
from aiida_dpasse.parameters.sizes import SupercellSize

#: The test sets, in order of creation.
PARTS = ('near_equilibrium', 'heating')
#: Keys of `dpasse.md` that each part sets itself or that are not allowed.
TAKEN = ('temperature', 'final_temperature', 'steps', 'sample_interval', 'seed')


def line_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the temperatures of a part as a linear heating; near equilibrium the temperature is constant.

    :param part: parameters of one part.
    :return: ``first`` and ``last`` temperature in K and the number of ``steps``.

    >>> line_of({'temperature': 50.0, 'steps': 10, 'frames': 5})
    {'first': 50.0, 'last': 50.0, 'steps': 10}
    """
    first = part.get('first', part.get('temperature'))
    return {'first': first, 'last': part.get('last', first), 'steps': part['steps']}


def runs_of(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters of `dpasse.md` by part, without the seed; a part that is null is left out.

    :param settings: content of :class:`TestSetsParameters`.
    """
    runs = {}
    for name in PARTS:
        if (part := settings.get(name)) is None:
            continue
        line = line_of(part)
        runs[name] = {
            **settings['md'],
            'temperature': line['first'],
            'steps': part['steps'],
            'sample_interval': part['steps'] // part['frames'],
        }
        if line['last'] != line['first']:
            runs[name]['final_temperature'] = line['last']
    return runs


class SamplingParameters(Parameters):
    """Number of steps and of sampled frames."""

    steps: Steps = Field(description='Number of steps of each run.')
    frames: int = Field(
        gt=0,
        description='Number of frames of each structure, at regular intervals up to the last step, without the first.',
    )

    @model_validator(mode='after')
    def _even(self) -> SamplingParameters:
        if self.steps % self.frames:
            raise ValueError(
                f'`steps` ({self.steps}) should be a multiple of `frames` ({self.frames}), for example '
                f'{max(1, self.steps // self.frames) * self.frames}'
            )
        return self


class NearEquilibriumParameters(SamplingParameters):
    """A short cold run of each crystal (figure S1)."""

    temperature: Temperature = Field(description='Temperature in K.')


class HeatingRunParameters(SamplingParameters):
    """A run of each crystal with a linearly increasing thermostat temperature (figures 2 c, d and S2)."""

    first: float = Field(gt=0, description='Temperature of the thermostat at the start, K.')
    last: float = Field(gt=0, description='Temperature of the thermostat at the last step, K.')


class TestSetsParameters(Parameters):
    """Parameters of the runs, their sampling and the labelling."""

    #: Prevents pytest from collecting this class because of its name.
    __test__ = False

    near_equilibrium: NearEquilibriumParameters | None = Field(description='Test set near equilibrium; null omits it.')
    heating: HeatingRunParameters | None = Field(description='Test set along a heating run; null omits it.')
    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for all runs, without temperatures, `steps`, `sample_interval` and '
        '`seed`, and without `equilibration`, because the step of a frame gives its temperature.'
    )
    label: LabelParameters = Field(description='Labelling; all finite labels are accepted (`mode` audit).')
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> TestSetsParameters:
        if self.near_equilibrium is None and self.heating is None:
            raise ValueError('`near_equilibrium` and `heating` are both null: give at least one')
        refuse_what_is_set(self.md, TAKEN)
        if self.md.get('equilibration') is not None:
            raise ValueError('`md.equilibration` should be null: the steps of the frames give their temperatures')
        for part, run in runs_of(self.model_dump()).items():
            if message := check_parameters(MDParameters, {**run, 'seed': 1}):
                raise ValueError(f'the run of `{part}` has invalid parameters: {message}')
        if 'mode' in self.label.model_fields_set and self.label.mode != 'audit':
            raise ValueError('`label.mode` should be audit: test frames are not rejected because of large forces')
        for name in ('dynamics', 'relaxation'):
            if getattr(self.label, name) is not None:
                raise ValueError(f'`label.{name}` should be null: frames are labelled without it')
        return self
