"""Seeded perturbation of a crystal: scaled, strained and with displaced atoms, in the convention of DP-GEN
(dpdata `System.perturb`)."""

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
    """One perturbed structure, and the linear `scale` and running `index` (within that scale) it was made
    with."""

    structure: Structure
    scale: float
    index: int


def strain_matrix(cell_fraction: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Symmetric deformation (3, 3): 1 + e on the diagonal, e/2 beside it, each e uniform in +-cell_fraction
    (DP-GEN)."""
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
    """`number` perturbed copies of a structure at each linear scale.

    :param cell_fraction: largest relative strain of each component (DP-GEN's `cell_pert_fraction`).
    :param displacement: root mean square displacement of an atom in A, normal in each direction
        (`atom_pert_distance`, style normal).
    :param seed: of the numpy Generator; the same seed gives the same structures.
    :param scales: linear factors on the cell, applied before the strain.
    :param closest: a draw with two atoms nearer than this (A) is refused and drawn again.
    :raises ValueError: for inputs out of range, partial occupancies, or if no draw in 50 keeps the atoms
        apart.
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
    """One draw whose atoms keep at least `closest` A apart: the new cell (3, 3) and positions (natoms, 3), in
    A.

    :raises ValueError: if 50 draws all bring two atoms nearer.
    """
    fractional = positions @ np.linalg.inv(cell)
    for _ in range(ATTEMPTS):
        strained = scale * cell @ strain_matrix(cell_fraction, generator)
        moved = fractional @ strained + generator.normal(scale=displacement / np.sqrt(3.0), size=fractional.shape)
        if minimum_distance(strained, moved) >= closest:
            return strained, moved
    raise ValueError(
        f'perturbations: {ATTEMPTS} draws at scale {scale} all brought two atoms nearer than {closest} A; '
        'use a '
        'smaller `displacement` or a larger scale.'
    )
