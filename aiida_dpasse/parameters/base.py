"""Validated parameters: the settings of a process in one `Dict`, rejected with a one-sentence message if invalid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from aiida_dpasse.merging import merge
from aiida_dpasse.renamed import new_keys

if TYPE_CHECKING:
    from aiida import orm


class Parameters(BaseModel):
    """Base class of all parameter models: unknown names are rejected, and validated parameters are immutable."""

    model_config = ConfigDict(extra='forbid', frozen=True, protected_namespaces=())

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
    try:
        model.model_validate(value)
    except ValidationError as exception:
        error = exception.errors()[0]
        name = '.'.join(str(part) for part in error['loc'])
        if error['type'] == 'missing':
            return f'`{name}` is missing: give it.'
        if error['type'] == 'extra_forbidden':
            known = _known_names(model, [str(part) for part in error['loc'][:-1]])
            return f'`{name}` is not a known parameter; remove it or choose one of {", ".join(known)}.'
        text = error['msg'].removeprefix('Input ').removeprefix('Value error, ')
        if error['type'] == 'value_error':
            return f'`{name}`: {text}' if name else text
        return f'`{name}` {text[0].lower()}{text[1:]}, got {error["input"]!r}.'
    return None


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
