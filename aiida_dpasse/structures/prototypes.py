"""Prototype crystals from published crystallographic data, as pymatgen Structures (deterministic).

Those of `prototypes.yaml` are facts: space group, lattice, sites with occupancies, source. Argyrodites and rock salts
are made by functions. pymatgen rather than ASE, because it handles symmetry, neighbours and partial occupancies, and
because AiiDA's StructureData accepts its structures directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

ARGYRODITE_LATTICE = {'Cl': 9.859, 'Br': 9.988, 'I': 10.142}
"""Cubic lattice constants of Li6PS5X in A at room temperature (Deiseroth et al., Angew. Chem. Int. Ed.
47, 755 (2008); Kraft et al., J. Am. Chem. Soc. 139, 10909 (2017) agree within 0.01 A)."""

ROCK_SALT_LATTICE = {'F': 4.026, 'Cl': 5.130, 'Br': 5.501, 'I': 6.000}
"""Cubic lattice constants of LiX in A at room temperature (R. W. G. Wyckoff, Crystal Structures, vol. 1,
Wiley (1963))."""

PHOSPHORUS_SULFUR_BOND = 2.05
"""Length in A of the P-S bond in PS4: it fixes the one free parameter of the S 16e site for any lattice
constant."""

LITHIUM_HEIGHT = 0.226
"""Fractional distance of Li from the free S (4c) along a cube axis: Li 24g (1/4, 1/4, 0.024)."""

LITHIUM_SPLIT = 0.066
"""Fractional displacement of Li 48h from the 24g site: (0.184, 0.184, 0.024), close to the refined
position in Li6PS5Cl (Kraft et al., 2017); the pair is 1.8 A apart, so that only one of the two is ever
occupied."""


ARGYRODITE_SITES = (('Li', '48h'), ('P', '4b'), ('S', '16e'), ('S', '4c'))
"""Names of the sites of an argyrodite beside 4a of the halogen; the S of PS4 is on 16e and the free S on 4c."""


@dataclass(frozen=True)
class Prototype:
    """A crystal as facts.

    :param name: its formula.
    :param space_group: Hermann-Mauguin symbol.
    :param coordinates: 'measured'; 'ideal', fixed by symmetry; 'isotypic', those of another crystal; 'relaxed', a
        minimum of a potential in the measured cell.
    :param source: DOI or reference of the lattice and, if they are measured, of the coordinates.
    :param note: what else the user should know, '' for nothing.
    """

    name: str
    space_group: str
    coordinates: str
    source: str
    note: str

    @property
    def structure(self) -> Structure:
        """The crystal, whose occupancies may be partial, with the Wyckoff positions as labels of the sites."""
        if self.name in _table()['prototypes']:
            return _from_table(_table()['prototypes'][self.name])
        if self.name.startswith('Li6PS5'):
            return _labelled_argyrodite(self.name.removeprefix('Li6PS5'))
        crystal = rock_salt(self.name.removeprefix('Li'))
        labels = ['4a' if site.specie.symbol == 'Li' else '4b' for site in crystal]
        return Structure(crystal.lattice, crystal.species, crystal.frac_coords, labels=labels)


def prototypes() -> dict[str, Prototype]:
    """Return all prototypes by name."""
    found = {
        name: Prototype(name, entry['space_group'], entry['coordinates'], entry['source'], entry.get('note', ''))
        for name, entry in _table()['prototypes'].items()
    }
    note = 'without exchange of S and halogen; lithium is ordered on half of 48h; S of PS4 from a P-S bond of 2.05 Å'
    for halogen in ARGYRODITE_LATTICE:
        name = f'Li6PS5{halogen}'
        found[name] = Prototype(name, 'F-43m', 'ideal', '10.1002/anie.200703900', note)
    for anion in ROCK_SALT_LATTICE:
        found[f'Li{anion}'] = Prototype(
            f'Li{anion}', 'Fm-3m', 'ideal', 'R. W. G. Wyckoff, Crystal Structures, vol. 1 (1963)', ''
        )
    return found


def prototype(name: str) -> Prototype:
    """Return a prototype.

    :param name: its formula, as in :func:`prototypes`.
    :raises ValueError: if there is none, with those that there are.
    """
    known = prototypes()
    if name not in known:
        raise ValueError(f'prototype: there is no {name}: give a file of it, or one of {", ".join(known)}.')
    return known[name]


def training_compounds() -> dict[str, bool]:
    """Return the 41 compounds of the training data of DPA-SSE, and whether there is a prototype of each.

    The others need a file. Source: npj Comput. Mater. 11, 266 (2025).
    """
    table = _table()
    return dict.fromkeys(table['training'], True) | dict.fromkeys(table['needs_file'], False)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_name('prototypes.yaml').read_text(encoding='utf8'))
    return table


def _from_table(entry: dict[str, Any]) -> Structure:
    labels, species, coords = zip(*entry['sites'], strict=True)
    return Structure.from_spacegroup(
        entry['space_group'], Lattice.from_parameters(*entry['lattice']), species, coords, labels=labels, tol=1e-3
    )


def _labelled_argyrodite(halogen: str) -> Structure:
    crystal = argyrodite(halogen)
    labels = []
    for site in crystal:
        free = bool(np.allclose(site.frac_coords % 0.5, 0.25))
        names = [name for element, name in ARGYRODITE_SITES if element == site.specie.symbol]
        labels.append('4a' if not names else names[-1] if free else names[0])
    return Structure(crystal.lattice, crystal.species, crystal.frac_coords, labels=labels)


def argyrodite(
    halogen: str = 'Cl', *, a: float | None = None, lithium: str = '48h', primitive: bool = False
) -> Structure:
    """Return lithium argyrodite Li6PS5X without site disorder, in F-43m (216).

    X occupies 4a, free S 4c, P 4b and the S of PS4 16e.

    :param halogen: 'Cl', 'Br' or 'I'.
    :param a: cubic lattice constant in A; by default the measured one.
    :param lithium: '48h' puts Li on one site of each half-occupied 48h pair, the choice with the fewest short Li-Li
        contacts (2.2 A; some are unavoidable), which lowers the symmetry of Li but not that of the framework. '24g'
        puts Li in the middle of each pair, which keeps F-43m exactly but lies about 0.03 eV/atom higher.
    :param primitive: return the 13-atom primitive cell instead of the 52-atom cubic one.
    :raises ValueError: for an unknown halogen or lithium site, or a lattice constant that is not positive.
    """
    edge = _lattice_constant(halogen, a, ARGYRODITE_LATTICE, 'halogen')
    if lithium not in ('48h', '24g'):
        raise ValueError(f"lithium: the site is '48h' or '24g', got {lithium!r}.")
    sulfur = PHOSPHORUS_SULFUR_BOND / (np.sqrt(3.0) * edge)
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    sites = {
        'Li': _lithium_sites(lithium),
        'P': np.array([[0.5, 0.5, 0.5]]),
        'S': np.vstack([0.5 + sulfur * tetrahedron, [[0.25, 0.25, 0.25]]]),
        halogen: np.zeros((1, 3)),
    }
    return _face_centred(edge, sites, primitive)


def rock_salt(anion: str = 'Br', *, a: float | None = None, cation: str = 'Li', primitive: bool = False) -> Structure:
    """Return rock salt (Fm-3m, 225): cation on 4a, anion on 4b.

    :param anion: element.
    :param a: cubic lattice constant in A; by default the measured one of the lithium halide.
    :param cation: element.
    :param primitive: return the 2-atom primitive cell instead of the 8-atom cubic one.
    :raises ValueError: for an anion or cation without a known lattice constant when `a` is not given, or a lattice
        constant that is not positive.
    """
    if cation != 'Li' and a is None:
        raise ValueError(f'a: no lattice constant is known for {cation}{anion}; give one in A.')
    edge = _lattice_constant(anion, a, ROCK_SALT_LATTICE, 'anion')
    return _face_centred(edge, {cation: np.zeros((1, 3)), anion: np.array([[0.5, 0.5, 0.5]])}, primitive)


def _lattice_constant(element: str, a: float | None, known: dict[str, float], name: str) -> float:
    """Return the given or the known lattice constant in A.

    :raises ValueError: if it is unknown or not positive.
    """
    if a is None:
        if element not in known:
            raise ValueError(
                f'{name}: no lattice constant is known for {element!r}; use one of {", ".join(known)} or give `a` in A.'
            )
        return known[element]
    if not a > 0:
        raise ValueError(f'a: the lattice constant should be a positive length in A, got {a}.')
    return float(a)


def _lithium_sites(lithium: str) -> NDArray[np.float64]:
    """Return the fractional (cubic) coordinates (6, 3) of the Li cage around the free S at (1/4, 1/4, 1/4)."""
    centres, splits = [], []
    for axis, sign in product(range(3), (1, -1)):
        centre, split = np.zeros(3), np.zeros(3)
        centre[axis] = sign * LITHIUM_HEIGHT
        # The -4 axis rotates the pair by 90 degrees between the two ends of each cube axis; both ends point to
        # halogens.
        split[(axis + 1) % 3] = LITHIUM_SPLIT
        split[(axis + 2) % 3] = -sign * LITHIUM_SPLIT
        centres.append(0.25 + centre)
        splits.append(split)
    if lithium == '24g':
        return np.array(centres)
    candidates = (np.array(centres) + np.array(choice)[:, None] * splits for choice in product((-1, 1), repeat=6))
    return min(candidates, key=_crowding)  # min() returns the first of equal minima, so the choice is deterministic


def _crowding(fractional: NDArray[np.float64]) -> float:
    """Return the repulsion of the Li in the primitive cell: the sum of r^-12 over near pairs (cubic units).

    It is rounded, so that equivalent arrangements compare equal.
    """
    lattice = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    shifts = np.array(list(product(range(-2, 3), repeat=3))) @ lattice
    vectors = fractional[:, None, None, :] - fractional[None, :, None, :] + shifts
    lengths = np.linalg.norm(vectors, axis=-1)
    lengths[lengths < 1e-9] = np.inf
    return float(round(np.sum((0.3 / lengths) ** 12), 6))


def _face_centred(edge: float, sites: dict[str, NDArray[np.float64]], primitive: bool) -> Structure:
    """Return a face-centred cubic structure from the sites of one lattice point, fractional (cubic), by element."""
    centring = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    vectors, translations = (centring[1:], centring[:1]) if primitive else (np.eye(3), centring)
    species = [element for element, points in sites.items() for _ in range(len(points) * len(translations))]
    cubic = np.vstack([(points[:, None, :] + translations).reshape(-1, 3) for points in sites.values()])
    # Rounded before wrapping, or a site at 0 could end up at 1 - 1e-16.
    fractional = np.round(cubic @ np.linalg.inv(vectors), 12) % 1.0
    return Structure(Lattice(edge * vectors), species, fractional)
