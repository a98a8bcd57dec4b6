"""Crystals built from published crystallography, as pymatgen Structures (ordered, fully occupied,
deterministic).

pymatgen rather than ASE, because it knows symmetry, neighbours and partial occupancies, and because AiiDA's
StructureData takes it as it is.
"""

from __future__ import annotations

from itertools import product

import numpy as np
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


def argyrodite(
    halogen: str = 'Cl', *, a: float | None = None, lithium: str = '48h', primitive: bool = False
) -> Structure:
    """Lithium argyrodite Li6PS5X without site disorder: X on 4a, free S on 4c, P on 4b, S of PS4 on 16e of
    F-43m (216).

    :param halogen: 'Cl', 'Br' or 'I'.
    :param a: cubic lattice constant in A; by default the measured one.
    :param lithium: '48h' puts Li on one site of each half-occupied 48h pair, the choice with the fewest short
        Li-Li contacts (2.2 A; some are unavoidable); this lowers the symmetry, the framework keeps it. '24g'
        puts Li in the middle of each pair, which keeps F-43m exactly but lies about 0.03 eV/atom higher.
    :param primitive: the 13-atom face-centred primitive cell instead of the 52-atom cube.
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
    """Rock salt (Fm-3m, 225): cation on 4a, anion on 4b; 8 atoms, or 2 in the primitive cell.

    :param a: cubic lattice constant in A; by default the measured one of the lithium halide.
    :raises ValueError: for an anion without a known lattice constant when `a` is not given.
    """
    if cation != 'Li' and a is None:
        raise ValueError(f'a: no lattice constant is known for {cation}{anion}; give one in A.')
    edge = _lattice_constant(anion, a, ROCK_SALT_LATTICE, 'anion')
    return _face_centred(edge, {cation: np.zeros((1, 3)), anion: np.array([[0.5, 0.5, 0.5]])}, primitive)


def _lattice_constant(element: str, a: float | None, known: dict[str, float], name: str) -> float:
    """The given lattice constant or the known one, both checked."""
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
    """Fractional (cubic) coordinates (6, 3) of the Li cage of the free S at (1/4, 1/4, 1/4)."""
    centres, splits = [], []
    for axis, sign in product(range(3), (1, -1)):
        centre, split = np.zeros(3), np.zeros(3)
        centre[axis] = sign * LITHIUM_HEIGHT
        # The -4 axis turns the pair by a right angle between the two ends of each cube axis; both ends point
        # to halogens.
        split[(axis + 1) % 3] = LITHIUM_SPLIT
        split[(axis + 2) % 3] = -sign * LITHIUM_SPLIT
        centres.append(0.25 + centre)
        splits.append(split)
    if lithium == '24g':
        return np.array(centres)
    candidates = (np.array(centres) + np.array(choice)[:, None] * splits for choice in product((-1, 1), repeat=6))
    return min(candidates, key=_crowding)  # min() keeps the first of equals, so the choice never varies


def _crowding(fractional: NDArray[np.float64]) -> float:
    """Repulsion of the Li of the primitive cell: sum of r^-12 over near pairs (cubic units), rounded so that
    equals are equal."""
    lattice = 0.5 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    shifts = np.array(list(product(range(-2, 3), repeat=3))) @ lattice
    vectors = fractional[:, None, None, :] - fractional[None, :, None, :] + shifts
    lengths = np.linalg.norm(vectors, axis=-1)
    lengths[lengths < 1e-9] = np.inf
    return float(round(np.sum((0.3 / lengths) ** 12), 6))


def _face_centred(edge: float, sites: dict[str, NDArray[np.float64]], primitive: bool) -> Structure:
    """Structure of a face-centred cubic crystal from the sites (fractional, cubic) of one lattice point,
    grouped by element."""
    centring = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    vectors, translations = (centring[1:], centring[:1]) if primitive else (np.eye(3), centring)
    species = [element for element, points in sites.items() for _ in range(len(points) * len(translations))]
    cubic = np.vstack([(points[:, None, :] + translations).reshape(-1, 3) for points in sites.values()])
    # Rounded before they are wrapped, or a site at 0 would end at 1 - 1e-16.
    fractional = np.round(cubic @ np.linalg.inv(vectors), 12) % 1.0
    return Structure(Lattice(edge * vectors), species, fractional)
