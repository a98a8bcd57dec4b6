"""Rejection of invalid input by a command: a one-sentence message on the standard error and exit status 2."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click


class Refusal(click.ClickException):
    """A message that describes what is wrong with the input and how to correct it."""

    exit_code = 2


def require_positive(name: str, value: float, unit: str) -> None:
    """Check that a number is positive and finite.

    :param name: name of the quantity, for the message.
    :param value: the number.
    :param unit: its unit.
    :raises Refusal: if it is not.
    """
    if not (value > 0 and math.isfinite(value)):
        raise Refusal(f'{name} is {value:g} {unit} and should be greater than zero.')


def existing(path: Path) -> Path:
    """Return the path of an existing file.

    :param path: path of the file.
    :raises Refusal: if the file does not exist.
    """
    if not path.is_file():
        raise Refusal(f'There is no file {path}.')
    return path


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a JSON file if a path is given.

    :param path: path of the file, or None.
    :param content: content to write.
    :raises Refusal: if the file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf8')
    except OSError as error:
        raise Refusal(f'{path} cannot be written: {error.strerror}.') from error
