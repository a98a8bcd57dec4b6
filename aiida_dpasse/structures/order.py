"""Ordered cells of a disordered crystal.

The numbers of atoms are whole, close to the occupancies, and neutral (integer linear programming). Among the
arrangements of these atoms on the sites, those without overlapping atoms are drawn at random or by their electrostatic
energy, by exchanging occupants of equivalent sites at a decreasing temperature (Kirkpatrick et al., Science 220, 671,
1983). Arrangements that a symmetry operation of the crystal maps onto each other are one cell, and their number is its
degeneracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Lattice, Structure
from pymatgen.core.ewald import EwaldSummation
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError
from scipy.optimize import Bounds, LinearConstraint, milp

from aiida_dpasse.structures.charges import charges_of, stated
from aiida_dpasse.structures.overlap import OVERLAP, covalent_radius, find_overlap, least_distances
from aiida_dpasse.structures.supercell import compact_repetitions

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

METHODS = ('electrostatics', 'random')
#: Atoms are kept apart by this fraction of the sum of their radii, as far as the occupancies allow: 1.9 A for Li and
#: Li, 2.1 A for O and O.
APART = 0.75
#: Energies in eV of two atoms at one position, and of two that overlap.
REPULSION, EXCLUSION = 1e3, 1e6
#: Highest and lowest temperature of the annealing as energies in eV, by method, and trial exchanges per site.
TEMPERATURES = {'electrostatics': (3.0, 0.03), 'random': (30.0, 0.01)}
TRIALS = 400
#: Sum of the occupancies of mutually overlapping sites up to which it is an error of one atom.
CROWDED = 1.1
#: Largest charge of a neutral cell: mean charges of mixed valence have few digits.
NEUTRAL = 0.05
#: Largest ratio of the distances between opposite faces of a cell, if that of the crystal is not larger.
ELONGATED = 3.0
#: Draws for each cell that is wanted, beside a few more.
DRAWS = 3
#: Exchanges that are examined of each cell of low energy, for each cell that is wanted.
EXCHANGES = 20
#: Accuracy of the Ewald sum in decimal digits.
DIGITS = 8.0


@dataclass(frozen=True)
class OrderedCell:
    """One arrangement of the atoms.

    :param structure: the ordered cell, atoms grouped by element.
    :param energy: electrostatic energy of the formal charges in eV, None if they are not known.
    :param degeneracy: number of arrangements that the symmetry of the crystal maps onto each other.
    :param weight: share of this cell in means over all cells of the ordering.
    """

    structure: Structure
    energy: float | None
    degeneracy: int
    weight: float


@dataclass(frozen=True)
class SiteOccupancy:
    """Occupancy of equivalent sites by one element.

    :param label: label of the site in the file.
    :param element: its element.
    :param sites: number of equivalent sites in the cell.
    :param occupancy: in the file.
    :param atoms: number of atoms in each ordered cell.
    """

    label: str
    element: str
    sites: int
    occupancy: float
    atoms: int


@dataclass(frozen=True)
class Ordering:
    """Ordered cells of one disordered crystal.

    :param cells: the cells, of lowest energy first if it is known.
    :param repeats: three repetitions of the cell of the file.
    :param occupancies: of the partially occupied sites.
    :param charges: charge of each element, empty if not known.
    :param notes: what the user should know, one sentence each.
    """

    cells: tuple[OrderedCell, ...]
    repeats: tuple[int, int, int]
    occupancies: tuple[SiteOccupancy, ...]
    charges: dict[str, float]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the structures: energies in eV, degeneracies, weights, occupancies, charges, notes."""
        return {
            'repeats': list(self.repeats),
            'energies_eV': [cell.energy for cell in self.cells],
            'degeneracies': [cell.degeneracy for cell in self.cells],
            'weights': [cell.weight for cell in self.cells],
            'occupancies': [asdict(each) for each in self.occupancies],
            'charges': self.charges,
            'notes': list(self.notes),
        }


@dataclass(frozen=True)
class _Sites:
    """Sites of the unit cell.

    :param structure: the disordered crystal.
    :param orbit: number of the set of equivalent sites of each site, (sites,).
    :param rotations: of the symmetry operations, fractional, (operations, 3, 3).
    :param translations: likewise, (operations, 3).
    :param alternatives: orbits whose sites are groups of which one at most is occupied, as the halves of a split site,
        and the number of groups.
    """

    structure: Structure
    orbit: Indices
    rotations: Indices
    translations: Array
    alternatives: tuple[tuple[frozenset[int], int], ...]

    def members(self, orbit: int) -> Indices:
        """Return the indices of the sites of an orbit."""
        return np.flatnonzero(self.orbit == orbit)


