"""Validated parameters: the settings of a process in one `Dict`, rejected with a one-sentence message if invalid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from aiida_dpasse.merging import merge
from aiida_dpasse.quoting import line
from aiida_dpasse.renamed import new_keys

if TYPE_CHECKING:
    from aiida import orm


#: Most levels, values and characters of a text that parameters have, and the largest integer of a database.
DEEPEST, MOST_VALUES, LONGEST_TEXT, LARGEST_INTEGER = 40, 1_000_000, 1_000_000, 2**63 - 1


class Parameters(BaseModel):
    """Base class of all parameter models: unknown names are rejected, and validated parameters are immutable."""

    model_config = ConfigDict(extra='forbid', frozen=True, protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode='before')
    @classmethod
    def _new_names(cls, data: Any) -> Any:
        return new_keys(data, cls.model_fields)


def check_parameters(model: type[Parameters], value: dict[str, Any]) -> str | None:
    """Validate parameters.

    :param model: parameter model.
    :param value: content of the parameters.
    :return: a message that names the first invalid entry, or None.
    """
    if message := objection_to_values(value):
        return message
    try:
        model.model_validate(value)
    except ValidationError as exception:
        error = exception.errors()[0]
        name = line('.'.join(str(part) for part in error['loc']))
        if error['type'] == 'missing':
            return f'`{name}` is missing: give it.'
        if error['type'] == 'extra_forbidden':
            known = _known_names(model, [str(part) for part in error['loc'][:-1]])
            return f'`{name}` is not a known parameter; remove it or choose one of {", ".join(known)}.'
        text = error['msg'].removeprefix('Input ').removeprefix('Value error, ')
        if error['type'] == 'value_error':
            return line(f'`{name}`: {text}' if name else text)
        return f'`{name}` {text[0].lower()}{text[1:]}, got {shortened(error["input"])}.'
    return None


def shortened(value: Any) -> str:
    """Return a value as Python text of one line and of at most a hundred characters.

    :param value: the value.
    """
    text = line(repr(value))
    return text if len(text) <= 100 else f'{text[:96]} ...'


def objection_to_values(content: Any) -> str | None:
    """Check parameters for what no database and no program takes: numbers that are not finite, and endless nesting.

    :param content: the parameters.
    :return: a message that names the first such entry, or None.
    """
    level: list[tuple[str, Any]] = [('', content)]
    count = 0
    for _ in range(DEEPEST + 1):
        for name, value in level:
            if isinstance(value, float) and not math.isfinite(value):
                return f'`{name}` should be a finite number, got {value}.'
            if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
                return f'`{name}` should be a number below 2^63.'
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                return f'`{name}` has {len(value)} characters: shorten it.'
        count += len(level)
        if count > MOST_VALUES:
            return f'there are more than {MOST_VALUES} values: give fewer.'
        level = [part for name, value in level for part in _parts(name, value)]
        if not level:
            return None
    return f'`{level[0][0][:60]}` is nested more than {DEEPEST} levels deep: correct it.'


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((line(f'{name}.{key}'.lstrip('.')), item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((name, item) for item in value)


def _known_names(model: type[Parameters], parents: list[str]) -> list[str]:
    schema = model.model_json_schema()
    level: dict[str, Any] = schema
    for parent in parents:
        options = [level.get('properties', {}).get(parent, {})]
        options += options[0].get('anyOf', []) + options[0].get('allOf', [])
        references = [option['$ref'].rpartition('/')[2] for option in options if '$ref' in option]
        if not references:
            return sorted(level.get('properties', {}))
        level = schema['$defs'][references[0]]
    return sorted(level.get('properties', {}))


def given(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that are set: AiiDA also passes inputs set to None to validators.

    :param inputs: inputs of a process.
    """
    return {name: value for name, value in inputs.items() if value is not None}


def parameters_validator(model: type[Parameters], name: str = 'parameters') -> Callable[[Any, Any], str | None]:
    """Return a port validator that checks a `Dict` against a parameter model.

    :param model: parameter model.
    :param name: name of the port, for messages.
    """

    def validate(value: orm.Dict | None, _: Any) -> str | None:
        message = None if value is None else check_parameters(model, value.get_dict())
        return f'{name}: {message}' if message else None

    return validate


def objection_to_retry(settings: Parameters, retry: dict[str, Any] | None) -> str | None:
    """Validate the settings of a second attempt.

    :param settings: parameters with the field ``retry``.
    :param retry: settings that are merged into the others.
    :return: a clause that describes the first invalid entry, or None.
    """
    message = check_parameters(type(settings), merge(settings.model_dump(exclude={'retry'}), retry or {}))
    return message and f'in `retry`, {message}'
