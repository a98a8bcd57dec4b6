"""Comparison of lattice parameters, and stability of a compound against decomposition into others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog


@dataclass(frozen=True)
class Lattice:
    """Lattice parameters.

    :param lengths: a, b and c in A.
    :param angles: alpha, beta and gamma in degrees.
    :param volume: A^3.
    """

    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    volume: float


def lattice_of(cell: ArrayLike) -> Lattice:
    """Return the lattice parameters of a cell.

    :param cell: lattice vectors as rows, (3, 3) A.
    """
    vectors = np.asarray(cell, dtype=float)
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / lengths[:, None]
    a, b, c = np.degrees(np.arccos(np.clip([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]], -1, 1)))
    first, second, third = (float(length) for length in lengths)
    return Lattice((first, second, third), (float(a), float(b), float(c)), float(abs(np.linalg.det(vectors))))


def decomposition_energies(
    compounds: Mapping[str, Sequence[str]], energies: Mapping[str, float]
) -> dict[str, tuple[float, dict[str, float]] | None]:
    """Return the energy of each compound relative to the most stable mixture of the others, negative if stable.

    :param compounds: element of each atom, by compound.
    :param energies: energy of the same atoms in eV, by compound.
    :returns: by compound, the energy in eV/atom and the fraction of the atoms in each compound of the mixture; None if
        the others cannot form its composition.
    """
    elements = sorted({symbol for symbols in compounds.values() for symbol in symbols})
    parts = {name: Counter(symbols) for name, symbols in compounds.items()}
    fractions = {name: np.array([part[e] for e in elements]) / part.total() for name, part in parts.items()}
    per_atom = {name: energies[name] / len(symbols) for name, symbols in compounds.items()}
    found: dict[str, tuple[float, dict[str, float]] | None] = {}
    for name in compounds:
        others = [other for other in compounds if other != name]
        found[name] = None
        if not others:
            continue
        matrix = np.stack([fractions[other] for other in others], axis=1)
        best = linprog([per_atom[other] for other in others], A_eq=matrix, b_eq=fractions[name], bounds=(0, None))
        if best.success:
            mixture = {other: float(x) for other, x in zip(others, best.x, strict=True) if x > 1e-9}
            found[name] = (per_atom[name] - float(best.fun), mixture)
    return found
