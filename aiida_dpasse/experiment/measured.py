"""Measured ionic conductivities at room temperature, found by composition.

The table is a part of OBELiX (F. Therrien et al., arXiv 2502.14234, CC BY 4.0); see the head of `measured.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from pymatgen.core.composition import Composition

from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

SOURCE = 'OBELiX, F. Therrien et al., arXiv 2502.14234 (2025), CC BY 4.0'
#: Temperature in K at which the samples are drawn; the source says "room temperature".
ROOM_TEMPERATURE = 298.0
#: Calculated values are compared with measured ones if their temperature, in K, is between these.
AT_ROOM_TEMPERATURE = (290.0, 305.0)
#: Largest distance of compositions that are equal up to the rounding of formulas, and of similar ones. The second is
#: larger than that of Li6PS5Cl and Li5.9PS4.9Cl1.1 (0.009), and smaller than that of Li10GeP2S12 and
#: Li10.2Ge1.2P1.8S12 (0.012).
EQUAL, TOLERANCE = 0.001, 0.01
#: Longest formula that is read, and most atoms of it.
LONGEST, MOST_ATOMS = 100, 1e6
#: Columns of a table of samples.
COLUMNS = ('σ (mS/cm)', 'composition', 'space group', 'DOI')


@dataclass(frozen=True)
class Sample:
    """One measured sample.

    :param id: identifier in OBELiX.
    :param formula: composition as published.
    :param conductivity: ionic conductivity in mS/cm at room temperature.
    :param censored: whether the conductivity is an upper bound, because it was below detection.
    :param space_group: Hermann-Mauguin symbol, '' if unknown.
    :param doi: DOI of the measurement; several are separated by `|`.
    """

    id: str
    formula: str
    conductivity: float
    censored: bool
    space_group: str
    doi: str

    @property
    def text(self) -> str:
        """The conductivity in mS/cm with three significant digits, and `<` before an upper bound."""
        return f'{"<" if self.censored else ""}{self.conductivity:.3g}'


@dataclass(frozen=True)
class Measured:
    """What was measured on one composition.

    :param formula: the composition that was looked up, as it was given.
    :param samples: samples of this composition or, if there are none, of similar ones; best conducting first.
    :param exact: whether the samples have this composition.
    """

    formula: str
    samples: tuple[Sample, ...]
    exact: bool

    @property
    def range(self) -> tuple[float | None, float] | None:
        """Lowest and highest conductivity in mS/cm; None without samples.

        The lowest one is None, that is unknown, if a sample was below detection.
        """
        if not self.samples:
            return None
        values = [sample.conductivity for sample in self.samples]
        return (None if any(sample.censored for sample in self.samples) else min(values)), max(values)

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """The samples as rows of a table with the columns `COLUMNS`."""
        return [
            (sample.text, sample.formula, sample.space_group, sample.doi.replace('|', ', ')) for sample in self.samples
        ]

    @property
    def sources(self) -> list[str]:
        """DOIs of the samples, each once, in their order."""
        return list(dict.fromkeys(doi for sample in self.samples for doi in sample.doi.split('|') if doi))

    @property
    def range_text(self) -> str:
        """The range in words, for example `0.033 to 2.05 mS/cm`; '' without samples."""
        if self.range is None:
            return ''
        low, high = self.range
        if low is None:
            known = any(not sample.censored for sample in self.samples)
            return f'{"up to" if known else "below"} {high:.3g} mS/cm'
        return f'{high:.3g} mS/cm' if low == high else f'{low:.3g} to {high:.3g} mS/cm'

    @property
    def sentence(self) -> str:
        """The range and the number of samples in a sentence; '' without samples."""
        if not self.samples:
            return ''
        count = f'{len(self.samples)} sample' + ('s' if len(self.samples) > 1 else '')
        what = '' if self.exact else f' on compositions similar to {self.formula}'
        return f'Measured{what}: {self.range_text} at room temperature ({count}, OBELiX).'

    def overlaps(self, low: float, high: float) -> bool | None:
        """Return whether an interval has a point in common with the measured range; None without samples.

        :param low: lower end in mS/cm.
        :param high: upper end in mS/cm.
        """
        if self.range is None:
            return None
        return low <= self.range[1] and high >= (self.range[0] or 0.0)

    def comparison(self, low: float, high: float) -> str:
        """Return where an interval lies relative to the measured range, in a sentence; '' without samples.

        :param low: lower end in mS/cm.
        :param high: upper end in mS/cm.
        """
        if self.range is None:
            return ''
        if self.overlaps(low, high):
            return 'The calculated interval overlaps the measured range.'
        lowest, highest = self.range
        if low > highest:
            return f'The calculated interval is above the measured range, by a factor of {low / highest:.2g} or more.'
        return (
            f'The calculated interval is below the measured range, by a factor of {(lowest or 0) / high:.2g} or more.'
        )

    def to_dict(self, interval: Sequence[float] | None = None) -> dict[str, Any]:
        """Return the numbers for a summary.

        :param interval: lower and upper end of the calculated interval in mS/cm, if there is one.
        :returns: ``measured_mS_cm`` (``low``, ``high``, ``count``, ``exact``; None without samples),
            ``measured_sources``, ``measured_overlap`` (None without samples or interval), and ``measured_table``, the
            `version` of the table.
        """
        found = None
        if self.range is not None:
            low, high = self.range
            found = {'low': low, 'high': high, 'count': len(self.samples), 'exact': self.exact}
        return {
            'measured_mS_cm': found,
            'measured_sources': self.sources,
            'measured_overlap': None if interval is None else self.overlaps(*interval),
            'measured_table': version(),
        }


@cache
def table() -> tuple[Sample, ...]:
    """Return all samples."""
    lines = [line for line in _text().splitlines() if not line.startswith('#')]
    return tuple(
        Sample(
            id=row['id'],
            formula=row['formula'],
            conductivity=float(row['conductivity_mS_cm'].lstrip('<')),
            censored=row['conductivity_mS_cm'].startswith('<'),
            space_group=row['space_group'],
            doi=row['doi'],
        )
        for row in csv.DictReader(lines)
    )


@cache
def version() -> str:
    """Return the first digits of the SHA-256 of the table, which identify it."""
    return sha256(_text().encode()).hexdigest()[:12]


def _text() -> str:
    return files(__package__).joinpath('measured.csv').read_text(encoding='utf8')


def read_formula(formula: str) -> Composition:
    """Return a composition.

    :param formula: a chemical formula, such as `Li6PS5Cl`, `Li24P4S20Cl4` or `Li5.9PS4.9Cl1.1`.
    :raises UnreadableError: if it is no chemical formula.
    """
    known = len(formula) <= LONGEST
    if known:
        try:
            composition = Composition(formula.strip())
            known = composition.valid and 0 < composition.num_atoms < MOST_ATOMS
        except Exception:  # pymatgen evaluates nested formulas, which raises exceptions of several types
            known = False
    if not known:
        raise UnreadableError(
            f'{line(formula)[:LONGEST]!r} is not a chemical formula: write it as Li6PS5Cl or Li5.9PS4.9Cl1.1.'
        )
    return composition


def distance(one: Composition, two: Composition) -> float:
    """Return the distance of two compositions: the part of the atoms that has to be replaced, from 0 to 1.

    It is half the sum of the absolute differences of the atomic fractions, which is independent of the size of the
    formula unit.

    :param one: a composition.
    :param two: another one.
    """
    elements = {*one.elements, *two.elements}
    return sum(abs(one.get_atomic_fraction(e) - two.get_atomic_fraction(e)) for e in elements) / 2


@cache
def _compositions() -> Mapping[Sample, Composition]:
    return {sample: Composition(sample.formula) for sample in table()}


def find(formula: str, tolerance: float = TOLERANCE) -> Measured:
    """Return the samples of a composition or, if there are none, those of similar ones.

    :param formula: chemical formula, of any number of formula units.
    :param tolerance: largest `distance` of similar compositions; they have the same elements.
    :raises UnreadableError: if it is no chemical formula.
    """
    wanted = read_formula(formula)
    # Dopants change a conductivity by orders of magnitude, however few they are.
    same = {
        sample: distance(wanted, composition)
        for sample, composition in _compositions().items()
        if set(composition.elements) == set(wanted.elements)
    }
    name = formula.strip()
    for limit, exact in ((EQUAL, True), (tolerance, False)):
        found = [sample for sample, value in same.items() if value <= limit]
        if found:
            return Measured(name, tuple(sorted(found, key=lambda sample: -sample.conductivity)), exact)
    return Measured(name, (), False)


def nearest(formula: str, count: int = 5) -> list[tuple[Measured, float]]:
    """Return what was measured on the compositions with the smallest `distance`, and these distances.

    :param formula: chemical formula, of any number of formula units.
    :param count: number of compositions.
    :raises UnreadableError: if it is no chemical formula.
    """
    wanted = read_formula(formula)
    away = sorted((distance(wanted, composition), sample.formula) for sample, composition in _compositions().items())
    found: dict[tuple[Sample, ...], tuple[Measured, float]] = {}
    for value, name in away:
        measured = find(name)
        found.setdefault(measured.samples, (measured, value))
        if len(found) == count:
            break
    return list(found.values())
