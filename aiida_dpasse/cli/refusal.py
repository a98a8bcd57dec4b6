"""Types of options that several commands share, and rejection of invalid input with exit status 2."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click


class PositiveFloat(click.FloatRange):
    """A positive number; unlike in click's range, NaN and infinity are refused."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f'{number} is not a finite number.', param, ctx)
        return number


#: Types of options: a positive number, an existing file, and a file to write.
POSITIVE = PositiveFloat()
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)


class Refusal(click.ClickException):
    """A message that describes what is wrong with the input and how to correct it."""

    exit_code = 2


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Return the texts ``KEY=VALUE`` of an option as a mapping.

    :param texts: the values of the option.
    :param option: its name.
    :raises Refusal: for a text without key or ``=``, or a key that is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals or not key:
            raise Refusal(f'`{option} {text}` should have the form KEY=VALUE.')
        if key in found:
            raise Refusal(f'`{option} {key}` is given twice: give it once.')
        found[key] = value
    return found


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
