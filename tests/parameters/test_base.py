"""Parameters are refused in one sentence."""

from __future__ import annotations

import pytest
from aiida import orm
from pydantic import Field

from aiida_dpasse.parameters.base import Parameters, parameters_validator

UNKNOWN = 'is not a known parameter; remove it or choose one of'


class Inner(Parameters):
    """A child's parameters."""

    temperature: float = Field(gt=0)


class Outer(Parameters):
    """A parent's parameters."""

    steps: int = Field(gt=0)
    inner: Inner = Inner(temperature=300)
    other: Inner | None = None


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ({'steps': 5, 'inner': {'temperature': 300}}, None),
        ({'steps': 5, 'inner': {'temperature': 300.5}}, None),
        ({'steps': 0}, 'parameters: `steps` should be greater than 0, got 0.'),
        ({}, 'parameters: `steps` is missing: give it.'),
        (
            {'steps': 1, 'inner': {'temperature': -5}},
            'parameters: `inner.temperature` should be greater than 0, got -5.',
        ),
        ({'steps': 1, 'inner': {'temp': 5, 'temperature': 1}}, f'parameters: `inner.temp` {UNKNOWN} temperature.'),
        ({'steps': 1, 'other': {'temp': 5, 'temperature': 1}}, f'parameters: `other.temp` {UNKNOWN} temperature.'),
        ({'steps': 1, 'step': 2}, f'parameters: `step` {UNKNOWN} inner, other, steps.'),
    ],
)
def test_messages(value, message):
    """Every mistake names the entry and what to do."""
    assert parameters_validator(Outer)(orm.Dict(value), None) == message