def order_crystal(
    structure: Structure,
    cells: int = 1,
    seed: int = 1,
    *,
    method: str = 'electrostatics',
    repeats: Sequence[int] | None = None,
    max_atoms: int = 400,
    tolerance: float = 0.1,
    site_tolerance: float = 0.15,
    charges: Mapping[str, float] | None = None,
    symprec: float = 0.01,
    mobile: Sequence[str] = (),
) -> Ordering:
    """Return ordered cells of a disordered crystal, which differ by symmetry.

    The size is the smallest number of repetitions of the given cell, of compact shape, at which whole numbers of atoms
    are neutral and within both tolerances. An ordered crystal gives itself.

    :param structure: crystal with partial occupancies, without oxidation states.
    :param cells: number of cells; fewer are returned, with a note, if there are no more.
    :param seed: of the random numbers.
    :param method: 'electrostatics': cells of low energy of the formal charges; 'random': a random sample of all
        arrangements whose atoms are as far apart as the occupancies allow.
    :param repeats: three repetitions, instead of the smallest possible.
    :param max_atoms: largest number of atoms of a cell.
    :param tolerance: largest relative deviation of the amount of an element from that in the crystal.
    :param site_tolerance: largest deviation of the occupancy of a site.
    :param charges: charge of each element; by default the usual oxidation states that make the crystal neutral.
    :param symprec: tolerance in A of the symmetry.
    :param mobile: elements that are not drawn at random by 'random': each arrangement of the others is completed by
        their arrangement of low electrostatic energy.
    :raises ValueError: in one sentence, for parameters out of range, fully occupied sites that overlap, charges that do
        not balance, or if no size is within the tolerances or no arrangement keeps the atoms apart.
    """
    if cells < 1 or max_atoms < 1 or not 0 <= tolerance < 1 or not 0 <= site_tolerance <= 1 or not symprec > 0:
        raise ValueError(
            'order: `cells` and `max_atoms` should be 1 or more, `tolerance` and `site_tolerance` between 0 and 1 and '
            f'`symprec` positive, got {cells}, {max_atoms}, {tolerance}, {site_tolerance} and {symprec}.'
        )
    if method not in METHODS:
        raise ValueError(f'order: the method is one of {", ".join(METHODS)}, got {method!r}.')
    if len(structure) == 0:
        raise ValueError('order: the crystal contains no atoms.')
    full = [index for index, site in enumerate(structure) if site.is_ordered]
    ordered = structure.from_sites([structure[index] for index in full]) if full else None
    if ordered is not None and (overlap := find_overlap(symbols_of(ordered), *_cartesian(ordered))):
        raise ValueError(f'order: fully occupied sites overlap: {overlap}; correct their positions or occupancies.')
    if structure.is_ordered:
        return _already_ordered(structure, charges_of(structure, charges, required=False), repeats)
    known = charges_of(structure, charges)
    if not any(known.values()) and (method == 'electrostatics' or mobile):
        raise ValueError("order: without charges there is no electrostatic energy: use 'random' without `mobile`.")
    if lacking := sorted(set(mobile) - set(known)):
        raise ValueError(f'order: the crystal holds no {", ".join(lacking)}: correct `mobile`.')
    notes: list[str] = []
    sites = _find_symmetry(structure, symprec, known, notes)
    for size, counts in _sizes(sites, known, repeats, max_atoms, tolerance, site_tolerance):
        arrangement = _Arrangements(sites, size, counts, known, method, tuple(mobile))
        found = arrangement.draw(cells, seed)
        if found:
            break
    else:
        raise ValueError(
            f'order: the occupancies put atoms too close to each other in every arrangement of up to {max_atoms} '
            'atoms: correct them, or raise the number of atoms or the tolerance of the sites.'
        )
    if len(found) < cells:
        notes.append(f'{len(found)} cells of {cells} differ by symmetry: ask for a larger size to have more')
    return Ordering(tuple(found), size, tuple(_occupancies(sites, size, counts)), known, tuple(notes))


def symbols_of(structure: Structure) -> list[str]:
    """Return the element of each site of an ordered structure."""
    return [site.specie.symbol for site in structure]


def _cartesian(structure: Structure) -> tuple[Array, Array]:
    return np.asarray(structure.lattice.matrix), np.asarray(structure.cart_coords)


def _already_ordered(structure: Structure, charges: dict[str, float], repeats: Sequence[int] | None) -> Ordering:
    size = _checked_repeats(repeats) or (1, 1, 1)
    cell = _sorted(structure.make_supercell(size, in_place=False))
    return Ordering((OrderedCell(cell, None, 1, 1.0),), size, (), charges, ())


