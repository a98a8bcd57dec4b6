"""How a command refuses what it cannot use: one sentence on the standard error, and exit status 2."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click


class Refusal(click.ClickException):
    """One sentence that says what is wrong with the input and what to do."""

    exit_code = 2


def require_positive(name: str, value: float, unit: str) -> None:
    """Refuse a number that is zero, negative or none at all.

    :raises Refusal: if it is.
    """
    if not (value > 0 and math.isfinite(value)):
        raise Refusal(f'{name} is {value:g} {unit} and should be greater than zero.')


def existing(path: Path) -> Path:
    """Return the path of a file that is there.

    :raises Refusal: if there is none.
    """
    if not path.is_file():
        raise Refusal(f'There is no file {path}.')
    return path


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the content where it is asked for.

    :raises Refusal: if it cannot be written there.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf8')
    except OSError as error:
        raise Refusal(f'{path} cannot be written: {error.strerror}.') from error
