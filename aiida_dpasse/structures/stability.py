"""Stability of a compound against decomposition into others.

The others need not include the elements, which a phase diagram of pymatgen requires.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linprog


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
