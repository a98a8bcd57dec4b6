"""Tables in text files: separators, decimal commas, and the quantities and units that the headers of columns name."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_dpasse.cli.refusal import HOTTEST, Refusal
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError, check_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Names of each quantity, in lower case and without spaces, underscores and asterisks.
NAMES = {
    'temperature': 't temp temperature',
    'inverse temperature': '1000/t 1e3/t 103/t',
    'diffusivity': 'd dstar dtracer dself dli dna diffusivity diffusion diffusioncoefficient diffusionconstant '
    'tracerdiffusivity tracerdiffusion tracerdiffusioncoefficient selfdiffusivity selfdiffusioncoefficient dsigma '
    'collectivediffusivity chargediffusivity',
    'conductivity': 'sigma cond conductivity ionicconductivity totalconductivity nernsteinsteinconductivity sigmane',
    'volume': 'v volume cellvolume',
    'ions': 'n ions nions',
}
#: Words that mark a column as a standard deviation.
ERRORS = frozenset(
    ['error', 'err', 'std', 'sd', 'stdev', 'stddev', 'stderr', 'se', 'sem', 'unc', 'uncertainty', 'errorbar', 'pm']
)
#: Factor to the unit used here (cm^2/s, mS/cm, A^3) of each unit, written without spaces, `/`, `^`, `_` and `-1`.
UNITS = {
    'temperature': {'k': 1.0, 'c': 1.0, 'degc': 1.0},
    'inverse temperature': {'': 1.0, 'k': 1.0, '1k': 1.0},
    'diffusivity': {'cm2s': 1.0, 'm2s': 1e4, 'a2ps': 1e-4, 'a2ns': 1e-7, 'nm2ns': 1e-5},
    'conductivity': {'mscm': 1.0, 'scm': 1e3, 'sm': 10.0, 'msm': 1e-2, 'uscm': 1e-3},
    'volume': {'a3': 1.0, 'nm3': 1e3},
    'ions': {'': 1.0},
}
#: Units assumed if a header gives none. Conductivities are published in mS/cm and in S/cm, so none is assumed for them.
ASSUMED = {'temperature': 'K', 'inverse temperature': '1/K', 'diffusivity': 'cm2/s', 'volume': 'A3', 'ions': ''}
#: Smallest and largest value in these units that matter has.
LIMITS = {
    'temperature': (1e-3, HOTTEST),
    'diffusivity': (1e-60, 1e3),
    'conductivity': (1e-60, 1e10),
    'diffusivity error': (0.0, 1e3),
    'conductivity error': (0.0, 1e10),
    'volume': (1e-3, 1e30),
    'ions': (1.0, 1e15),
}
UNIT = {
    'temperature': 'K',
    'diffusivity': 'cm^2/s',
    'conductivity': 'mS/cm',
    'diffusivity error': 'cm^2/s',
    'conductivity error': 'mS/cm',
    'volume': 'A^3',
    'ions': '',
}
#: Smallest relative error that is believed.
SMALLEST_ERROR = 1e-9
#: Size of the largest table in bytes, and how many names of columns, and characters of each, a message repeats.
LARGEST_TABLE, MOST_NAMED, LONGEST = 10 << 20, 8, 40
#: Zero of the Celsius scale in K.
CELSIUS = 273.15
#: Entries of undetermined values.
NULL = frozenset(('', 'null', 'nan', 'none', 'na', 'n/a', '-', '--', '—', 'undetermined'))
LETTERS = str.maketrans('²³⁻¹⁵⁶⁷⁸⁹₁₀µμåÅ−·×ΔΣ', '23-15678910uuaa- xds')


@dataclass(frozen=True)
class Column:
    """What a header names.

    :param kind: key of `NAMES`; '' for an error of an unnamed quantity.
    :param error: whether it is the standard deviation of that quantity.
    :param name: the name without unit and error, to find the error that belongs to a value.
    :param factor: factor to the unit used here; None if the header gives no unit.
    :param celsius: whether it is a temperature in degrees Celsius.
    :param base: base of the logarithm that the column holds, 1 if it holds none.
    """

    kind: str
    error: bool
    name: str
    factor: float | None
    celsius: bool = False
    base: float = 1.0


@dataclass
class Cells:
    """A table as text.

    :param name: name of the file.
    :param header: names of the columns.
    :param rows: line number and entries of each row.
    """

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]


@dataclass
class Measurements:
    """Values by temperature.

    :param temperatures: (n,) K.
    :param values: diffusivities in cm^2/s and conductivities in mS/cm, (n,) each; NaN where undetermined.
    :param errors: their standard deviations, by the same keys; absent if the table has none.
    :param volume: (n,) A^3, if given.
    :param ions: (n,), if given.
    :param columns: header of the column used for each quantity.
    :param ignored: headers of the other columns.
    :param assumed: units assumed for headers without one.
    :param skipped: line and reason of each row that is left out of a fit.
    """

    temperatures: Array
    values: dict[str, Array]
    errors: dict[str, Array]
    volume: Array | None = None
    ions: Array | None = None
    columns: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    assumed: dict[str, str] = field(default_factory=dict)
    skipped: list[dict[str, str | int]] = field(default_factory=list)


def read_cells(path: Path, names: str | None = None) -> Cells:
    """Return the entries of a table separated by semicolons, tabs, commas or spaces; lines with # are comments.

    :param path: the file.
    :param names: names of the columns in order, which replace those in the file, separated by commas.
    :raises Refusal: if the file has no table, or a row has more or fewer entries than the header.
    """
    shown = quoted(path.name)
    try:
        check_regular(path)
        if (size := path.stat().st_size) > LARGEST_TABLE:
            raise Refusal(f'{shown} takes {size} bytes, more than a table of temperatures: name another file.')
        text = path.read_text(encoding='utf-8-sig', errors='replace')
    except UnreadableError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(f'{shown} cannot be read: {error.strerror}.') from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    body = [(number, line) for number, line in lines if not line.startswith('#')]
    if not body:
        raise Refusal(f'{shown} holds no table: give a header and one row for each temperature.')
    sample = body[0][1]
    separator = next((mark for mark in ';\t,' if mark in sample), ' ')
    # The header of a file written by numpy is a comment.
    comments = [line.lstrip('#').strip() for number, line in lines if line.startswith('#') and number < body[0][0]]
    first = _split(sample, separator, shown, body[0][0])
    if any(_is_number(entry) for entry in first) and not (separator == ',' and _is_number(sample)):
        header = _split(comments[-1], separator, shown, 1) if comments else []
        if len(header) != len(first):
            header = []
    else:
        header = _split(_join_units(sample) if separator == ' ' else sample, separator, shown, body[0][0])
        body = body[1:]
    if names is not None:
        header = [name.strip() for name in names.split(',')]
    if not header:
        raise Refusal(f'{shown} has no header: name its {len(first)} columns, as --columns "T (K),D (cm2/s),error".')
    rows = []
    for number, line in body:
        entries = _split(line, separator, shown, number)
        if len(entries) != len(header):
            hint = ': with decimal commas, separate the columns by semicolons' if separator == ',' else ''
            raise Refusal(
                f'Line {number} of {shown} has {len(entries)} entries for {len(header)} columns '
                f'({listed(header)}){hint}.'
            )
        rows.append((number, entries))
    if separator != ',':
        _decimal_commas(shown, rows)
    return Cells(shown, header, rows)


def _split(line: str, separator: str, name: str, number: int) -> list[str]:
    if separator == ' ':
        return line.split()
    try:
        return [entry.strip() for entry in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error as error:
        raise Refusal(f'Line {number} of {name} is no row of a table ({error}): correct it.') from error


def listed(header: list[str]) -> str:
    """Return the names of columns, shortened."""
    more = len(header) - MOST_NAMED
    names = [f'{name[:LONGEST]}...' if len(name) > LONGEST else name for name in map(quoted, header[:MOST_NAMED])]
    return ', '.join(names) + (f' and {more} more' if more > 0 else '')


def _join_units(line: str) -> str:
    """Return a header of columns separated by spaces with each unit in parentheses attached to its name."""
    line = re.sub(r'\s+(?=[(\[])', '', line)
    return re.sub(r'[(\[][^)\]]*[)\]]', lambda found: found.group().replace(' ', ''), line)


def _decimal_commas(name: str, rows: list[tuple[int, list[str]]]) -> None:
    """Replace decimal commas by points, in place.

    :raises Refusal: if the commas may separate thousands.
    """
    entries = [entry for _, row in rows for entry in row]
    commas = [entry for entry in entries if re.fullmatch(r'[-+]?\d+,\d+([eE][-+]?\d+)?', entry)]
    if not commas:
        return
    points = any('.' in entry and _is_number(entry) for entry in entries)
    if points or all(re.fullmatch(r'[-+]?\d{1,3},\d{3}', entry) for entry in commas):
        raise Refusal(
            f'{name} holds {commas[0][:LONGEST]!r}, whose comma is a decimal or a thousand: write numbers with a point.'
        )
    for _, row in rows:
        row[:] = [entry.replace(',', '.') if entry in commas else entry for entry in row]


def _is_number(entry: str) -> bool:
    try:
        float(entry.replace(',', '.'))
    except ValueError:
        return False
    return entry.strip().lower() not in NULL


def recognise(header: str) -> Column | None:
    """Return what a header names, or None.

    The unit is in parentheses, in brackets, after a slash, or at the end as in `diffusivity_cm2_s`. Logarithms are
    `log10`, `lg` and `ln`; the base of `log` is not known.

    :param header: the header of a column.
    """
    text = header.strip().replace('σ', 'sigma').replace('±', ' pm ').translate(LETTERS).lower()
    text = text.replace('°', '')
    if found := re.match(r'(log_?\{?10\}?|lg|ln)[\s_]*(.+)$', text):
        column = recognise(_without_parentheses(found.group(2)))
        if column is None or column.kind not in ('diffusivity', 'conductivity'):
            return None
        return replace(column, base=math.e if found.group(1) == 'ln' else 10.0)
    unit: str | None = None
    if found := re.search(r'[(\[]([^)\]]*)[)\]]', text):
        unit, text = found.group(1), text[: found.start()] + ' ' + text[found.end() :]
    elif found := re.search(r'(?<=[a-z*])\s*/\s*(\S.*)$', text):
        unit, text = found.group(1), text[: found.start()]
    elif found := re.search(r'_(k|c|cm2_s|m2_s|a2_ps|ms_cm|s_cm|s_m|a3)(?=_|$)', text):
        unit, text = found.group(1), text[: found.start()] + text[found.end() :]
    words = [word for word in re.split(r'[\s_\-,.]+', text.replace('*', '')) if word]
    error = any(word in ERRORS for word in words)
    if len(words) == 1 and (found := re.fullmatch(r'(d|delta|err|error|std)?(d|sigma)(err|error|std)?', words[0])):
        error = error or (bool(found.group(1) or found.group(3)) and words[0] != 'dsigma')
        words = [found.group(2)] if words[0] != 'dsigma' else words
    name = ''.join(word for word in words if word not in ERRORS)
    kind = next((kind for kind, known in NAMES.items() if name in known.split()), None)
    if kind is None and error and not name:
        kind = next((each for each, units in UNITS.items() if unit and _factor(unit, units) is not None), '')
    if kind is None:
        return None
    factor = _factor(unit, UNITS[kind]) if unit is not None and kind else None
    if unit is not None and factor is None:
        return None
    return Column(kind, error, name, factor, kind == 'temperature' and unit is not None and _plain(unit) != 'k')


def _without_parentheses(text: str) -> str:
    """Return the argument of a logarithm without the parentheses around it, and what follows them."""
    if text[0] not in '([':
        return text
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter in '([') - (letter in ')]')
        if depth == 0:
            return f'{text[1:index]} {text[index + 1 :]}'
    return text


def _plain(unit: str) -> str:
    return re.sub(r'-1|[\s/^_{}$\\*]', '', unit)


def _factor(unit: str, units: dict[str, float]) -> float | None:
    """Return the factor of a unit, with a power of ten before it if there is one; None if it is unknown."""
    power = 1.0
    if found := re.match(r'\s*(?:1e|10\^?)\{?(-?\d{1,2})\}?\s*x?\s*', unit):
        power, unit = 10.0 ** int(found.group(1)), unit[found.end() :]
    factor = units.get(_plain(unit))
    return None if factor is None else power * factor


def read_measurements(path: Path, names: str | None = None) -> Measurements:
    """Return the diffusivities and conductivities in a table, in cm^2/s and mS/cm.

    :param path: the file.
    :param names: as in :func:`read_cells`.
    :raises Refusal: if the quantities are not recognised or an entry is not a number.
    """
    import numpy as np

    cells = read_cells(path, names)
    known = [recognise(header) for header in cells.header]
    found = f'{cells.name} has the columns {listed(cells.header)}'
    change = 'rename them, or name all in order, as --columns "T (K),D (cm2/s),error"'

    def first(kind: str) -> int | None:
        return next((i for i, each in enumerate(known) if each and each.kind == kind and not each.error), None)

    places = {kind: place for kind in NAMES if (place := first(kind)) is not None}
    kinds: list[str] = [kind for kind in ('diffusivity', 'conductivity') if kind in places]
    if 'temperature' not in places and 'inverse temperature' not in places:
        raise Refusal(f'{found}, none of which is recognised as a temperature: {change}.')
    if not kinds:
        raise Refusal(f'{found}, none of which is recognised as a diffusivity or conductivity: {change}.')
    if not cells.rows:
        raise Refusal(f'{cells.name} holds no row: give one for each temperature.')
    assumed = {
        cells.header[place]: ASSUMED.get(kind, '')
        for kind, place in places.items()
        if _column(known, place).factor is None
    }
    if 'conductivity' in places and _column(known, places['conductivity']).factor is None:
        header = listed([cells.header[places['conductivity']]])
        raise Refusal(
            f'The column {header} of {cells.name} has no unit: name it "{header} (mS/cm)" or "{header} (S/cm)".'
        )
    for kind, place in _find_errors(cells, known, places, kinds).items():
        places[f'{kind} error'] = place

    def column(kind: str) -> Array:
        place = places[kind]
        own, value = _column(known, place), _column(known, places[kind.removesuffix(' error')])
        numbers = np.array([_number(cells, number, row[place], place) for number, row in cells.rows])
        base = own.base if own.base > 1 or own.factor is not None else value.base
        if own.error and base > 1:
            # The error of a logarithm is relative.
            return column(value.kind) * numbers * math.log(base)
        factor = own.factor if own.factor is not None else value.factor or 1.0
        with np.errstate(over='ignore'):
            return factor * (own.base**numbers if own.base > 1 else numbers)

    if 'temperature' in places:
        temperatures = column('temperature') + CELSIUS * _column(known, places['temperature']).celsius
        places.pop('inverse temperature', None)
    else:
        with np.errstate(divide='ignore'):
            temperatures = 1000 / column('inverse temperature')
    both = 'volume' in places and 'ions' in places
    used = {kind: cells.header[place] for kind, place in places.items()}
    result = Measurements(
        temperatures,
        {kind: column(kind) for kind in kinds},
        {kind: column(f'{kind} error') for kind in kinds if f'{kind} error' in places},
        column('volume') if both else None,
        column('ions') if both else None,
        used,
        [header for header in cells.header if header not in used.values()],
        {header: unit for header, unit in assumed.items() if unit and header in used.values()},
    )
    _check_rows(cells, result)
    return result


def _column(known: list[Column | None], place: int) -> Column:
    column = known[place]
    assert column is not None
    return column


def _find_errors(cells: Cells, known: list[Column | None], places: dict[str, int], kinds: list[str]) -> dict[str, int]:
    """Return the column of the errors of each quantity: the one of its name, else that of no name or of its unit."""
    found = {}
    for kind in kinds:
        name = _column(known, places[kind]).name
        errors = [(i, each) for i, each in enumerate(known) if each is not None and each.error]
        exact = [i for i, each in errors if each.kind == kind and each.name == name]
        nameless = [
            i for i, each in errors if not each.name and (each.kind == kind or (not each.kind and len(kinds) == 1))
        ]
        if len(exact or nameless) > 1:
            several = listed([cells.header[i] for i in exact or nameless])
            raise Refusal(f'{cells.name} has several columns of errors of the {kind} ({several}): keep one.')
        if exact or nameless:
            found[kind] = (exact or nameless)[0]
    return found


def _number(cells: Cells, line: int, entry: str, place: int) -> float:
    # A bound such as <1e-9 is an undetermined value.
    if entry.lower() in NULL or entry.startswith(('<', '>')):
        return float('nan')
    try:
        return float(entry)
    except ValueError:
        header = listed([cells.header[place]])
        raise Refusal(
            f'Line {line} of {cells.name} has no number in the column {header}: {quoted(entry)[:LONGEST]!r}.'
        ) from None


def _check_errors(cells: Cells, kind: str, errors: Array, values: Array) -> None:
    """Check that no error is so small that its value alone would determine the fit.

    :raises Refusal: if one is.
    """
    for (line, _), error, value in zip(cells.rows, errors, values, strict=True):
        if error < SMALLEST_ERROR * value:
            raise Refusal(
                f'Line {line} of {cells.name}: the {kind} is {error:g}, and {value:g} is never known so well: correct '
                'it, or leave it empty.'
            )


def _check_rows(cells: Cells, table: Measurements) -> None:
    """Record the rows that are left out of each fit.

    :raises Refusal: if a number is not positive.
    """
    import numpy as np

    numbers: dict[str, Array] = {'temperature': table.temperatures, **table.values}
    numbers |= {f'{kind} error': errors for kind, errors in table.errors.items()}
    numbers |= {kind: array for kind, array in (('volume', table.volume), ('ions', table.ions)) if array is not None}
    for kind, array in numbers.items():
        for (line, _), value in zip(cells.rows, array, strict=True):
            if value <= 0 or np.isinf(value):
                raise Refusal(f'Line {line} of {cells.name}: the {kind} is {value:g} and should be positive, or empty.')
            if kind == 'ions' and value % 1:
                raise Refusal(
                    f'Line {line} of {cells.name}: the number of ions is {value:g} and should be a whole one.'
                )
            low, high = LIMITS[kind]
            if not low <= value <= high and not np.isnan(value):
                raise Refusal(
                    f'Line {line} of {cells.name}: the {kind} is {value:g} and should be between {low:g} and {high:g} '
                    f'{UNIT[kind]}: correct it, or its unit.'
                )
        if kind.endswith(' error'):
            _check_errors(cells, kind, array, table.values[kind.removesuffix(' error')])
    for index, (line, _) in enumerate(cells.rows):
        for kind in table.values:
            needed = ['temperature', kind, *([f'{kind} error'] if kind in table.errors else [])]
            missing = [name for name in needed if np.isnan(numbers[name][index])]
            if missing:
                table.values[kind][index] = np.nan
                table.skipped.append({'line': line, 'quantity': kind, 'undetermined': ', '.join(missing)})
