"""Named sets of the sites of a crystal: an element, its sites of one Wyckoff position, or those bonded to an element.

A name is an element, `Li`; an element and a set of sites, `S@4c`; or the set alone, `4a`. A set is a Wyckoff position
with its multiplicity, a label of the crystal's file, or the group of a bond: `S@PS4` are the S that are bonded to P.
The anions of complex anions such as PS4 are never meant by their element alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase.neighborlist import primitive_neighbor_list
from pymatgen.core import Element, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from aiida_dpasse.structures.overlap import ALKALI, covalent_radius

#: Largest length of a bond as a fraction of the sum of the covalent radii: 2.5 A for P and S (2.05 A in PS4; the free S
#: of an argyrodite is 4.2 A away).
BONDED = 1.2
#: Element whose bonds to anions are never broken unasked: substitution acts on the other anions.
CENTRE = 'P'


@dataclass(frozen=True)
class Sublattice:
    """Sites of one name.

    :param name: as it was given.
    :param sites: indices of the sites.
    :param element: the element in the name, None if all on the sites are meant.
    :param elements: elements that are meant, of those on the sites.
    """

    name: str
    sites: tuple[int, ...]
    element: str | None
    elements: tuple[str, ...]


def elements_of(structure: Structure, index: int) -> set[str]:
    """Return the elements that may occupy a site.

    :param structure: a crystal; its occupancies may be partial.
    :param index: of the site.
    """
    return {element.symbol for element in structure[index].species}


def bonded_to(structure: Structure, centre: str, elements: Iterable[str], bond: float | None = None) -> set[int]:
    """Return the sites of some elements that are bonded to an element.

    :param structure: a crystal; its occupancies may be partial.
    :param centre: chemical symbol of the element.
    :param elements: those whose sites are returned.
    :param bond: largest length of a bond in A; by default :data:`BONDED` of the sum of the covalent radii.
    """
    found = set()
    for element in elements:
        reach = bond if bond is not None else BONDED * (covalent_radius(centre) + covalent_radius(element))
        first, second = primitive_neighbor_list(
            'ij', [True] * 3, structure.lattice.matrix, structure.cart_coords, float(reach)
        )
        holds = np.array([centre in elements_of(structure, index) for index in range(len(structure))])
        ours = np.array([element in elements_of(structure, index) for index in range(len(structure))])
        found |= {int(index) for index in second[holds[first] & ours[second]]}
    return found


def site_names(structure: Structure, symprec: float = 0.01) -> list[tuple[str, ...]]:
    """Return the names of each site beside its element: Wyckoff position, label of the file.

    The Wyckoff positions are those of the crystal as it is, and, for the other atoms, those of the framework without
    alkali ions, which is often more symmetric than a cell with ordered ions.

    :param structure: a crystal; its occupancies may be partial.
    :param symprec: tolerance of the symmetry in A.
    """
    names: list[dict[str, None]] = [{} for _ in structure]
    framework = [i for i in range(len(structure)) if not elements_of(structure, i) <= set(ALKALI)]
    for indices in (list(range(len(structure))), framework):
        if not indices:
            continue
        part = structure.from_sites([structure[index] for index in indices])
        found = _wyckoff(part, symprec)
        # Without symmetry the position has no meaning: all sites have the same.
        if set(found) != {'1a'}:
            for index, name in zip(indices, found, strict=True):
                names[index][name] = None
    for index, site in enumerate(structure):
        if site.label and site.label not in (site.species_string, *elements_of(structure, index)):
            names[index] = {site.label: None, **names[index]}
    return [tuple(name for name in each if name) for each in names]


def _wyckoff(structure: Structure, symprec: float) -> list[str]:
    """Return the Wyckoff position of each site with its multiplicity, '' if the symmetry cannot be determined."""
    try:
        data = SpacegroupAnalyzer(structure, symprec).get_symmetry_dataset()
        share = abs(np.linalg.det(data.std_lattice)) / structure.volume
        numbers = np.bincount(data.equivalent_atoms)[data.equivalent_atoms] * share
        return [f'{round(float(n))}{letter}' for n, letter in zip(numbers, data.wyckoffs, strict=True)]
    except (SymmetryUndeterminedError, AttributeError, TypeError, ValueError):
        return [''] * len(structure)


def find_sublattice(structure: Structure, name: str, names: list[tuple[str, ...]]) -> Sublattice:
    """Return the sites that a name means.

    :param structure: a crystal; its occupancies may be partial.
    :param name: `ELEMENT`, `ELEMENT@SET` or `SET`.
    :param names: of each site, as :func:`site_names` returns them.
    :raises ValueError: in one sentence, if it means no site, or if all sites of an element are bonded to P.
    """
    element, at, group = name.partition('@')
    held = [elements_of(structure, index) for index in range(len(structure))]
    present = sorted(set().union(*held))
    if not at and element not in present and not Element.is_valid_symbol(element):
        element, group = '', element
    if element and element not in present:
        raise ValueError(f'{name}: the crystal contains {", ".join(present)} and no {element}.')
    sites = [index for index in range(len(structure)) if not element or element in held[index]]
    if group:
        sites = _in_group(structure, sites, element, group, names, name)
    elif element != CENTRE and CENTRE in present:
        tied = bonded_to(structure, CENTRE, [element]) if _is_anion(element) else set()
        if tied and tied >= set(sites):
            raise ValueError(
                f'{name}: all {element} are bonded to {CENTRE}: write {element}@{CENTRE} if these are meant.'
            )
        sites = [index for index in sites if index not in tied]
    meant = (element,) if element else tuple(sorted(set().union(*(held[index] for index in sites))))
    return Sublattice(name, tuple(sites), element or None, meant)


def _is_anion(element: str) -> bool:
    """Return whether an element forms complex anions with P."""
    return Element(element).is_chalcogen or Element(element).is_halogen


def _in_group(
    structure: Structure, sites: list[int], element: str, group: str, names: list[tuple[str, ...]], name: str
) -> list[int]:
    """Return those of the sites that are in a named set.

    :raises ValueError: if there are none.
    """
    chosen = [index for index in sites if group in names[index]]
    centre = re.fullmatch(rf'([A-Z][a-z]?)(?:{element}\d*)?', group) if element else None
    if not chosen and centre is not None and Element.is_valid_symbol(centre[1]):
        chosen = sorted(bonded_to(structure, centre[1], [element]) & set(sites))
    if not chosen:
        known = sorted({each for index in sites for each in names[index]})
        raise ValueError(
            f'{name}: no site{f" of {element}" if element else ""} has this name; there are '
            f'{", ".join(known) or "no names"}.'
        )
    return chosen


def describe_sublattices(structure: Structure, names: list[tuple[str, ...]]) -> list[tuple[str, str, int]]:
    """Return the sets of sites of a crystal: occupants, names, and number of sites.

    :param structure: a crystal; its occupancies may be partial.
    :param names: of each site, as :func:`site_names` returns them.
    """
    groups: dict[tuple[str, str], int] = {}
    tied = {
        index: f'{CENTRE}{element}'
        for element in sorted({each for i in range(len(structure)) for each in elements_of(structure, i)})
        if element != CENTRE and _is_anion(element)
        for index in bonded_to(structure, CENTRE, [element])
    }
    for index, site in enumerate(structure):
        bond = (f'bonded to {CENTRE}',) if index in tied else ()
        key = site.species_string, ', '.join((*names[index], *bond))
        groups[key] = groups.get(key, 0) + 1
    return [(species, text, number) for (species, text), number in groups.items()]