def _find_symmetry(structure: Structure, symprec: float, charges: Mapping[str, float], notes: list[str]) -> _Sites:
    """Return the sites with their symmetry; without it, if it cannot be determined, by their labels."""
    try:
        data = SpacegroupAnalyzer(structure, symprec).get_symmetry_dataset()
        kinds, rotations, translations = data.equivalent_atoms, data.rotations, data.translations
        keys = [(int(kind), site.species_string) for kind, site in zip(kinds, structure, strict=True)]
    except (SymmetryUndeterminedError, AttributeError, TypeError, ValueError):
        notes.append(f'the symmetry cannot be determined within {symprec} A and is not used')
        keys = [(site.label, site.species_string) for site in structure]
        rotations, translations = np.eye(3, dtype=int)[None], np.zeros((1, 3))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    orbit = np.array([numbers[key] for key in keys])
    operations = np.asarray(rotations, dtype=np.int64), np.asarray(translations, dtype=float)
    return _Sites(structure, orbit, *operations, _alternatives(structure, orbit, charges))


def _alternatives(
    structure: Structure, orbit: Indices, charges: Mapping[str, float]
) -> tuple[tuple[frozenset[int], int], ...]:
    """Return orbits that form groups of mutually overlapping sites, with the number of groups."""
    partial = np.flatnonzero([not site.is_ordered for site in structure])
    elements = sorted(charges)
    reach = _least(elements, _radii(elements, charges))
    held = [tuple(elements.index(element.symbol) for element in structure[int(i)].species) for i in partial]
    kinds = list(dict.fromkeys(held))
    kind_of = np.array([kinds.index(each) for each in held])
    apart = structure.lattice.get_all_distances(structure.frac_coords[partial], structure.frac_coords[partial])
    nearest = np.array([[reach[np.ix_(one, other)].min() for other in kinds] for one in kinds])
    touching = apart < nearest[np.ix_(kind_of, kind_of)]
    groups: dict[frozenset[int], set[tuple[int, ...]]] = {}
    for row in touching:
        members = np.flatnonzero(row)
        complete = bool(touching[np.ix_(members, members)].all()) and not touching[members].sum() > len(members) ** 2
        # More than one atom at mutually overlapping sites is what the file demands.
        complete &= sum(structure[int(partial[member])].species.num_atoms for member in members) < CROWDED
        kind = frozenset(int(orbit[partial[member]]) for member in members)
        groups.setdefault(kind, set()).add(tuple(members) if complete else ())
    found = []
    for kind, each in groups.items():
        size = sum(len(members) for members in each)
        # The groups of other orbits, and those that are chains, have no such number.
        if () not in each and size == int(np.isin(orbit, list(kind)).sum()) and max(map(len, each)) > 1:
            found.append((kind, len(each)))
    return tuple(found)


# Whole numbers of atoms.


def _checked_repeats(repeats: Sequence[int] | None) -> tuple[int, int, int] | None:
    if repeats is None:
        return None
    if len(repeats) != 3 or any(int(number) != number or number < 1 for number in repeats):
        raise ValueError(f'order: give three repetitions of 1 or more, got {list(repeats)}.')
    first, second, third = (int(number) for number in repeats)
    return first, second, third


Counts = dict[tuple[int, str], int]
"""Number of atoms by orbit and element."""
Found = tuple[float, Indices, int]
"""Energy in eV, arrangement and degeneracy."""


def _sizes(
    sites: _Sites,
    charges: dict[str, float],
    repeats: Sequence[int] | None,
    max_atoms: int,
    tolerance: float,
    site_tolerance: float,
) -> Iterator[tuple[tuple[int, int, int], Counts]]:
    """Yield the sizes within the tolerances, smallest first, with the numbers of atoms.

    :raises ValueError: if there is none.
    """
    atoms = sites.structure.composition.num_atoms
    given = _checked_repeats(repeats)
    sizes = (
        [given]
        if given
        else compact_repetitions(sites.structure.lattice.matrix, max(1, int(max_atoms / atoms)), ELONGATED)
    )
    if atoms * (prod(given) if given else 1) > 1.001 * max_atoms:
        cell = f'the {"x".join(map(str, given))} cell' if given else 'the unit cell'
        raise ValueError(
            f'order: {cell} contains {atoms * (prod(given) if given else 1):.0f} atoms, more than the {max_atoms} '
            'allowed: raise the number of atoms.'
        )
    found, nearest = False, None
    for size in sizes:
        counts = _whole_numbers(sites, prod(size), charges, tolerance, site_tolerance)
        if counts is not None:
            found = True
            yield size, counts
            continue
        if found:
            continue
        relaxed = _whole_numbers(sites, prod(size), charges, None, None)
        if relaxed is not None:
            off = _deviations(sites, prod(size), relaxed)
            excess = max(off[0] / max(tolerance, 1e-6), off[2] / max(site_tolerance, 1e-6))
            if nearest is None or excess < nearest[0]:
                nearest = (excess, size, off)
    if found:
        return
    total = sum(charges[name] * amount for name, amount in sites.structure.composition.get_el_amt_dict().items())
    total = round(total, 2) + 0.0
    sum_of_charges = f'the occupancies of the file sum to a charge of {total:+g} with {stated(charges)}'
    if nearest is None:
        raise ValueError(
            f'order: no cell of up to {max_atoms} atoms is neutral; {sum_of_charges}: correct the occupancies or give '
            'other charges.'
        )
    _, size, (element, name, site) = nearest
    raise ValueError(
        f'order: no cell of up to {max_atoms} atoms has whole numbers of atoms within the tolerance {tolerance:g} of '
        f'the elements and {site_tolerance:g} of the sites: the nearest, {"x".join(map(str, size))}, needs '
        f'{np.ceil(1000 * element) / 1000:g} (for {name}) and {np.ceil(1000 * site) / 1000:g}; {sum_of_charges}. Raise '
        'the tolerances or the number of atoms.'
    )


