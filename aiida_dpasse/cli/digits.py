"""Numbers with as many digits as their errors allow."""

from __future__ import annotations

from math import floor, isfinite, log10


def with_error(value: float, error: float, unit: str = '') -> str:
    """Return a value with its error, rounded to two significant digits of the error: `2.042e-4 ± 0.038e-4 cm²/s`.

    :param value: the value.
    :param error: its standard deviation.
    :param unit: unit to append.
    """
    mantissa, power = _rounded(value, error)
    shown, _ = _rounded(error, error, power)
    end = '' if power == 0 else f'e{power}'
    return f'{mantissa}{end} ± {shown}{end} {unit}'.rstrip()


def number(value: float, error: float) -> str:
    """Return a value rounded to two significant digits of its error.

    :param value: the value.
    :param error: its standard deviation.
    """
    mantissa, power = _rounded(value, error)
    return mantissa if power == 0 else f'{mantissa}e{power}'


def _rounded(value: float, error: float, power: int | None = None) -> tuple[str, int]:
    """Return mantissa and power of ten; the power is 0 for numbers of ordinary size."""
    if not isfinite(value):
        return str(value), 0
    if power is None:
        largest = max(abs(value), abs(error) if isfinite(error) else 0.0)
        power = 0 if largest == 0 or 1e-2 <= largest < 1e5 else floor(log10(largest))
    digits = 4
    if error > 0 and isfinite(error):
        # At most eight digits: an error of zero up to rounding says nothing.
        digits = min(max(1 - floor(log10(error)) + power, 0), 8)
    return f'{value / 10**power:.{digits}f}', power
