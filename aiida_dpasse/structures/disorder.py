"""Site disorder: exchange of two species between their sites, reproducible from a seed and with exact composition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Structure

from aiida_dpasse.structures.sublattices import bonded_to

BOND = 2.6
"""A sulfur with a phosphorus within this distance in A belongs to a thiophosphate group (P-S is 2.05 A; the
free S is 4.2 A away)."""


def require_ordered(structure: Structure) -> None:
    """Refuse partial occupancies.

    :param structure: the structure to check.
    :raises ValueError: naming the formula and the first site that is not fully occupied by one species.
    """
    for index, site in enumerate(structure):
        if not site.is_ordered:
            raise ValueError(
                f'structure: site {index} of {structure.composition.reduced_formula} is partially occupied '
                f'({site.species_string}); '
                'make ordered cells of it with `aiida-dpasse import structure`.'
            )


def sites_of(structure: Structure, species: str) -> list[int]:
    """Return the indices of the sites occupied by an element.

    :param structure: an ordered structure.
    :param species: chemical symbol.
    """
    return [index for index, site in enumerate(structure) if site.specie.symbol == species]


def free_sites(structure: Structure, species: str = 'S', centre: str = 'P', bond: float = BOND) -> list[int]:
    """Return the indices of the sites of `species` with no `centre` within `bond` A.

    In an argyrodite these are the free S2-, not those of PS4.

    :param structure: an ordered structure.
    :param species: element of the sites.
    :param centre: element that must not be bonded to them.
    :param bond: largest length of a bond in A.
    """
    bonded = bonded_to(structure, centre, [species], bond)
    return [index for index in sites_of(structure, species) if index not in bonded]


def exchange_sites(
    structure: Structure,
    fraction: float,
    seed: int,
    *,
    first: str = 'S',
    second: str = 'Cl',
    centre: str = 'P',
    bond: float = BOND,
) -> Structure:
    """Return a copy in which a fraction of the free `first` and of `second` are exchanged, at constant composition.

    :param structure: an ordered structure.
    :param fraction: of the smaller of the two site sets; in an argyrodite 0.5 exchanges half of the sites, and 1 gives
        the fully inverted cell.
    :param seed: of the random selection.
    :param first: element of the free sites.
    :param second: element to exchange it with.
    :param centre: as in :func:`free_sites`.
    :param bond: as in :func:`free_sites`, A.
    :raises ValueError: for partial occupancies, a missing species, or a fraction outside 0..1 or not a whole number of
        sites.
    """
    require_ordered(structure)
    free = free_sites(structure, first, centre, bond)
    other = sites_of(structure, second)
    for species, sites in ((f'free {first}', free), (second, other)):
        if not sites:
            raise ValueError(
                f'exchange: {structure.composition.reduced_formula} has no site of {species}; name species '
                'that it holds.'
            )
    count = whole_number(fraction, min(len(free), len(other)), 'exchange')
    generator = np.random.default_rng(seed)
    replaced = dict.fromkeys(_pick(free, count, generator), second)
    return _replaced(structure, replaced | dict.fromkeys(_pick(other, count, generator), first))


def whole_number(fraction: float, sites: int, name: str) -> int:
    """Return `fraction` times `sites` as an integer.

    :param fraction: between 0 and 1.
    :param sites: number of sites.
    :param name: of the operation, for the message.
    :raises ValueError: if it is not an integer, since rounding would silently change the composition, or the fraction
        is out of range.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f'{name}: the fraction should be between 0 and 1, got {fraction}.')
    count = round(fraction * sites)
    if abs(fraction * sites - count) > 1e-6 * max(sites, 1):
        raise ValueError(
            f'{name}: a fraction of {fraction} of {sites} sites is not a whole number; use a multiple of '
            f'1/{sites} or a larger supercell.'
        )
    return count


def _pick(sites: Sequence[int], count: int, generator: np.random.Generator) -> list[int]:
    return sorted(int(index) for index in generator.choice(np.asarray(sites), size=count, replace=False))


def _replaced(structure: Structure, species: dict[int, str]) -> Structure:
    """Return a copy with other elements on some sites, grouped by element, without site properties and charges."""
    symbols = [species.get(index, site.specie.symbol) for index, site in enumerate(structure)]
    changed = Structure(structure.lattice, symbols, structure.frac_coords)
    order = list(dict.fromkeys(site.specie.symbol for site in structure)) + [s for s in symbols]
    rank = {symbol: position for position, symbol in reversed(list(enumerate(order)))}
    return Structure.from_sites(sorted(changed, key=lambda site: rank[site.specie.symbol]))
