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
    return [
        Perturbed(
            _draw(structure, scale, cell_fraction, displacement, closest, generator), float(scale), index
        )
        for scale in scales
        for index in range(number)
    ]


def _draw(
    structure: Structure,
    scale: float,
    cell_fraction: float,
    displacement: float,
    closest: float,
    generator: np.random.Generator,
) -> Structure:
    """One draw whose atoms keep at least `closest` A apart."""
    fractional = np.asarray(structure.frac_coords)
    for _ in range(ATTEMPTS):
        cell = scale * np.asarray(structure.lattice.matrix) @ strain_matrix(cell_fraction, generator)
        moves = generator.normal(scale=displacement / np.sqrt(3.0), size=fractional.shape)
        positions = fractional @ cell + moves
        if minimum_distance(cell, positions) >= closest:
            return Structure(cell, structure.species, positions, coords_are_cartesian=True)
    raise ValueError(
        f'perturbations: {ATTEMPTS} draws at scale {scale} all brought two atoms of '
        f'{structure.composition.reduced_formula} nearer than '
        f'{closest} A; use a smaller `displacement` or a larger scale.'
    )