def _partial(sites: _Sites) -> Iterator[tuple[int, Indices, dict[str, float]]]:
    """Yield number, sites and occupancies by element of each partially occupied orbit."""
    for orbit in range(int(sites.orbit.max()) + 1):
        members = sites.members(orbit)
        site = sites.structure[int(members[0])]
        if not site.is_ordered:
            yield orbit, members, {element.symbol: float(x) for element, x in site.species.items()}


def _whole_numbers(
    sites: _Sites, copies: int, charges: dict[str, float], tolerance: float | None, site_tolerance: float | None
) -> Counts | None:
    """Return the numbers of atoms closest to the occupancies, None if there are none within the tolerances.

    The amounts of the elements count ten times as much as the occupancies of the sites.

    :param sites: sites of the unit cell.
    :param copies: number of unit cells.
    :param charges: charge by element; empty if it is not considered.
    :param tolerance: relative deviation of the amount of an element; None for any.
    :param site_tolerance: deviation of an occupancy; None for any.
    """
    partial = list(_partial(sites))
    keys = [(orbit, name) for orbit, _, species in partial for name in species]
    room = {orbit: len(members) * copies for orbit, members, _ in partial}
    target = np.array([species[name] * room[orbit] for orbit, _, species in partial for name in species])
    amounts = sites.structure.composition.get_el_amt_dict()
    names = sorted({name for _, name in keys})
    n, m = len(keys), len(names)
    # Variables: numbers of atoms, their deviations, deviations of the elements.
    lower, upper = np.zeros(2 * n + m), np.full(2 * n + m, np.inf)
    upper[:n] = [room[orbit] for orbit, _ in keys]
    if site_tolerance is not None:
        reach = site_tolerance * upper[:n] + 1e-9
        lower[:n] = np.maximum(0, np.ceil(target - reach))
        upper[:n] = np.minimum(upper[:n], np.floor(target + reach))
    fixed = {name: copies * amounts[name] - sum(target[i] for i in range(n) if keys[i][1] == name) for name in amounts}
    rows, low, high = [], [], []

    def add(entries: Mapping[int, float], least: float, most: float) -> None:
        row = np.zeros(2 * n + m)
        for index, value in entries.items():
            row[index] = value
        rows.append(row)
        low.append(least)
        high.append(most)

    for i in range(n):
        add({i: 1, n + i: -1}, -np.inf, target[i])
        add({i: 1, n + i: 1}, target[i], np.inf)
    for k, name in enumerate(names):
        of_element: dict[int, float] = {i: 1.0 for i in range(n) if keys[i][1] == name}
        total = copies * amounts[name] - fixed[name]
        add({**of_element, 2 * n + k: -1}, -np.inf, total)
        add({**of_element, 2 * n + k: 1}, total, np.inf)
        if tolerance is not None:
            upper[2 * n + k] = tolerance * copies * amounts[name] + 1e-6
    for orbit, _, species in partial:
        filled = sum(species.values()) > 1 - 1e-3
        add({i: 1 for i in range(n) if keys[i][0] == orbit}, room[orbit] if filled else 0, room[orbit])
    for orbits, number in sites.alternatives:
        add({i: 1 for i in range(n) if keys[i][0] in orbits}, 0, number * copies)
    if any(charges.values()):
        net = sum(charges[name] * amount for name, amount in fixed.items())
        add({i: charges[name] for i, (_, name) in enumerate(keys)}, -net - NEUTRAL, -net + NEUTRAL)
    if np.any(lower > upper):
        return None
    solution = milp(
        np.concatenate([np.zeros(n), np.ones(n), np.full(m, 10.0)]),
        integrality=np.concatenate([np.ones(n), np.zeros(n + m)]),
        bounds=Bounds(lower, upper),
        constraints=LinearConstraint(np.array(rows), low, high),
    )
    if not solution.success:
        return None
    return {key: round(number) for key, number in zip(keys, solution.x[:n], strict=True)}


