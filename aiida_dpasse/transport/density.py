"""Ion density on a grid, and volumetric files for structure viewers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import cube
from ase.units import Bohr
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.vasp import Chgcar

Array = NDArray[np.float64]


def ion_density(positions: Any, cell: Any, spacing: float = 0.2) -> Array:
    """Return the number density of ions in A^-3 on a grid (nx, ny, nz).

    The sum over the grid times the volume of a voxel equals the number of ions.

    :param positions: (frames, ions, 3) A, wrapped or not.
    :param cell: lattice vectors as rows, (3, 3) or (frames, 3, 3) A; for a varying cell (NPT) the density is mapped
        onto the mean cell.
    :param spacing: largest distance between grid points along each lattice vector, A. Voxels are centred on the grid
        points, as in the file formats written here.
    :raises ValueError: if the spacing is not positive.
    """
    if spacing <= 0:
        raise ValueError(f'The spacing of the grid is {spacing:g} A and should be positive.')
    points = np.asarray(positions, dtype=float)
    lattice = np.asarray(cell, dtype=float)
    mean = lattice.mean(axis=0) if lattice.ndim == 3 else lattice
    shape = np.ceil(np.linalg.norm(mean, axis=1) / spacing).astype(int)
    counts = np.zeros(int(np.prod(shape)))
    for frame, point in enumerate(points):
        scaled = point @ np.linalg.inv(lattice[frame] if lattice.ndim == 3 else lattice)
        index = np.rint(scaled * shape).astype(np.int64) % shape
        counts += np.bincount(np.ravel_multi_index(tuple(index.T), tuple(shape)), minlength=len(counts))
    voxel = abs(np.linalg.det(mean)) / len(counts)
    return np.asarray(counts.reshape(shape) / (len(points) * voxel))


def write_chgcar(path: Path, density: Any, cell: Any, symbols: Sequence[str], sites: Any) -> None:
    """Write a density in VASP's CHGCAR format, which stores the density times the volume of the cell.

    :param path: the file to write.
    :param density: A^-3, (nx, ny, nz).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param symbols: (n,), elements of the atoms drawn with it.
    :param sites: fractional coordinates of these atoms, (n, 3).
    """
    # CHGCAR lists the atoms grouped by element.
    order = np.argsort(np.array(symbols), kind='stable')
    structure = Structure(cell, np.array(symbols)[order].tolist(), np.asarray(sites, dtype=float)[order])
    Chgcar(structure, {'total': np.asarray(density, dtype=float) * structure.volume}).write_file(str(path))


def write_cube(path: Path, density: Any, cell: Any, numbers: Sequence[int], sites: Any) -> None:
    """Write a density as a Gaussian cube file, in atomic units.

    :param path: the file to write.
    :param density: A^-3, (nx, ny, nz).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param numbers: (n,), atomic numbers of the atoms drawn with it.
    :param sites: fractional coordinates of these atoms, (n, 3).
    """
    atoms = Atoms(numbers, scaled_positions=sites, cell=cell, pbc=True)
    with path.open('w') as handle:
        cube.write_cube(handle, atoms, np.asarray(density, dtype=float) * Bohr**3, comment='ions per cubic bohr')
