"""Doped cells of a crystal: exact numbers of atoms on named sublattices, neutral, and different by symmetry.

Amounts are exact fractions of the atoms of a sublattice. The cell is the smallest in which all numbers of atoms are
whole and the charges of the dopants are compensated by vacancies or interstitials. Which sites they occupy is drawn,
enumerated or ranked by :class:`aiida_dpasse.structures.arrangements.Arrangements`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import Composition, Element, Structure

from aiida_dpasse.structures.arrangements import METHODS, Arrangements, OrderedCell, Sites, find_symmetry, symbols_of
from aiida_dpasse.structures.charges import charges_of, stated, substituent_charge
from aiida_dpasse.structures.order import NEUTRAL, possible_sizes, sizes_with_whole_numbers
from aiida_dpasse.structures.overlap import ALKALI, find_overlap
from aiida_dpasse.structures.sublattices import Sublattice, find_sublattice, site_names
from aiida_dpasse.structures.voids import roomiest_places, symmetric_places

Size = tuple[int, int, int]
Amounts = dict[str, Fraction]

#: Largest number of arrangements that are enumerated.
ENUMERATED = 50_000
#: Largest number of pairs of a site and an element whose electrostatic energy is computed.
VARIABLES = 4000
#: Deviations of occupancies of a disordered crystal from whole numbers of atoms, of the elements and of the sites.
HOST_TOLERANCES = 0.1, 0.15
#: Largest number of unit cells that a message names.
NAMED = 10_000


@dataclass(frozen=True)
class Occupancy:
    """Atoms on one sublattice of the doped cell.

    :param sublattice: its name.
    :param sites: number of its sites in the cell.
    :param before: number of atoms of each element in the same cell of the host.
    :param after: number in each doped cell.
    """

    sublattice: str
    sites: int
    before: dict[str, int]
    after: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """Numbers of atoms of a doped cell, before the sites are chosen.

    :param repeats: three repetitions of the cell of the host.
    :param occupancies: of the sublattices that change and of those that are disordered in the host.
    :param composition: number of atoms of each element.
    :param charges: charge of each element.
    :param charge: sum of the charges, always 0.
    :param notes: what the user should know, one sentence each.
    :param sites: the unit cell with its occupancies and symmetry.
    :param counts: number of atoms by sublattice and element.
    :param mobile: ions that are disordered in the host.
    """

    repeats: Size
    occupancies: tuple[Occupancy, ...]
    composition: dict[str, int]
    charges: dict[str, float]
    charge: float
    notes: tuple[str, ...]
    sites: Sites = field(repr=False)
    counts: dict[tuple[int, str], int] = field(repr=False)
    mobile: tuple[str, ...] = ()

    @property
    def atoms(self) -> int:
        """Number of atoms of the doped cell."""
        return sum(self.composition.values())

    @property
    def formula(self) -> str:
        """Number of atoms of each element as text."""
        return str(Composition(self.composition).formula)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the sites, in types of JSON."""
        return {
            'repeats': list(self.repeats),
            'occupancies': [asdict(each) for each in self.occupancies],
            'composition': self.composition,
            'charges': self.charges,
            'charge': self.charge,
            'notes': list(self.notes),
        }