def _deviations(sites: _Sites, copies: int, counts: Counts) -> tuple[float, str, float]:
    """Return the largest relative deviation of an element, its name, and the largest deviation of an occupancy."""
    amounts = sites.structure.composition.get_el_amt_dict()
    change = dict.fromkeys(amounts, 0.0)
    largest = 0.0
    for orbit, members, species in _partial(sites):
        room = copies * len(members)
        for name, occupancy in species.items():
            change[name] += counts[orbit, name] - occupancy * room
            largest = max(largest, abs(counts[orbit, name] / room - occupancy))
    relative, name = max((abs(change[name]) / (copies * amounts[name]), name) for name in amounts)
    return relative, name, largest


def _occupancies(sites: _Sites, size: tuple[int, int, int], counts: Counts) -> Iterator[SiteOccupancy]:
    for orbit, members, species in _partial(sites):
        label = sites.structure[int(members[0])].label
        for name, occupancy in species.items():
            yield SiteOccupancy(label, name, len(members) * prod(size), occupancy, counts[orbit, name])


# Arrangements of these atoms.


@dataclass(frozen=True)
class _Energy:
    """A quadratic form of variables that are 1 or 0; the last variable, an empty site, has no energy.

    :param pair: of two variables, (n, n) eV.
    :param single: of one variable, (n,) eV.
    :param constant: eV.
    """

    pair: Array
    single: Array
    constant: float

    @classmethod
    def of(cls, pair: Array, single: Array, constant: float = 0.0) -> _Energy:
        """Return the energy with a last variable for an empty site."""
        return cls(np.pad(pair, (0, 1)), np.pad(single, (0, 1)), constant)

    def __add__(self, other: _Energy) -> _Energy:
        return _Energy(self.pair + other.pair, self.single + other.single, self.constant + other.constant)

    def energy(self, held: Indices) -> float:
        """Return the energy in eV if these variables are 1."""
        return float(0.5 * self.pair[np.ix_(held, held)].sum() + self.single[held].sum() + self.constant)

    def field(self, held: Indices) -> Array:
        """Return the derivative of the energy by each variable, (n,) eV."""
        return np.asarray(self.single + self.pair[:, held].sum(axis=1))


