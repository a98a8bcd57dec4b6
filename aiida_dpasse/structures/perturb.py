"""Random perturbation of a crystal by scaling, strain and displacements, reproducible from a seed, in the convention of
DP-GEN (dpdata `System.perturb`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from aiida_dpasse.structures.disorder import require_ordered
from aiida_dpasse.structures.distances import minimum_distance

ATTEMPTS = 50


@dataclass(frozen=True)
class Perturbed:
    """One perturbed structure, with its linear `scale` and its `index` within that scale."""

    structure: Structure
    scale: float
    index: int


def strain_matrix(cell_fraction: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return a random symmetric deformation (3, 3), as DP-GEN draws it.

    It is 1 + e on the diagonal and e/2 off it, with each e uniform in +-cell_fraction.

    :param cell_fraction: largest strain of each component.
    :param generator: source of the random numbers.
    """
    strain = generator.uniform(-cell_fraction, cell_fraction, size=6)
    return np.array(
        [
            [1.0 + strain[0], 0.5 * strain[5], 0.5 * strain[4]],
            [0.5 * strain[5], 1.0 + strain[1], 0.5 * strain[3]],
            [0.5 * strain[4], 0.5 * strain[3], 1.0 + strain[2]],
        ]
    )


def perturb(
    structure: Structure,
    number: int,
    *,
    cell_fraction: float,
    displacement: float,
    seed: int,
    scales: Sequence[float] = (1.0,),
    closest: float = 1.0,
) -> list[Perturbed]:
    """Return `number` perturbed copies of a structure at each linear scale.

    :param structure: an ordered structure.
    :param number: of copies per scale.
    :param cell_fraction: largest relative strain of each component (DP-GEN's `cell_pert_fraction`).
    :param displacement: root mean square displacement of an atom in A, normally distributed in each direction
        (`atom_pert_distance`, style normal).
    :param seed: of the numpy Generator; the same seed gives the same structures.
    :param scales: linear factors on the cell, applied before the strain.
    :param closest: a draw with two atoms closer than this (A) is rejected and repeated.
    :raises ValueError: for inputs out of range, partial occupancies, or if no draw in 50 keeps the atoms apart.
    """
    require_ordered(structure)
    if number < 0 or not 0 <= cell_fraction < 0.5 or not displacement >= 0:
        raise ValueError(
            'perturbations: `number` and `displacement` should not be negative and `cell_fraction` should be '
            'at least 0 and below 0.5, '
            f'got {number}, {displacement} and {cell_fraction}.'
        )
    if not scales or min(scales) <= 0:
        raise ValueError(f'scales: give one or more positive factors, got {list(scales)}.')
    generator = np.random.default_rng(seed)
    cell, positions = np.asarray(structure.lattice.matrix), np.asarray(structure.cart_coords)
    drawn = []
    for scale in scales:
        for index in range(number):
            new_cell, moved = draw(cell, positions, scale, cell_fraction, displacement, closest, generator)
            perturbed = Structure(new_cell, structure.species, moved, coords_are_cartesian=True)
            drawn.append(Perturbed(perturbed, float(scale), index))
    return drawn


def draw(
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    scale: float,
    cell_fraction: float,
    displacement: float,
    closest: float,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return one perturbed cell (3, 3) and its positions (natoms, 3), in A, with all atoms at least `closest` A apart.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (natoms, 3) A.
    :param scale: linear factor on the cell.
    :param cell_fraction: as in :func:`perturb`.
    :param displacement: as in :func:`perturb`, A.
    :param closest: A.
    :param generator: source of the random numbers.
    :raises ValueError: if two atoms are closer than that in each of 50 draws.
    """
    fractional = positions @ np.linalg.inv(cell)
    for _ in range(ATTEMPTS):
        strained = scale * cell @ strain_matrix(cell_fraction, generator)
        moved = fractional @ strained + generator.normal(scale=displacement / np.sqrt(3.0), size=fractional.shape)
        if minimum_distance(strained, moved) >= closest:
            return strained, moved
    raise ValueError(
        f'perturbations: {ATTEMPTS} draws at scale {scale} all have two atoms closer than {closest} A; '
        'use a '
        'smaller `displacement` or a larger scale.'
    )
