"""Ordered cells of a disordered crystal.

The numbers of atoms are whole, close to the occupancies, and neutral (integer linear programming). Which sites they
occupy is drawn or ranked by :class:`aiida_dpasse.structures.arrangements.Arrangements`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
from pymatgen.core import Structure
from scipy.optimize import Bounds, LinearConstraint, milp

from aiida_dpasse.structures.arrangements import (
    METHODS,
    Arrangements,
    Array,
    Counts,
    OrderedCell,
    Sites,
    find_symmetry,
    partial_orbits,
    sorted_by_element,
    symbols_of,
)
from aiida_dpasse.structures.charges import charges_of, stated
from aiida_dpasse.structures.overlap import find_overlap
from aiida_dpasse.structures.supercell import compact_repetitions

#: Largest charge of a neutral cell: mean charges of mixed valence have few digits.
NEUTRAL = 0.05
#: Largest ratio of the distances between opposite faces of a cell, if that of the crystal is not larger.
ELONGATED = 3.0


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
    sites = find_symmetry(structure, symprec, known, notes)
    for size, counts in sizes_with_whole_numbers(sites, known, repeats, max_atoms, tolerance, site_tolerance):
        arrangement = Arrangements(sites, size, counts, known, method, tuple(mobile))
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


def _cartesian(structure: Structure) -> tuple[Array, Array]:
    return np.asarray(structure.lattice.matrix), np.asarray(structure.cart_coords)


def _already_ordered(structure: Structure, charges: dict[str, float], repeats: Sequence[int] | None) -> Ordering:
    size = checked_repeats(repeats) or (1, 1, 1)
    cell = sorted_by_element(structure.make_supercell(size, in_place=False))
    return Ordering((OrderedCell(cell, None, 1, 1.0),), size, (), charges, ())


# Whole numbers of atoms.


def checked_repeats(repeats: Sequence[int] | None) -> tuple[int, int, int] | None:
    if repeats is None:
        return None
    if len(repeats) != 3 or any(int(number) != number or number < 1 for number in repeats):
        raise ValueError(f'order: give three repetitions of 1 or more, got {list(repeats)}.')
    first, second, third = (int(number) for number in repeats)
    return first, second, third


def possible_sizes(structure: Structure, repeats: Sequence[int] | None, max_atoms: int) -> list[tuple[int, int, int]]:
    """Return the compact repetitions of a cell within a number of atoms, smallest first, or the given ones alone.

    :param structure: a crystal; its occupancies may be partial.
    :param repeats: three repetitions, None for any.
    :param max_atoms: largest number of atoms.
    :raises ValueError: if the smallest cell has more atoms.
    """
    atoms, given = structure.composition.num_atoms, checked_repeats(repeats)
    copies = prod(given) if given else 1
    if atoms * copies > 1.001 * max_atoms:
        cell = f'the {"x".join(map(str, given))} cell' if given else 'the unit cell'
        raise ValueError(
            f'order: {cell} contains {atoms * copies:.0f} atoms, more than the {max_atoms} allowed: raise the number '
            'of atoms.'
        )
    if given:
        return [given]
    return compact_repetitions(structure.lattice.matrix, max(1, int(max_atoms / atoms)), ELONGATED)


def sizes_with_whole_numbers(
    sites: Sites,
    charges: dict[str, float],
    repeats: Sequence[int] | None,
    max_atoms: int,
    tolerance: float,
    site_tolerance: float,
) -> Iterator[tuple[tuple[int, int, int], Counts]]:
    """Yield the sizes within the tolerances, smallest first, with the numbers of atoms.

    :param sites: the disordered crystal.
    :param charges: charge of each element.
    :param repeats: three repetitions, None for any.
    :param max_atoms: largest number of atoms.
    :param tolerance: largest relative deviation of the amount of an element.
    :param site_tolerance: largest deviation of the occupancy of a site.
    :raises ValueError: if there is none.
    """
    sizes = possible_sizes(sites.structure, repeats, max_atoms)
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


def _whole_numbers(
    sites: Sites, copies: int, charges: dict[str, float], tolerance: float | None, site_tolerance: float | None
) -> Counts | None:
    """Return the numbers of atoms closest to the occupancies, None if there are none within the tolerances.

    The amounts of the elements count ten times as much as the occupancies of the sites.

    :param sites: sites of the unit cell.
    :param copies: number of unit cells.
    :param charges: charge by element; empty if it is not considered.
    :param tolerance: relative deviation of the amount of an element; None for any.
    :param site_tolerance: deviation of an occupancy; None for any.
    """
    partial = list(partial_orbits(sites))
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


def _deviations(sites: Sites, copies: int, counts: Counts) -> tuple[float, str, float]:
    """Return the largest relative deviation of an element, its name, and the largest deviation of an occupancy."""
    amounts = sites.structure.composition.get_el_amt_dict()
    change = dict.fromkeys(amounts, 0.0)
    largest = 0.0
    for orbit, members, species in partial_orbits(sites):
        room = copies * len(members)
        for name, occupancy in species.items():
            change[name] += counts[orbit, name] - occupancy * room
            largest = max(largest, abs(counts[orbit, name] / room - occupancy))
    relative, name = max((abs(change[name]) / (copies * amounts[name]), name) for name in amounts)
    return relative, name, largest


def _occupancies(sites: Sites, size: tuple[int, int, int], counts: Counts) -> Iterator[SiteOccupancy]:
    for orbit, members, species in partial_orbits(sites):
        label = sites.structure[int(members[0])].label
        for name, occupancy in species.items():
            yield SiteOccupancy(label, name, len(members) * prod(size), occupancy, counts[orbit, name])