class _Arrangements:
    """All arrangements of given numbers of atoms on the sites of a supercell.

    An arrangement is the number of the element on each partially occupied site, -1 for none. Each pair of a site and an
    element that may occupy it is a variable, 1 or 0, and the energy is a quadratic form of them.
    """

    def __init__(
        self,
        sites: _Sites,
        size: tuple[int, int, int],
        counts: Counts,
        charges: dict[str, float],
        method: str,
        mobile: tuple[str, ...],
    ):
        self.size, self.method, self.charges, self.mobile = size, method, charges, mobile
        structure = sites.structure
        self.elements = sorted(structure.composition.get_el_amt_dict())
        shifts = np.array(list(product(*map(range, size))))
        # Copies of a site follow each other.
        self.fractional = ((structure.frac_coords[:, None] + shifts[None]) / np.array(size)).reshape(-1, 3)
        self.lattice = Lattice(np.array(size)[:, None] * structure.lattice.matrix)
        self.orbit = np.repeat(sites.orbit, len(shifts))
        ordered = np.repeat([site.is_ordered for site in structure], len(shifts))
        self.open, self.full = np.flatnonzero(~ordered), np.flatnonzero(ordered)
        on_full = [structure[int(index)].specie.symbol for index in self.full // len(shifts)]
        self.on_full = np.array([self.elements.index(name) for name in on_full], dtype=np.int64)
        self.groups: list[tuple[Indices, Indices]] = []
        place = {int(site): number for number, site in enumerate(self.open)}
        for orbit, _, species in _partial(sites):
            members = np.array([place[int(index)] for index in np.flatnonzero(self.orbit == orbit)])
            content = [self.elements.index(name) for name in species for _ in range(counts[orbit, name])]
            labels = np.array(content + [-1] * (len(members) - len(content)), dtype=np.int64)
            self.groups.append((members, labels))
        self._define_variables()
        self._define_energy()
        self.images = self._images(sites, shifts)

    def draw(self, cells: int, seed: int) -> list[OrderedCell]:
        """Return up to ``cells`` cells that differ by symmetry; none if atoms overlap in all draws."""
        found: dict[bytes, Found] = {}
        times: dict[bytes, int] = {}
        most = DRAWS * cells + 4 if self.method == 'electrostatics' else 20 * cells
        for attempt in range(most):
            labels = self._arrange(np.random.default_rng([seed, attempt]))
            if self.repulsion.energy(self._held(labels)) >= EXCLUSION / 2:
                # Overlapping atoms that five draws cannot avoid are due to the occupancies.
                if attempt >= 4 and not found:
                    return []
                continue
            key, degeneracy = self._canonical(labels)
            times[key] = times.get(key, 0) + 1
            if key not in found:
                found[key] = (self.ranking.energy(self._held(labels)), labels, degeneracy)
            if self.method == 'random' and len(found) == cells:
                break
        if self.method == 'electrostatics':
            found = self._lowest(found, cells)
        chosen = list(found)
        # A draw is one of all arrangements; if there are no more cells, their degeneracies are exact weights.
        by_draws = self.method == 'random' and (len(found) == cells or bool(self.mobile))
        share = {key: times[key] if by_draws else found[key][2] for key in chosen}
        total = sum(share.values())
        return [
            OrderedCell(
                self._structure(found[key][1]),
                None if self.coulomb is None else self.coulomb.energy(self._held(found[key][1])),
                found[key][2],
                share[key] / total,
            )
            for key in chosen
        ]

    def _lowest(self, found: dict[bytes, Found], cells: int) -> dict[bytes, Found]:
        """Return the ``cells`` lowest of the cells found and of those that one exchange makes of them."""
        searched: set[bytes] = set()
        while True:
            found = dict(sorted(found.items(), key=lambda item: (round(item[1][0], 6), item[0]))[:cells])
            key = next((key for key in found if key not in searched), None)
            if key is None or len(searched) == 2 * cells:
                return found
            searched.add(key)
            energy, labels, _ = found[key]
            limit = max(each[0] for each in found.values()) if len(found) == cells else EXCLUSION / 2
            changes, first, second = self._exchanges(labels, self.ranking, self._movable())
            for at in np.argsort(changes)[: EXCHANGES * cells]:
                if energy + changes[at] >= limit:
                    break
                other = labels.copy()
                other[[first[at], second[at]]] = labels[[second[at], first[at]]]
                name, degeneracy = self._canonical(other)
                found.setdefault(name, (energy + float(changes[at]), other, degeneracy))

    def _exchanges(self, labels: Indices, energy: _Energy, groups: list[Indices]) -> tuple[Array, Indices, Indices]:
        """Return the change of the energy in eV by the exchange of each two different occupants, and their sites."""
        pairs = []
        for members in groups:
            first, second = np.triu_indices(len(members), 1)
            differ = labels[members[first]] != labels[members[second]]
            pairs.append(np.stack([members[first[differ]], members[second[differ]]]))
        if not pairs:
            return np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        i, j = np.concatenate(pairs, axis=1)
        left, right = self.variable[i, labels[i]], self.variable[j, labels[j]]
        new, old = self.variable[i, labels[j]], self.variable[j, labels[i]]
        return _change(energy.field(self._held(labels)), energy.pair, left, right, new, old), i, j

    def _define_variables(self) -> None:
        """Number the pairs of a site and an element; the last number is that of an empty site."""
        self.variable = np.full((len(self.open), len(self.elements) + 1), -1, dtype=np.int64)
        place: list[int] = []
        element: list[int] = []
        for members, labels in self.groups:
            for kind in np.unique(labels[labels >= 0]):
                for member in members:
                    self.variable[member, kind] = len(place)
                    place.append(member)
                    element.append(kind)
        self.variable[:, -1] = len(place)
        self.place, self.element = np.array(place, dtype=np.int64), np.array(element, dtype=np.int64)

    def _define_energy(self) -> None:
        """Set the energies: of overlapping atoms, of charges, and that by which arrangements are ranked."""
        free, fixed = self.fractional[self.open], self.fractional[self.full]
        count = len(self.place)
        apart = self.lattice.get_all_distances(free, free)
        np.fill_diagonal(apart, np.inf)
        pair = self._repulsion(apart[np.ix_(self.place, self.place)], self.element, self.element)
        pair[self.place[:, None] == self.place[None]] = 0.0
        single = np.zeros(count)
        if len(fixed):
            away = self.lattice.get_all_distances(free, fixed)[self.place]
            single = self._repulsion(away, self.element, self.on_full).sum(axis=1)
        self.repulsion = _Energy.of(pair, single)
        self.coulomb = self._electrostatics() if any(self.charges.values()) else None
        self.charged = self.repulsion if self.coulomb is None else self.repulsion + self.coulomb
        self.ranking = self.charged if self.method == 'electrostatics' else self.repulsion

    def _repulsion(self, distances: Array, first: Indices, second: Indices) -> Array:
        """Return the energy that keeps pairs of atoms apart, (first, second) eV."""
        reach = _radii(self.elements, self.charges)
        wanted, least = APART * reach, _least(self.elements, reach)
        chosen = np.ix_(first, second)
        energy = REPULSION * np.maximum(0.0, 1 - distances / wanted[chosen]) ** 2
        return np.asarray(energy + EXCLUSION * (distances < least[chosen]))

    def _electrostatics(self) -> _Energy:
        """Return the electrostatic energy."""
        every = np.concatenate([self.open, self.full])
        unit = Structure(self.lattice, ['H+'] * len(every), self.fractional[every])
        matrix = EwaldSummation(unit, acc_factor=DIGITS).total_energy_matrix
        charge = np.array([self.charges[name] for name in self.elements])
        mine, fixed = charge[self.element], charge[self.on_full]
        free = len(self.open)
        inner = matrix[np.ix_(self.place, self.place)]
        pair = 2 * mine[:, None] * mine[None] * inner
        pair[self.place[:, None] == self.place[None]] = 0.0
        single = mine**2 * np.diag(inner) + 2 * mine * (matrix[:free, free:] @ fixed)[self.place]
        return _Energy.of(pair, single, float(fixed @ matrix[free:, free:] @ fixed))

    def _held(self, labels: Indices) -> Indices:
        """Return the variables that are 1 in an arrangement."""
        return np.asarray(self.variable[np.arange(len(labels)), labels])

    def _movable(self) -> list[Indices]:
        """Return the groups of sites with different occupants."""
        return [members for members, content in self.groups if len(np.unique(content)) > 1]

    def _arrange(self, generator: np.random.Generator) -> Indices:
        """Return an arrangement: of low electrostatic energy, or at random but for the mobile elements."""
        labels = np.empty(len(self.open), dtype=np.int64)
        for members, content in self.groups:
            labels[members] = generator.permutation(content)
        every = self._movable()
        self._anneal(labels, every, self.ranking, TEMPERATURES[self.method], generator)
        if self.method == 'random' and self.mobile:
            kinds = {-1, *(self.elements.index(name) for name in self.mobile)}
            ours = [members for members in every if set(labels[members].tolist()) <= kinds]
            self._anneal(labels, ours, self.charged, TEMPERATURES['electrostatics'], generator)
        return labels

    def _anneal(
        self,
        labels: Indices,
        groups: list[Indices],
        energy: _Energy,
        temperatures: tuple[float, float],
        generator: np.random.Generator,
    ) -> None:
        """Lower the energy of an arrangement by exchanges within groups of equivalent sites.

        :param labels: the arrangement, which is changed.
        :param groups: sites of each group.
        :param energy: the energy.
        :param temperatures: the first and the last, eV.
        :param generator: source of the random numbers.
        """
        if not groups:
            return
        trials = TRIALS * sum(map(len, groups))
        hot, cold = temperatures
        heat = hot * (cold / hot) ** np.linspace(0, 1, trials)
        self._exchange(labels, groups, energy, -heat * np.log(generator.random(trials)), generator)
        # What is left of crowded sites is too rare to be met at random.
        for _ in range(len(labels)):
            changes, first, second = self._exchanges(labels, energy, groups)
            if len(changes) == 0 or changes.min() > -1e-9:
                break
            best = int(changes.argmin())
            labels[[first[best], second[best]]] = labels[[second[best], first[best]]]
        if energy is self.repulsion:
            # One of all arrangements of this energy.
            self._exchange(labels, groups, energy, np.full(trials // 10, 1e-9), generator)

    def _exchange(
        self, labels: Indices, groups: list[Indices], energy: _Energy, limits: Array, generator: np.random.Generator
    ) -> None:
        """Exchange random pairs of occupants of equivalent sites.

        :param labels: the arrangement, which is changed.
        :param groups: sites of each group.
        :param energy: the energy.
        :param limits: largest change of the energy by each trial, eV.
        :param generator: source of the random numbers.
        """
        pair, variable, field = energy.pair, self.variable, energy.field(self._held(labels))
        sizes = np.array([len(members) for members in groups])
        group = generator.choice(len(groups), size=len(limits), p=sizes / sizes.sum())
        which = generator.random((len(limits), 2))
        for trial, limit in enumerate(limits):
            members = groups[group[trial]]
            i, j = members[int(which[trial, 0] * len(members))], members[int(which[trial, 1] * len(members))]
            one, other = labels[i], labels[j]
            if one == other:
                continue
            left, right, new, old = variable[i, one], variable[j, other], variable[i, other], variable[j, one]
            if _change(field, pair, left, right, new, old) <= limit:
                labels[i], labels[j] = other, one
                field += pair[new] + pair[old] - pair[left] - pair[right]

    def _images(self, sites: _Sites, shifts: Indices) -> NDArray[np.int32]:
        """Return the image of each partially occupied site under each symmetry operation, (operations, sites)."""
        size = np.array(self.size)
        unit = sites.structure.frac_coords
        number = {tuple(shift): index for index, shift in enumerate(shifts.tolist())}
        lookup = np.array([[[number[i, j, k] for k in range(size[2])] for j in range(size[1])] for i in range(size[0])])
        place = np.full(len(self.fractional), -1, dtype=np.int64)
        place[self.open] = np.arange(len(self.open))
        parents = np.flatnonzero([not site.is_ordered for site in sites.structure])
        copies = len(shifts)
        images = []
        for rotation, translation in zip(sites.rotations, sites.translations, strict=True):
            # The operation maps the supercell's lattice onto itself if this is whole.
            scaled = rotation * size[None, :] / size[:, None]
            if not np.allclose(scaled, np.rint(scaled)):
                continue
            moved = unit[parents] @ rotation.T + translation
            apart = moved[:, None] - unit[parents][None]
            whole = np.rint(apart)
            distance = np.linalg.norm((apart - whole) @ sites.structure.lattice.matrix, axis=-1)
            same = sites.orbit[parents][:, None] == sites.orbit[parents][None]
            target = np.argmin(np.where(same, distance, np.inf), axis=1)
            if len(np.unique(target)) < len(target):
                continue
            cell = shifts @ rotation.T + whole[np.arange(len(parents)), target].astype(int)[:, None]
            for translation_of_lattice in shifts:
                wrapped = (cell + translation_of_lattice) % size
                index = lookup[wrapped[..., 0], wrapped[..., 1], wrapped[..., 2]]
                images.append(place[(parents[target][:, None] * copies + index).ravel()])
        return np.array(images, dtype=np.int32)

    def _canonical(self, labels: Indices) -> tuple[bytes, int]:
        """Return a key that is equal for equivalent arrangements, and their number."""
        rows = labels[self.images].astype(np.int8)
        packed = np.unique(np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))))
        return bytes(packed[0]), len(packed)

    def _structure(self, labels: Indices) -> Structure:
        taken = labels >= 0
        symbols = [self.elements[kind] for kind in (*self.on_full, *labels[taken])]
        places = self.fractional[np.concatenate([self.full, self.open[taken]])]
        return _sorted(Structure(self.lattice, symbols, places % 1.0))


