"""Arrangements of given numbers of atoms on the sites of a crystal: drawn, ranked, and reduced by symmetry.

Among the arrangements, those without overlapping atoms are drawn at random or by their electrostatic energy, by
exchanging occupants of equivalent sites at a decreasing temperature (Kirkpatrick et al., Science 220, 671, 1983).
Arrangements that a symmetry operation of the crystal maps onto each other are one cell, and their number is its
degeneracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import factorial, prod
from typing import Any

import numpy as np
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray
from pymatgen.core import Element, Lattice, Structure
from pymatgen.core.ewald import EwaldSummation
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from aiida_dpasse.structures.overlap import OVERLAP, covalent_radius, least_distances

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
#: Draws for each cell that is wanted, beside a few more.
DRAWS = 3
#: Exchanges that are examined of each cell of low energy, for each cell that is wanted.
EXCHANGES = 20
#: Accuracy of the Ewald sum in decimal digits.
DIGITS = 8.0
#: Images of sites under symmetry operations that are kept in memory, 4 bytes each; more are computed again when needed.
IMAGES = 25_000_000
#: Attempts to draw a cell that differs from those before, for each cell that is wanted.
ATTEMPTS = 20

Counts = dict[tuple[int, str], int]
"""Number of atoms by orbit and element."""
Found = tuple[float, Indices, int]
"""Energy in eV, arrangement and degeneracy."""


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
class Sites:
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


def symbols_of(structure: Structure) -> list[str]:
    """Return the element of each site of an ordered structure."""
    return [site.specie.symbol for site in structure]


def find_symmetry(structure: Structure, symprec: float, charges: Mapping[str, float], notes: list[str]) -> Sites:
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
    return Sites(structure, orbit, *operations, _alternatives(structure, orbit, charges))


def _alternatives(
    structure: Structure, orbit: Indices, charges: Mapping[str, float]
) -> tuple[tuple[frozenset[int], int], ...]:
    """Return orbits that form groups of mutually overlapping sites, with the number of groups."""
    partial = np.flatnonzero([not site.is_ordered for site in structure])
    if len(partial) == 0:
        return ()
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


def partial_orbits(sites: Sites) -> Iterator[tuple[int, Indices, dict[str, float]]]:
    """Yield number, sites and occupancies by element of each partially occupied orbit."""
    for orbit in range(int(sites.orbit.max()) + 1):
        members = sites.members(orbit)
        site = sites.structure[int(members[0])]
        if not site.is_ordered:
            yield orbit, members, {element.symbol: float(x) for element, x in site.species.items()}


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


class Arrangements:
    """All arrangements of given numbers of atoms on the sites of a supercell.

    An arrangement is the number of the element on each partially occupied site, -1 for none. Each pair of a site and an
    element that may occupy it is a variable, 1 or 0, and the energy is a quadratic form of them.
    """

    def __init__(
        self,
        sites: Sites,
        size: tuple[int, int, int],
        counts: Counts,
        charges: dict[str, float],
        method: str,
        mobile: tuple[str, ...],
    ):
        self.size, self.method, self.charges, self.mobile = size, method, charges, mobile
        self.sites, structure = sites, sites.structure
        self.elements = sorted(structure.composition.get_el_amt_dict())
        self.shifts = shifts = np.array(list(product(*map(range, size))))
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
        for orbit, _, species in partial_orbits(sites):
            members = np.array([place[int(index)] for index in np.flatnonzero(self.orbit == orbit)])
            content = [self.elements.index(name) for name in species for _ in range(counts[orbit, name])]
            labels = np.array(content + [-1] * (len(members) - len(content)), dtype=np.int64)
            self.groups.append((members, labels))
        self._define_variables()

    @property
    def number(self) -> int:
        """Number of arrangements, among them those with overlapping atoms."""
        return prod(
            factorial(len(content)) // prod(factorial(int(n)) for n in np.unique(content, return_counts=True)[1])
            for _, content in self.groups
        )

    @cached_property
    def crowded(self) -> bool:
        """Whether atoms of some arrangement are closer than :data:`APART` of the sum of their radii."""
        radii = pair_distances(self.elements, self.charges)
        kinds: list[list[int]] = [[] for _ in self.fractional]
        for index, element in zip(self.full, self.on_full, strict=True):
            kinds[int(index)] = [int(element)]
        for members, content in self.groups:
            for index in self.open[members]:
                kinds[int(index)] = sorted({int(kind) for kind in content if kind >= 0})
        first, second, distances = primitive_neighbor_list(
            'ijd', [True] * 3, self.lattice.matrix, self.fractional @ self.lattice.matrix, float(radii.max())
        )
        ours = np.isin(first, self.open)
        return any(
            kinds[i] and kinds[j] and distance < radii[np.ix_(kinds[i], kinds[j])].max()
            for i, j, distance in zip(first[ours], second[ours], distances[ours], strict=True)
        )

    def distinct(self) -> list[tuple[Indices, int]]:
        """Return one of each set of equivalent arrangements, and the number of arrangements in the set.

        The numbers sum to :attr:`number`, which should be small: all arrangements are enumerated.
        """
        seen: set[bytes] = set()
        found = []
        for labels in self._every():
            if labels.astype(np.int8).tobytes() not in seen:
                rows = np.unique(labels[self.images].astype(np.int8), axis=0)
                seen.update(row.tobytes() for row in rows)
                found.append((labels, len(rows)))
        return found

    def enumerate(self, cells: int, seed: int) -> tuple[list[OrderedCell], int]:
        """Return up to ``cells`` cells from all that differ by symmetry, and how many have no overlapping atoms.

        They are those of lowest energy, or drawn with the probability of their degeneracy (:attr:`method`). The weights
        are as those of :meth:`draw`.
        """
        if len(self.open) == 0:
            return [OrderedCell(self._structure(np.empty(0, dtype=np.int64)), None, 1, 1.0)], 1
        every = [each for each in self.distinct() if self.repulsion.energy(self._held(each[0])) < EXCLUSION / 2]
        ranking = [self.ranking.energy(self._held(labels)) for labels, _ in every]
        # Equal energies differ in their last digits: what is chosen among them should not depend on these.
        order = sorted(range(len(every)), key=lambda index: (round(ranking[index], 6), every[index][0].tolist()))
        share = {index: every[index][1] for index in order[:cells]}
        if self.method == 'random' and len(every) > cells:
            likely = np.array([degeneracy for _, degeneracy in every], dtype=float)
            generator = np.random.default_rng(seed)
            share = {}
            while len(share) < cells:
                index = int(generator.choice(len(every), p=likely / likely.sum()))
                share[index] = share.get(index, 0) + 1
        total = sum(share.values())
        return [self._cell(*every[index], times / total) for index, times in share.items()], len(every)

    def sample(self, cells: int, seed: int) -> list[OrderedCell]:
        """Return up to ``cells`` cells that differ by symmetry, drawn at random from all arrangements.

        No energy is computed, so that large cells are fast. For arrangements that are not :attr:`crowded`.
        """
        found: dict[bytes, tuple[Indices, int]] = {}
        times: dict[bytes, int] = {}
        for attempt in range(ATTEMPTS * cells):
            labels = self._shuffled(np.random.default_rng([seed, attempt]))
            key, degeneracy = self._canonical(labels)
            times[key] = times.get(key, 0) + 1
            found.setdefault(key, (labels, degeneracy))
            if len(found) == cells:
                break
        total = sum(times.values())
        return [
            OrderedCell(self._structure(labels), None, degeneracy, times[key] / total)
            for key, (labels, degeneracy) in found.items()
        ]

    def draw(self, cells: int, seed: int) -> list[OrderedCell]:
        """Return up to ``cells`` cells that differ by symmetry; none if atoms overlap in all draws."""
        found: dict[bytes, Found] = {}
        times: dict[bytes, int] = {}
        most = DRAWS * cells + 4 if self.method == 'electrostatics' else ATTEMPTS * cells
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
        return [self._cell(found[key][1], found[key][2], share[key] / total) for key in chosen]

    def _cell(self, labels: Indices, degeneracy: int, weight: float) -> OrderedCell:
        energy = None if self.coulomb is None else self.coulomb.energy(self._held(labels))
        return OrderedCell(self._structure(labels), energy, degeneracy, weight)

    def _every(self) -> Iterator[Indices]:
        """Yield all arrangements."""
        for contents in product(*(list(_permutations(content)) for _, content in self.groups)):
            labels = np.empty(len(self.open), dtype=np.int64)
            for (members, _), content in zip(self.groups, contents, strict=True):
                labels[members] = content
            yield labels

    def _shuffled(self, generator: np.random.Generator) -> Indices:
        """Return one of all arrangements, among them those with overlapping atoms."""
        labels = np.empty(len(self.open), dtype=np.int64)
        for members, content in self.groups:
            labels[members] = generator.permutation(content)
        return labels

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

    @cached_property
    def repulsion(self) -> _Energy:
        """Energy that keeps atoms apart."""
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
        return _Energy.of(pair, single)

    @cached_property
    def coulomb(self) -> _Energy | None:
        """Electrostatic energy of the charges, None if they are not known."""
        return self._electrostatics() if any(self.charges.values()) else None

    @cached_property
    def charged(self) -> _Energy:
        """Sum of both."""
        return self.repulsion if self.coulomb is None else self.repulsion + self.coulomb

    @property
    def ranking(self) -> _Energy:
        """Energy by which arrangements are ranked."""
        return self.charged if self.method == 'electrostatics' else self.repulsion

    def _repulsion(self, distances: Array, first: Indices, second: Indices) -> Array:
        """Return the energy that keeps pairs of atoms apart, (first, second) eV."""
        wanted = pair_distances(self.elements, self.charges)
        least = _least(self.elements, _radii(self.elements, self.charges))
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
        labels = self._shuffled(generator)
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

    @cached_property
    def images(self) -> NDArray[np.int32]:
        """Image of each partially occupied site under each symmetry operation, (operations, sites)."""
        return np.concatenate(list(self._image_blocks()))

    def _image_blocks(self) -> Iterator[NDArray[np.int32]]:
        """Yield the images under the operations that differ by a translation of the lattice, (translations, sites)."""
        sites, shifts, size = self.sites, self.shifts, np.array(self.size)
        unit = sites.structure.frac_coords
        number = {tuple(shift): index for index, shift in enumerate(shifts.tolist())}
        lookup = np.array([[[number[i, j, k] for k in range(size[2])] for j in range(size[1])] for i in range(size[0])])
        place = np.full(len(self.fractional), -1, dtype=np.int64)
        place[self.open] = np.arange(len(self.open))
        parents = np.flatnonzero([not site.is_ordered for site in sites.structure])
        copies = len(shifts)
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
            block = np.empty((copies, len(self.open)), dtype=np.int32)
            for row, translation_of_lattice in enumerate(shifts):
                wrapped = (cell + translation_of_lattice) % size
                index = lookup[wrapped[..., 0], wrapped[..., 1], wrapped[..., 2]]
                block[row] = place[(parents[target][:, None] * copies + index).ravel()]
            yield block

    def _canonical(self, labels: Indices) -> tuple[bytes, int]:
        """Return a key that is equal for equivalent arrangements, and their number."""
        if len(self.sites.rotations) * len(self.shifts) * len(self.open) <= IMAGES:
            rows = _packed(labels[self.images])
            return bytes(rows[0]), len(rows)
        key, operations, unchanged = b'', 0, 0
        own = labels.astype(np.int8)
        for block in self._image_blocks():
            rows = labels[block].astype(np.int8)
            operations += len(rows)
            unchanged += int((rows == own).all(axis=1).sum())
            least = bytes(_packed(rows)[0])
            key = min(key, least) if key else least
        return key, operations // unchanged

    def _structure(self, labels: Indices) -> Structure:
        taken = labels >= 0
        symbols = [self.elements[kind] for kind in (*self.on_full, *labels[taken])]
        places = self.fractional[np.concatenate([self.full, self.open[taken]])]
        return sorted_by_element(Structure(self.lattice, symbols, places % 1.0))


def _permutations(content: Indices) -> Iterator[Indices]:
    """Yield every order of numbers of which some are equal, once each."""
    kinds, counts = np.unique(content, return_counts=True)

    def fill(empty: tuple[int, ...], kind: int) -> Iterator[list[tuple[int, ...]]]:
        if kind == len(kinds) - 1:
            yield [empty]
            return
        for chosen in combinations(empty, int(counts[kind])):
            for rest in fill(tuple(place for place in empty if place not in set(chosen)), kind + 1):
                yield [chosen, *rest]

    for places in fill(tuple(range(len(content))), 0):
        labels = np.empty(len(content), dtype=np.int64)
        for kind, chosen in zip(kinds, places, strict=True):
            labels[list(chosen)] = kind
        yield labels


def _packed(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the different rows of labels, each as one item, sorted."""
    small = np.ascontiguousarray(rows.astype(np.int8))
    return np.unique(small.view(np.dtype((np.void, small.shape[1]))))


def sorted_by_element(structure: Structure) -> Structure:
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


def pair_distances(elements: Sequence[str], charges: Mapping[str, float]) -> Array:
    """Return the distance in A at which atoms of each two elements are kept apart, (elements, elements).

    :param elements: chemical symbols.
    :param charges: charge of each element; ions of one sign are kept apart by their ionic radii if these are larger.
    """
    return np.asarray(APART * _radii(elements, charges))


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
