"""Types of options that several commands share, and rejection of invalid input with exit status 2."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting


class FiniteFloat(click.FloatRange):
    """A number in a range; unlike in click's range, NaN and infinity are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f'{number} is not a finite number.', param, ctx)
        return number


#: Highest temperature in K that an option takes: matter is a plasma long before.
HOTTEST = 1e5
#: Types of options: a positive number, a temperature in K, a PK, a charge in e or an exponent, an existing file.
POSITIVE = FiniteFloat(min=0, min_open=True)
TEMPERATURE = FiniteFloat(min=0, max=HOTTEST, min_open=True)
PK = click.IntRange(min=1, max=2**63 - 1)
SMALL = FiniteFloat(min=-10, max=10)
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


class Refusal(click.ClickException):
    """A message that describes what is wrong with the input and how to correct it."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the message for the terminal; names of files and nodes in it may contain anything."""
        return quoting.paragraph(self.message)


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
