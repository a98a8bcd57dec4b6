"""Settings of the test sets, and what they and their inputs have to agree on."""

from __future__ import annotations

from typing import Any

from aiida import orm
from pydantic import Field, model_validator

from aiida_dpasse.calculations.md import validate_inputs as validate_md
from aiida_dpasse.calculations.md import validate_structure
from aiida_dpasse.functions.plan_test_sets import PARTS, runs_of
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters, refuse_what_is_set
from aiida_dpasse.workflows.label import LabelParameters
from aiida_dpasse.workflows.label_sources import validate_labeller

#: What every run is given by its part, or may not have.
TAKEN = ('temperature', 'final_temperature', 'steps', 'sample_interval', 'seed')


class SamplingParameters(Parameters):
    """How many frames of how many steps."""

    steps: int = Field(gt=0, description='Number of steps of each run.')
    frames: int = Field(
        gt=0, description='Frames of each structure, at even steps up to the last one; the start is none of them.'
    )

    @model_validator(mode='after')
    def _even(self) -> SamplingParameters:
        if self.steps % self.frames:
            raise ValueError(
                f'`steps` ({self.steps}) should be a multiple of `frames` ({self.frames}): give '
                f'{max(1, self.steps // self.frames) * self.frames} steps, for example'
            )
        return self


class NearEquilibriumParameters(SamplingParameters):
    """A short cold run from each crystal (figure S1)."""

    temperature: float = Field(gt=0, description='Temperature in K.')


class HeatingRunParameters(SamplingParameters):
    """A run from each crystal whose thermostat is heated linearly (figures 2 c, d and S2)."""

    first: float = Field(gt=0, description='Temperature of the thermostat at the start, K.')
    last: float = Field(gt=0, description='Temperature of the thermostat at the last step, K.')


class TestSetsParameters(Parameters):
    """Which runs are made, what of them is sampled, and how it is labelled."""

    #: No class of tests, whatever its name says to pytest.
    __test__ = False

    near_equilibrium: NearEquilibriumParameters | None = Field(
        description='The test set near equilibrium; null makes none.'
    )
    heating: HeatingRunParameters | None = Field(description='The test set along a heating; null makes none.')
    supercell: float | list[int] | list[list[int]] = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    md: dict[str, Any] = Field(
        description='Parameters of `dpasse.md` for all runs, without `equilibration`, which would hide what step '
        'belongs to what temperature, and without temperatures, `steps`, `sample_interval` and `seed`.'
    )
    label: LabelParameters = Field(
        description='Labels; whatever is finite is admitted (`mode` audit), and the frames are labelled as they are.'
    )
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> TestSetsParameters:
        if self.near_equilibrium is None and self.heating is None:
            raise ValueError('`near_equilibrium` and `heating` are both null: there is nothing to make')
        refuse_what_is_set(self.md, TAKEN)
        if self.md.get('equilibration') is not None:
            raise ValueError('`md.equilibration` should be null: the steps of the frames tell their temperatures')
        for part, run in runs_of(self.model_dump()).items():
            if message := check_parameters(MDParameters, {**run, 'seed': 1}):
                raise ValueError(f'the run of `{part}` is not possible: {message}')
        if 'mode' in self.label.model_fields_set and self.label.mode != 'audit':
            raise ValueError('`label.mode` should be audit: a test rejects no frame because its forces are large')
        for name in ('dynamics', 'relaxation'):
            if getattr(self.label, name) is not None:
                raise ValueError(f'`label.{name}` should be null: the frames are labelled as the runs left them')
        return self


def validate_test_sets(inputs: Any, port: Any) -> str | None:
    """Return one sentence if potential, structures, labeller and parameters do not go together."""
    potential, code = inputs.get('potential'), inputs.get('codes', {}).get('lmp')
    runs = runs_of(inputs['parameters'].get_dict()) if 'parameters' in inputs else {}
    for label, structure in inputs.get('structures', {}).items():
        if message := validate_structure(structure, port):
            return f'structures.{label}: {message.removeprefix("structure: ")}'
        for part in PARTS:
            if potential is None or part not in runs:
                continue
            run = {'structure': structure, 'potentials': {'potential': potential}, 'parameters': orm.Dict(runs[part])}
            if message := validate_md(run | ({} if code is None else {'code': code}), port):
                return message.removeprefix('potentials.')
    return validate_labeller(inputs, port, teacher='teacher')