def _sorted(structure: Structure) -> Structure:
    """Return an ordered structure with its atoms grouped by element, without labels and properties."""
    cell = structure.get_sorted_structure()
    return Structure(cell.lattice, symbols_of(cell), cell.frac_coords)


def _change(field: Array, pair: Array, left: Any, right: Any, new: Any, old: Any) -> Any:
    """Return the change of an energy in eV if two sites exchange their occupants.

    :param field: of :meth:`_Energy.field`.
    :param pair: energies of pairs.
    :param left: variable of the first site with its occupant, a number or an array; ``right``, that of the second.
    :param new: variable of the first site with the occupant of the second; ``old``, that of the second with the other.
    """
    alone = field[new] + field[old] - field[left] - field[right]
    return alone + (pair[new, old] + pair[left, right] - pair[new, right] - pair[old, left])


def _radii(elements: Sequence[str], charges: Mapping[str, float]) -> Array:
    """Return the sum of the radii of each two elements in A, (elements, elements).

    They are the covalent radii, or the ionic ones if these are larger and the charges have the same sign: two O2- of a
    split site are 1.4 A apart at least, which their covalent radii alone would not ensure.
    """
    covalent = np.array([covalent_radius(name) for name in elements])
    ionic = np.array([_ionic_radius(name, charges.get(name, 0.0)) for name in elements])
    signs = np.sign([charges.get(name, 0.0) for name in elements])
    sums, ionic_sums = covalent[:, None] + covalent[None], ionic[:, None] + ionic[None]
    return np.where(signs[:, None] * signs[None] > 0, np.maximum(sums, ionic_sums), sums)


def _least(elements: Sequence[str], radii: Array) -> Array:
    """Return the distance in A below which atoms of each two elements overlap, (elements, elements).

    :param elements: chemical symbols.
    :param radii: as :func:`_radii` returns them.
    """
    return np.maximum(least_distances(elements), OVERLAP * radii)


def _ionic_radius(symbol: str, charge: float) -> float:
    """Return the ionic radius of an element in A, 0 if it is not known."""
    radii = Element(symbol).ionic_radii
    return float(radii.get(round(charge), 0.0)) if charge else 0.0
