"""Ion density on a grid, and volumetric files for structure viewers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Bohr radius in A (CODATA 2018).
BOHR = 0.529177210903


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
    grid, lattice = np.asarray(density, dtype=float), np.asarray(cell, dtype=float)
    # CHGCAR lists the atoms grouped by element.
    order = np.argsort(np.array(symbols), kind='stable')
    kinds, counts = np.unique(np.array(symbols), return_counts=True)
    lines = ['density of mobile ions', '1.0', *(' '.join(f'{value:.10f}' for value in row) for row in lattice)]
    lines += [' '.join(kinds), ' '.join(str(count) for count in counts), 'Direct']
    lines += [' '.join(f'{value:.10f}' for value in site) for site in np.asarray(sites, dtype=float)[order]]
    lines += ['', ' '.join(str(number) for number in grid.shape)]
    # In CHGCAR the first axis runs fastest.
    lines += _rows(grid.ravel(order='F') * abs(np.linalg.det(lattice)), 5, '18.11E')
    path.write_text('\n'.join(lines) + '\n')


def write_cube(path: Path, density: Any, cell: Any, numbers: Sequence[int], sites: Any) -> None:
    """Write a density as a Gaussian cube file, in atomic units.

    :param path: the file to write.
    :param density: A^-3, (nx, ny, nz).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param numbers: (n,), atomic numbers of the atoms drawn with it.
    :param sites: fractional coordinates of these atoms, (n, 3).
    """
    grid, lattice = np.asarray(density, dtype=float), np.asarray(cell, dtype=float) / BOHR
    lines = ['density of mobile ions', 'ions per cubic bohr', f'{len(numbers):5d} 0.0 0.0 0.0']
    for count, vector in zip(grid.shape, lattice, strict=True):
        lines.append(f'{count:5d} ' + ' '.join(f'{value / count:.10f}' for value in vector))
    for number, site in zip(numbers, np.asarray(sites, dtype=float) @ lattice, strict=True):
        lines.append(f'{number:5d} {float(number):.6f} ' + ' '.join(f'{value:.10f}' for value in site))
    # The cube format starts a new row for each (x, y); the third axis runs fastest.
    for line in (grid * BOHR**3).reshape(-1, grid.shape[2]):
        lines += _rows(line, 6, '13.5E')
    path.write_text('\n'.join(lines) + '\n')


def _rows(values: Array, width: int, form: str) -> list[str]:
    return [' '.join(f'{value:{form}}' for value in values[i : i + width]) for i in range(0, len(values), width)]
