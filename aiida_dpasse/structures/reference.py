"""The sites of a refined crystal in the cell of a trajectory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymatgen.core import Structure

#: Largest relative difference between the cell of the trajectory and the supercell of the crystal.
STRAIN = 0.06
#: Largest mean distance of the framework's atoms from their sites, A.
AWAY = 0.8


def place_sites(
    crystal: Structure, cell: ArrayLike, symbols: Sequence[str], framework: ArrayLike, ion: str
) -> tuple[NDArray[np.float64], list[str]]:
    """Return the sites of an ion in a crystal, repeated in the cell of a trajectory, with their labels.

    The origin is that at which the framework of the trajectory is closest to that of the crystal.

    :param crystal: the refined crystal, with or without partial occupancies.
    :param cell: of the trajectory, (3, 3) A.
    :param symbols: element of each atom of the framework.
    :param framework: mean fractional coordinates of these atoms, (n, 3).
    :param ion: the mobile element.
    :returns: fractional coordinates (n, 3) in the cell of the trajectory, and labels.
    :raises ValueError: if the crystal has no such ion, the cell is no supercell of the crystal's, or its framework is
        another.
    """
    lattice, hosts = np.asarray(cell, dtype=float), np.asarray(framework, dtype=float)
    own = np.asarray(crystal.lattice.matrix)
    repeats = np.rint(lattice @ np.linalg.inv(own))
    volume = np.linalg.det(repeats)
    if volume < 0.5 or np.abs(repeats @ own - lattice).max() > STRAIN * np.linalg.norm(lattice, axis=1).max():
        raise ValueError(
            'The cell of the trajectory is no supercell of that of the crystal: give the crystal in the same setting.'
        )
    mobile = [any(element.symbol == ion for element in site.species) for site in crystal]
    if not any(mobile):
        raise ValueError(f'The crystal has no site of {ion}.')
    # pymatgen's supercells have no labels.
    large = crystal.copy(site_properties={'named': crystal.labels}).make_supercell(repeats.astype(int), in_place=False)
    ions = [any(element.symbol == ion for element in site.species) for site in large]
    places = np.asarray(large.frac_coords)
    targets = places[~np.array(ions)]
    species = [
        {element.symbol for element in site.species} for site, own_ion in zip(large, ions, strict=True) if not own_ion
    ]
    counts = Counter(symbols)
    shared = [
        name for name in sorted(counts, key=lambda name: (counts[name], name)) if any(name in each for each in species)
    ]
    if not shared:
        raise ValueError('The framework of the trajectory and that of the crystal have no element in common.')
    start = targets[next(index for index, each in enumerate(species) if shared[0] in each)]
    best = (np.inf, np.zeros(3))
    for atom in np.flatnonzero(np.array(symbols) == shared[0]):
        shift = hosts[atom] - start
        apart = (hosts - shift)[:, None] - targets
        vectors = apart - np.rint(apart)
        nearest = np.argmin(np.sum((vectors @ lattice) ** 2, axis=-1), axis=1)
        chosen = vectors[np.arange(len(hosts)), nearest]
        # The atom that gave the origin vibrates as well: the mean of all is the better origin.
        centred = (chosen - chosen.mean(axis=0)) @ lattice
        best = min(
            best, (float(np.linalg.norm(centred, axis=1).mean()), shift + chosen.mean(axis=0)), key=lambda item: item[0]
        )
    if best[0] > AWAY:
        raise ValueError(
            f'The framework of the trajectory is {best[0]:.1f} A from that of the crystal on average: give its crystal.'
        )
    labels = [site.properties['named'] for site, own_ion in zip(large, ions, strict=True) if own_ion]
    return (places[np.array(ions)] + best[1]) % 1.0, labels