@dataclass(frozen=True)
class Doping:
    """Doped cells of one crystal.

    :param plan: their numbers of atoms.
    :param cells: the cells, of lowest energy first if they are ranked by it.
    :param arrangements: number of arrangements of the atoms, equivalent ones included.
    :param distinct: number of cells that differ by symmetry, None if the arrangements are too many to be enumerated.
    :param selection: how the cells were chosen: 'enumerated' from all, 'sampled', or 'annealed'.
    :param notes: what the user should know, one sentence each.
    """

    plan: Plan
    cells: tuple[OrderedCell, ...]
    arrangements: int
    distinct: int | None
    selection: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the structures: the plan, energies in eV, degeneracies, weights, notes."""
        return {
            **self.plan.to_dict(),
            'energies_eV': [cell.energy for cell in self.cells],
            'degeneracies': [cell.degeneracy for cell in self.cells],
            'weights': [cell.weight for cell in self.cells],
            # A database takes no integer of more than 64 bits.
            'arrangements': str(self.arrangements),
            'distinct': self.distinct,
            'selection': self.selection,
            'notes': [*self.plan.notes, *self.notes],
        }


def dope(
    structure: Structure,
    cells: int = 1,
    seed: int = 1,
    *,
    method: str = 'random',
    mobile: Sequence[str] | None = None,
    **request: Any,
) -> Doping:
    """Return doped cells of a crystal that differ by symmetry.

    :param structure: the host; a disordered one keeps its disorder.
    :param cells: number of cells; fewer are returned, with a note, if there are no more.
    :param seed: of the random numbers.
    :param method: 'random': each arrangement is equally likely; 'electrostatics': those of lowest electrostatic energy
        of the formal charges.
    :param mobile: elements that 'random' places by electrostatics in each arrangement of the others; by default the
        alkali ions whose sites are partially occupied in the host.
    :param request: as of :func:`plan_doping`.
    :raises ValueError: in one sentence, as :func:`plan_doping`, and if no arrangement keeps the atoms apart.
    """
    if cells < 1:
        raise ValueError(f'dope: the number of cells should be 1 or more, got {cells}.')
    if method not in METHODS:
        raise ValueError(f'dope: the method is one of {", ".join(METHODS)}, got {method!r}.')
    plan = plan_doping(structure, **request)
    placed = plan.mobile if mobile is None else tuple(mobile)
    if lacking := sorted(set(placed) - set(plan.composition)):
        raise ValueError(f'dope: the doped crystal holds no {", ".join(lacking)}: correct `mobile`.')
    space = Arrangements(plan.sites, plan.repeats, plan.counts, plan.charges, method, placed)
    number, notes = space.number, []
    distinct: int | None = None
    if number <= ENUMERATED and not (method == 'random' and placed):
        found, distinct = space.enumerate(cells, seed)
        selection = 'enumerated'
    elif method == 'random' and not placed and not space.crowded:
        found, selection = space.sample(cells, seed), 'sampled'
    else:
        if len(space.place) > VARIABLES:
            raise ValueError(
                f'dope: the electrostatic energy of {len(space.place)} pairs of site and ion is too much, {VARIABLES} '
                "are possible: ask for a smaller cell, or for 'random' and an ordered host."
            )
        found, selection = space.draw(cells, seed), 'annealed'
    if not found:
        raise ValueError(
            f'dope: atoms overlap in every arrangement of {plan.formula}: ask for fewer interstitials, other places '
            'of them, or a larger cell.'
        )
    if len(found) < cells:
        notes.append(f'{len(found)} cells of {cells} differ by symmetry: ask for a larger size to have more')
    for cell in found:
        _check(cell.structure, plan)
    return Doping(plan, tuple(found), number, distinct, selection, tuple(notes))


def plan_doping(
    structure: Structure,
    *,
    substitute: Sequence[str] = (),
    exchange: Sequence[str] = (),
    insert: Sequence[str] = (),
    compensate: str | None = None,
    places: Sequence[Sequence[float]] = (),
    composition: str | None = None,
    repeats: Sequence[int] | None = None,
    max_atoms: int = 400,
    charges: Mapping[str, float] | None = None,
    symprec: float = 0.01,
) -> Plan:
    """Return the smallest cell in which a doped crystal has whole numbers of atoms and is neutral.

    A sublattice is named as in :func:`aiida_dpasse.structures.sublattices.find_sublattice`: `S`, `S@4c`, `4a`. An
    amount is a fraction of the atoms of the sublattice in the host (`0.025`, `1/40`, `2.5%`), or, without point, slash
    and percent sign, a number of atoms in the cell (`3`).

    :param structure: the host.
    :param substitute: substitutions such as `S=Cl:0.025`, all relative to the host.
    :param exchange: exchanges of the occupants of two sublattices such as `4a:4c=0.5`, after the substitutions. The
        amount is relative to the smaller of the two, and each element of a sublattice takes part by its share.
    :param insert: interstitials such as `P=9`; a fraction is relative to the number of places.
    :param compensate: ion that balances the charge, by vacancies or by interstitials as its sign demands: `K`,
        `Li@24g`; `K:vacancies` and `Li:interstitials` refuse the other.
    :param places: fractional coordinates, (n, 3), of places for interstitials, which the symmetry repeats; by default
        free sites of the ion, and otherwise the roomiest places between the atoms.
    :param composition: formula that the doped crystal should have; it is refused otherwise.
    :param repeats: three repetitions, instead of the smallest possible.
    :param max_atoms: largest number of atoms of a cell.
    :param charges: charge of elements; by default the usual oxidation states that make the host neutral, and for a
        dopant the charge of the ion that it replaces if this is usual, otherwise its most frequent one of that sign.
    :param symprec: tolerance of the symmetry in A.
    :raises ValueError: in one sentence, for names and amounts that mean nothing, a charge that is not compensated, or
        if no size is exact, with the next amounts that are.
    """
    if max_atoms < 1 or not symprec > 0:
        raise ValueError(f'dope: `max_atoms` should be 1 or more and `symprec` positive, got {max_atoms}, {symprec}.')
    if len(structure) == 0:
        raise ValueError('dope: the crystal contains no atoms.')
    notes: list[str] = []
    host = _Host(structure, dict(charges or {}), symprec, max_atoms, notes)
    changes = _Changes(host, substitute, exchange, insert, compensate, places)
    size, contents = _smallest_size(host, changes, repeats, max_atoms)
    return _plan(host, changes, size, contents, composition, symprec, notes)


# What is asked.


@dataclass(frozen=True)
class _Amount:
    """A number of atoms, or a fraction of those of a sublattice.

    :param text: as it was given.
    :param value: the number or fraction.
    :param is_number: whether it is a number.
    """

    text: str
    value: Fraction
    is_number: bool

    @classmethod
    def read(cls, text: str, what: str) -> _Amount:
        """Return the amount of a text.

        :raises ValueError: for anything but a whole number of 0 or more or a fraction from 0 to 1.
        """
        cleaned = text.strip()
        try:
            if cleaned.endswith('%'):
                value, is_number = Fraction(cleaned[:-1]) / 100, False
            else:
                value, is_number = Fraction(cleaned), cleaned.isdecimal()
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f'dope: the amount of {what} is not a number: write 0.25, 1/4, 25% or 3 (atoms).'
            ) from None
        if value < 0 or (not is_number and value > 1):
            raise ValueError(f'dope: the amount of {what} should be a fraction from 0 to 1 or a number of atoms.')
        return cls(cleaned, value, is_number)

    def atoms(self, of: int) -> Fraction:
        """Return the number of atoms, which may not be whole.

        :param of: number of atoms to which a fraction is relative.
        """
        return self.value if self.is_number else self.value * of


def _parted(text: str, separators: str, form: str) -> list[str]:
    """Return the parts of a text between separators, in this order.

    :raises ValueError: if it does not have this form.
    """
    parts, rest = [], text
    for separator in separators:
        part, found, rest = rest.partition(separator)
        if not found:
            break
        parts.append(part.strip())
    parts.append(rest.strip())
    if len(parts) != len(separators) + 1 or not all(parts):
        raise ValueError(f'dope: {text!r} should have the form {form}.')
    return parts


def _element(name: str, what: str) -> str:
    if not Element.is_valid_symbol(name):
        raise ValueError(f'dope: {name!r} of {what} is no element.')
    return name


# The host.


@dataclass
class _Pool:
    """Sites among which atoms are interchangeable, in the unit cell.

    :param name: of the sublattice.
    :param members: indices of its sites.
    :param amounts: atoms of each element per unit cell.
    """

    name: str
    members: tuple[int, ...]
    amounts: Amounts


class _Host:
    """The crystal that is doped: its sites, pools of sites, charges and symmetry."""

    def __init__(self, structure: Structure, given: dict[str, float], symprec: float, max_atoms: int, notes: list[str]):
        #: The host as given, and with empty places for interstitials.
        self.crystal = self.structure = structure
        present = structure.composition.get_el_amt_dict()
        own = {name: charge for name, charge in given.items() if name in present}
        self.given = given
        self.charges = charges_of(structure, own or None)
        full = [index for index, site in enumerate(structure) if site.is_ordered]
        ordered = structure.from_sites([structure[index] for index in full]) if full else None
        if ordered is not None and (
            overlap := find_overlap(symbols_of(ordered), ordered.lattice.matrix, ordered.cart_coords)
        ):
            raise ValueError(f'dope: fully occupied sites overlap: {overlap}; correct their positions or occupancies.')
        total = sum(self.charges[name] * amount for name, amount in present.items())
        if structure.is_ordered and abs(total) > NEUTRAL:
            raise ValueError(
                f'dope: with {stated(self.charges)} the charge of the host is {total:+g}: correct its atoms or charges.'
            )
        self.sites = find_symmetry(structure, symprec, self.charges, notes)
        self.names = site_names(structure, symprec)
        self.pools: list[_Pool] = []
        #: Pool of each site that is in one.
        self.pool_of: dict[int, int] = {}
        self.disordered: set[int] = set()
        if not structure.is_ordered:
            self._add_disorder(max_atoms, notes)

    def _add_disorder(self, max_atoms: int, notes: list[str]) -> None:
        """Make a pool of each set of partially occupied sites, with whole numbers in the smallest possible cell."""
        size, counts = next(sizes_with_whole_numbers(self.sites, self.charges, None, max_atoms, *HOST_TOLERANCES))
        copies = prod(size)
        for orbit in sorted({orbit for orbit, _ in counts}):
            members = tuple(int(index) for index in self.sites.members(orbit))
            amounts = {name: Fraction(n, copies) for (of, name), n in counts.items() if of == orbit}
            label = next((name for name in self.names[members[0]]), self.structure[members[0]].species_string)
            self.disordered.add(self._add(label, members, amounts))
        wanted = self.structure.composition.get_el_amt_dict()
        reached = self.amounts()
        if changed := [name for name in wanted if abs(float(reached[name]) - wanted[name]) > 1e-3]:
            text = ', '.join(f'{float(reached[name]):g} {name} instead of {wanted[name]:.4g}' for name in changed)
            notes.append(f'the cell of the host contains {text}, whole numbers that are neutral')

    def _add(self, name: str, members: tuple[int, ...], amounts: Amounts) -> int:
        self.pools.append(_Pool(name, members, amounts))
        self.pool_of |= dict.fromkeys(members, len(self.pools) - 1)
        return len(self.pools) - 1

    def amounts(self) -> Amounts:
        """Return the number of atoms of each element per unit cell."""
        total: Amounts = {}
        for index, site in enumerate(self.structure):
            if index not in self.pool_of:
                total[site.specie.symbol] = total.get(site.specie.symbol, Fraction(0)) + 1
        for pool in self.pools:
            for name, amount in pool.amounts.items():
                total[name] = total.get(name, Fraction(0)) + amount
        return total

    def select(self, name: str) -> _Selection:
        """Return a sublattice with its pools, which are made.

        :raises ValueError: if the name means nothing, or its sites are a part of those of another name.
        """
        try:
            found = find_sublattice(self.structure, name, self.names)
        except ValueError as error:
            raise ValueError(f'dope: {error}') from None
        ordered = tuple(index for index in found.sites if self.structure[index].is_ordered)
        if ordered:
            known = {self.pool_of[index] for index in ordered if index in self.pool_of}
            if not known:
                species: Amounts = {}
                for index in ordered:
                    symbol = self.structure[index].specie.symbol
                    species[symbol] = species.get(symbol, Fraction(0)) + 1
                self._add(name, ordered, species)
            elif len(known) > 1 or self.pools[min(known)].members != ordered:
                other = self.pools[min(known)].name
                raise ValueError(f'dope: the sublattices {name} and {other} share some of their sites: name others.')
        pools = tuple(sorted({self.pool_of[index] for index in found.sites}))
        return _Selection(found, pools)

    def add_places(self, ion: str, places: NDArray[np.float64]) -> int:
        """Return the number of a new pool of empty places for interstitials.

        :param ion: chemical symbol.
        :param places: fractional coordinates, (n, 3).
        """
        count = len(self.structure)
        species = [site.species for site in self.structure] + [{ion: 0.5}] * len(places)
        labels = [site.label for site in self.structure] + ['interstitial'] * len(places)
        coords = np.concatenate([self.structure.frac_coords, places])
        self.structure = Structure(self.structure.lattice, species, coords, labels=labels)
        self.names += [('interstitial',)] * len(places)
        return self._add('interstitial', tuple(range(count, count + len(places))), {})


@dataclass(frozen=True)
class _Selection:
    """A sublattice and the pools with its sites."""

    sublattice: Sublattice
    pools: tuple[int, ...]


Contents = list[dict[str, int]]
"""Number of atoms of each element on each pool of a supercell."""


class _InexactError(ValueError):
    """A number of atoms is not whole."""


class _Changes:
    """What is asked of a host, as numbers of atoms of a supercell."""

    def __init__(
        self,
        host: _Host,
        substitute: Sequence[str],
        exchange: Sequence[str],
        insert: Sequence[str],
        compensate: str | None,
        places: Sequence[Sequence[float]],
    ):
        if not (substitute or exchange or insert):
            raise ValueError('dope: give a substitution such as S=Cl:0.025, an exchange or an insertion.')
        self.host, self.charges = host, dict(host.charges)
        self.substitutions = [self._read_substitution(text) for text in substitute]
        self.exchanges = [self._read_exchange(text) for text in exchange]
        insertions = [self._read_insertion(text) for text in insert]
        self.kind = ''
        self.balance = None if compensate is None else self._read_compensation(compensate)
        self.places = [np.asarray(place, dtype=float) for place in places]
        if any(place.shape != (3,) or not np.isfinite(place).all() for place in self.places):
            raise ValueError('dope: each place of an interstitial should be three fractional coordinates.')
        self.void: int | None = None
        self.insertions = [(self._void(name), name, amount) for name, amount in insertions]
        #: Amounts that were rounded, by the text of what was asked for.
        self.rounded: dict[str, tuple[Fraction, Fraction]] = {}

    def _read_substitution(self, text: str) -> tuple[_Selection, str, str, _Amount]:
        name, dopant, amount = _parted(text, '=:', 'S=Cl:0.025')
        selection = self.host.select(name)
        if len(selection.sublattice.elements) > 1:
            held = selection.sublattice.elements
            raise ValueError(f'dope: {name} holds {", ".join(held)}: name one of them, {held[0]}@{name}.')
        [element] = selection.sublattice.elements
        if element == _element(dopant, text):
            raise ValueError(f'dope: {text} replaces {element} by itself.')
        self._add_charge(dopant, self.charges[element])
        return selection, element, dopant, _Amount.read(amount, text)

    def _read_exchange(self, text: str) -> tuple[_Selection, _Selection, _Amount]:
        first, second, amount = _parted(text, ':=', '4a:4c=0.5')
        one, other = self.host.select(first), self.host.select(second)
        if len(one.pools) > 1 or len(other.pools) > 1 or one.pools == other.pools:
            raise ValueError(f'dope: {text} should name two different sets of sites, each by its position as in S@4c.')
        return one, other, _Amount.read(amount, text)

    def _read_insertion(self, text: str) -> tuple[str, _Amount]:
        name, amount = _parted(text, '=', 'P=9')
        if _element(name, text) not in self.charges and name not in self.host.given:
            raise ValueError(f'dope: {text}: give the charge of {name}, which the host does not contain.')
        self._add_charge(name, 0.0)
        return name, _Amount.read(amount, text)

    def _read_compensation(self, text: str) -> _Selection:
        name, _, self.kind = text.partition(':')
        if self.kind not in ('', 'vacancies', 'interstitials'):
            raise ValueError(f'dope: {text!r} should have the form K, K:vacancies or K:interstitials.')
        found = self.host.select(name.strip())
        elements = found.sublattice.elements
        if len(elements) > 1:
            raise ValueError(f'dope: {name} holds {", ".join(elements)}: name the ion that compensates.')
        if not self.charges[elements[0]]:
            raise ValueError(f'dope: {elements[0]} has no charge: give one, or leave out the compensation.')
        return found

    def _add_charge(self, name: str, replaced: float) -> None:
        if name in self.charges:
            return
        if name in self.host.given:
            self.charges[name] = float(self.host.given[name])
        elif not replaced:
            self.charges[name] = 0.0
        else:
            self.charges[name] = substituent_charge(name, replaced)

    def _void(self, ion: str) -> int:
        """Return the number of a new pool of places for interstitials of an ion.

        :raises ValueError: if there is no room.
        """
        sites = self.host.sites
        if self.places:
            return self.host.add_places(ion, np.concatenate([symmetric_places(sites, place) for place in self.places]))
        found = roomiest_places(sites, ion, self.charges)
        if found is None:
            raise ValueError(
                f'dope: there is no room for an interstitial {ion} between the atoms: give places for it, or '
                'compensate by vacancies.'
            )
        return self.host.add_places(ion, found)

    def counts(self, copies: int, nearest: bool = False) -> tuple[Contents, Contents]:
        """Return the atoms on each pool of the host and of the doped crystal.

        :param copies: number of unit cells.
        :param nearest: whether numbers of dopants are rounded, which :attr:`rounded` tells.
        :raises _InexactError: if a number is not whole.
        :raises ValueError: if there are fewer atoms or places than asked for, or the charge is not compensated.
        """
        self.rounded = {}
        before = [
            {name: self._whole(amount * copies, f'{name} of the host', False) for name, amount in pool.amounts.items()}
            for pool in self.host.pools
        ]
        after = [dict(each) for each in before]
        for selection, element, dopant, amount in self.substitutions:
            self._substitute(before, after, selection, element, dopant, amount, nearest)
        for one, other, amount in self.exchanges:
            self._exchange(after, one, other, amount, nearest)
        for pool, element, amount in self.insertions:
            places = len(self.host.pools[pool].members) * copies
            what = f'{element}={amount.text}'
            number = self._whole(amount.atoms(places), what, nearest, places)
            if sum(after[pool].values()) + number > places:
                raise ValueError(f'dope: {what} asks for more interstitials than the {places} places of the cell.')
            _move(after[pool], element, number)
        self._compensate(before, after, copies)
        return before, after

    def _whole(self, value: Fraction, what: str, nearest: bool, of: int = 1) -> int:
        """Return a number of atoms, or the nearest.

        :raises _InexactError: if it is not whole and should not be rounded.
        """
        if value.denominator == 1:
            return int(value)
        if not nearest:
            raise _InexactError(what)
        number = max(1, round(value))
        self.rounded[what] = (Fraction(number, of), value / of)
        return number

    def _substitute(
        self,
        before: Contents,
        after: Contents,
        selection: _Selection,
        element: str,
        dopant: str,
        amount: _Amount,
        nearest: bool,
    ) -> None:
        held = [(pool, before[pool].get(element, 0)) for pool in selection.pools]
        left = [(pool, after[pool].get(element, 0)) for pool in selection.pools]
        total = sum(n for _, n in held)
        what = f'{selection.sublattice.name}={dopant}:{amount.text}'
        number = self._whole(amount.atoms(total), what, nearest, total)
        if number > sum(n for _, n in left):
            raise ValueError(f'dope: {what} asks for more {element} than the {sum(n for _, n in left)} in the cell.')
        for pool, n in _shared(number, left):
            _move(after[pool], element, -n)
            _move(after[pool], dopant, n)

    def _exchange(self, after: Contents, one: _Selection, other: _Selection, amount: _Amount, nearest: bool) -> None:
        """Exchange atoms of two pools, each element by its share."""
        what = f'{one.sublattice.name}:{other.sublattice.name}={amount.text}'
        pools = [after[selection.pools[0]] for selection in (one, other)]
        held = [
            {name: n for name, n in pool.items() if selection.sublattice.element in (None, name)}
            for pool, selection in zip(pools, (one, other), strict=True)
        ]
        totals = [sum(each.values()) for each in held]
        number = self._whole(amount.atoms(min(totals)), what, nearest, min(totals))
        if number > min(totals):
            raise ValueError(f'dope: {what} asks for more atoms than the {min(totals)} of the smaller sublattice.')
        moved = [_shared(number, list(each.items())) for each in held]
        if not nearest:
            for each, total, shares in zip(held, totals, moved, strict=True):
                if any(Fraction(number * each[name], total) != n for name, n in shares):
                    raise _InexactError(what)
        for giver, taker, shares in ((pools[0], pools[1], moved[0]), (pools[1], pools[0], moved[1])):
            for name, n in shares:
                _move(giver, name, -n)
                _move(taker, name, n)

    def _compensate(self, before: Contents, after: Contents, copies: int) -> None:
        """Add vacancies or interstitials until the cell is as neutral as the host.

        :raises _InexactError: if no whole number makes it so.
        :raises ValueError: if the charge has the wrong sign, or atoms or places do not suffice.
        """
        excess = self._charge(after) - self._charge(before)
        if not excess:
            return
        found = f'the dopants leave a charge of {float(excess):+g} in the cell with {stated(self.charges)}'
        if self.balance is None:
            ions = [name for name in self.host.charges if name in ALKALI] or list(self.host.charges)
            raise ValueError(f'dope: {found}: compensate it, for example by {ions[0]}.')
        [ion] = self.balance.sublattice.elements
        number = excess / _exact(self.charges[ion])
        if number.denominator != 1:
            raise _InexactError(f'{ion} that compensates')
        if number > 0:
            self._remove(after, ion, int(number), found)
        else:
            self._add(before, after, ion, -int(number), copies, found)

    def _remove(self, after: Contents, ion: str, number: int, found: str) -> None:
        """Make vacancies."""
        assert self.balance is not None, 'Only called with an ion'
        held = [(pool, after[pool].get(ion, 0)) for pool in self.balance.pools]
        total = sum(n for _, n in held)
        if self.kind == 'interstitials':
            raise ValueError(f'dope: {found}, which interstitial {ion} would increase: compensate by vacancies.')
        if number > total:
            raise ValueError(f'dope: {found}, which asks for {number} vacancies among {total} {ion}: dope less.')
        for pool, n in _shared(number, held):
            _move(after[pool], ion, -n)

    def _add(self, before: Contents, after: Contents, ion: str, number: int, copies: int, found: str) -> None:
        """Make interstitials, on free sites of the ion if the host has some."""
        assert self.balance is not None, 'Only called with an ion'
        if self.kind == 'vacancies':
            raise ValueError(f'dope: {found}, which vacancies of {ion} would increase: compensate by interstitials.')
        host = self.host
        free = [
            (pool, len(host.pools[pool].members) * copies - sum(after[pool].values()))
            for pool in self.balance.pools
            if pool in host.disordered
        ]
        if self.places or number > sum(n for _, n in free):
            if self.void is None:
                self.void = self._void(ion)
            for each in (before, after):
                each += [{}] * (len(host.pools) - len(each))
            free = [(self.void, len(host.pools[self.void].members) * copies)]
        if number > free[0][1] and len(free) == 1:
            raise ValueError(f'dope: {found}, which asks for {number} interstitials on {free[0][1]} places: dope less.')
        for pool, n in _shared(number, free):
            _move(after[pool], ion, n)

    def _charge(self, contents: Contents) -> Fraction:
        return sum((_exact(self.charges[name]) * n for each in contents for name, n in each.items()), Fraction(0))


def _exact(charge: float) -> Fraction:
    """Return a charge without the error of its representation."""
    return Fraction(charge).limit_denominator(1000)


def _move(contents: dict[str, int], name: str, number: int) -> None:
    """Add atoms of an element, or remove them."""
    contents[name] = contents.get(name, 0) + number
    if not contents[name]:
        del contents[name]


def _shared(number: int, held: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """Return shares of a number, as close to the weights as whole numbers can be and none above its weight.

    :param number: at most the sum of the weights.
    :param held: keys and weights.
    """
    total = max(1, sum(weight for _, weight in held))
    exact = [Fraction(number * weight, total) for _, weight in held]
    shares = [int(each) for each in exact]
    order = sorted(range(len(held)), key=lambda index: (shares[index] - exact[index], index))
    for index in order[: number - sum(shares)]:
        shares[index] += 1
    return [(key, share) for (key, _), share in zip(held, shares, strict=True)]


# The cell.


def _smallest_size(
    host: _Host, changes: _Changes, repeats: Sequence[int] | None, max_atoms: int
) -> tuple[Size, tuple[Contents, Contents]]:
    """Return the smallest size with whole numbers, and the atoms on each pool of the host and of the doped crystal.

    :raises ValueError: if there is none, with the amounts that are exact.
    """
    try:
        sizes = possible_sizes(host.crystal, repeats, max_atoms)
    except ValueError as error:
        raise ValueError(str(error).replace('order:', 'dope:', 1)) from None
    inexact = ''
    for size in sizes:
        try:
            return size, changes.counts(prod(size))
        except _InexactError as error:
            inexact = inexact or str(error)
    within = f'the {"x".join(map(str, sizes[0]))} cell' if repeats else f'any compact cell of up to {max_atoms} atoms'
    raise ValueError(
        f'dope: {inexact} is not a whole number of atoms in {within}. {_exact_cells(host, changes)}'
        f'{_nearest(changes, sizes)}'
    )


def _exact_cells(host: _Host, changes: _Changes) -> str:
    """Return which numbers of unit cells are exact."""
    for copies in range(1, NAMED):
        try:
            changes.counts(copies)
        except _InexactError:
            continue
        except ValueError:
            break
        atoms = float(sum(host.amounts().values()))
        return (
            f'{copies} unit cells ({copies * atoms:.0f} atoms of the host) are the fewest: give their repetitions, or '
            'raise the number of atoms. '
        )
    return ''


def _nearest(changes: _Changes, sizes: Sequence[Size]) -> str:
    """Return the amounts closest to those asked for that are exact in one of the sizes."""
    best: tuple[Fraction, str] | None = None
    for size in sizes:
        try:
            changes.counts(prod(size), nearest=True)
        except ValueError:
            continue
        off = max((abs(near / asked - 1) for near, asked in changes.rounded.values()), default=Fraction(0))
        if best is None or off < best[0]:
            near = ', '.join(f'{near} instead of {what}' for what, (near, _) in changes.rounded.items())
            best = off, f'{near} in {"x".join(map(str, size))}'
    return f'Within the limits, exact is {best[1]}.' if best is not None else ''


def _plan(
    host: _Host,
    changes: _Changes,
    size: Size,
    contents: tuple[Contents, Contents],
    composition: str | None,
    symprec: float,
    notes: list[str],
) -> Plan:
    """Return the plan of a size.

    :raises ValueError: if the composition is not the one asked for.
    """
    before, after = contents
    copies, structure = prod(size), host.structure
    totals: dict[str, int] = {}
    for index, site in enumerate(structure):
        if index not in host.pool_of:
            _move(totals, site.specie.symbol, copies)
    occupancies = []
    for number, pool in enumerate(host.pools):
        for name, n in after[number].items():
            _move(totals, name, n)
        if before[number] != after[number] or number in host.disordered:
            occupancies.append(Occupancy(pool.name, len(pool.members) * copies, before[number], after[number]))
    charges = {name: changes.charges[name] for name in totals}
    charge = sum(charges[name] * n for name, n in totals.items())
    if composition is not None:
        _check_composition(totals, composition)
    mobile = sorted({name for number in host.disordered for name in after[number] if name in ALKALI})
    sites, counts = _doped_sites(host, after, copies, symprec, notes)
    return Plan(
        size,
        tuple(occupancies),
        totals,
        charges,
        round(float(charge), 6) + 0.0,
        tuple(notes),
        sites,
        counts,
        tuple(mobile) if any(charges.values()) else (),
    )


def _check_composition(totals: Mapping[str, int], asked: str) -> None:
    """Refuse a composition that is not the one asked for.

    :raises ValueError: with both, for one formula unit.
    """
    try:
        wanted = {name: _exact(n) for name, n in Composition(asked).get_el_amt_dict().items()}
    except ValueError:
        raise ValueError(f'dope: {asked!r} is no chemical formula.') from None
    units = Fraction(sum(totals.values())) / sum(wanted.values())
    reached = {name: Fraction(n) / units for name, n in totals.items()}
    if reached != wanted:
        order = [*(name for name in wanted if name in reached), *(name for name in reached if name not in wanted)]
        shown = ' '.join(f'{name}{float(reached[name]):.5g}' for name in order)
        raise ValueError(f'dope: the request leads to {shown}, not to {asked}: correct one of the two.')


def _doped_sites(
    host: _Host, after: Contents, copies: int, symprec: float, notes: list[str]
) -> tuple[Sites, dict[tuple[int, str], int]]:
    """Return the unit cell with the mean occupancies of the doped crystal, and the atoms by number of pool."""
    structure = host.structure
    species, kept, kinds = [], [], []
    names: dict[Any, int] = {number: number for number in range(len(host.pools))}
    for index, site in enumerate(structure):
        number = host.pool_of.get(index)
        if number is None:
            species.append(site.species.as_dict())
            kinds.append(names.setdefault(site.species_string, len(names)))
        elif after[number]:
            room = len(host.pools[number].members) * copies
            species.append({name: n / room for name, n in after[number].items()})
            kinds.append(number)
        else:
            continue
        kept.append(index)
    cell = Structure(structure.lattice, species, structure.frac_coords[kept])
    data = spglib.get_symmetry((cell.lattice.matrix, cell.frac_coords, kinds), symprec=symprec)
    if data is None:
        notes.append(f'the symmetry cannot be determined within {symprec} A and is not used')
        data = {'rotations': np.eye(3, dtype=int)[None], 'translations': np.zeros((1, 3))}
    rotations, translations = np.asarray(data['rotations'], dtype=np.int64), np.asarray(data['translations'])
    # Numbers without gaps, since each number stands for some sites.
    dense = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    orbit = np.array([dense[kind] for kind in kinds])
    counts = {(dense[number], name): n for number, each in enumerate(after) for name, n in each.items()}
    return Sites(cell, orbit, rotations, translations, ()), counts


def _check(cell: Structure, plan: Plan) -> None:
    """Refuse a doped cell that is not what was planned.

    :raises ValueError: if it differs in composition, in charge, or in atoms that overlap.
    """
    reached: dict[str, int] = {}
    for symbol in symbols_of(cell):
        reached[symbol] = reached.get(symbol, 0) + 1
    charge = sum(plan.charges[name] * n for name, n in reached.items())
    overlap = find_overlap(symbols_of(cell), cell.lattice.matrix, cell.cart_coords)
    if reached != plan.composition or abs(charge) > NEUTRAL or overlap:
        raise ValueError(
            f'dope: a cell of {Composition(reached).formula} with the charge {charge:+g} was made instead of '
            f'{plan.formula}{f"; {overlap}" if overlap else ""}: please report this.'
        )
