"""Surfaces of known area, closed across the faces of the cell, and the file for viewers."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io.cube import read_cube_data

from aiida_dpasse.landscape.isosurface import triangles, write_cube


def area(corners, cell):
    """Return the area in A^2 of triangles in fractional coordinates."""
    edges = (corners[:, 1:] - corners[:, :1]) @ cell
    return 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum()


def distances(shape, cell, centre):
    """Return the distance of each voxel to the nearest image of a point in an orthogonal cell."""
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing='ij'), axis=-1) - centre
    return np.linalg.norm((grid - np.rint(grid)) @ cell, axis=-1)


@pytest.mark.parametrize('centre', [(0.5, 0.5, 0.5), (0.0, 0.98, 0.3)])
def test_a_sphere_has_its_area(centre):
    """4 pi r^2, wherever it is in the cell, and every corner is at the radius."""
    cell = np.diag([8.0, 9.0, 10.0])
    values = distances((40, 45, 50), cell, np.array(centre))
    found = triangles(values, 2.5)
    assert area(found, cell) == pytest.approx(4 * np.pi * 2.5**2, rel=0.01)
    apart = found.reshape(-1, 3) - centre
    radii = np.linalg.norm((apart - np.rint(apart)) @ cell, axis=1)
    assert radii == pytest.approx(np.full(len(radii), 2.5), abs=0.02)
    assert len(triangles(values, 20.0)) == 0


def test_infinite_values_are_walls():
    """A layer between walls has two faces."""
    values = np.full((10, 4, 4), np.inf)
    values[4:6] = 0.0
    found = triangles(values, 0.5)
    assert area(found, np.eye(3)) == pytest.approx(2.0)
    assert sorted(set(np.round(found[..., 0].ravel(), 6))) == [0.35, 0.55]


def test_the_file_holds_the_landscape(tmp_path):
    """In eV, with the walls at the highest level, atoms and cell in A."""
    values = np.arange(24.0).reshape(2, 3, 4)
    values[0, 0, 0] = np.inf
    cell = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 1.0, 6.0]])
    write_cube(tmp_path / 'level.cube', values, cell, [0.25, 0.0, 0.0], [3, 17], [[0, 0, 0], [1, 2, 3]])
    data, atoms = read_cube_data(str(tmp_path / 'level.cube'))
    values[0, 0, 0] = 23.0
    np.testing.assert_allclose(data, values)
    np.testing.assert_allclose(atoms.cell, cell, atol=1e-5)
    np.testing.assert_allclose(atoms.positions, [[0, 0, 0], [1, 2, 3]], atol=1e-5)
    assert atoms.numbers.tolist() == [3, 17]
    origin = [float(word) for word in (tmp_path / 'level.cube').read_text().splitlines()[2].split()[1:4]]
    assert origin == pytest.approx([1.0 / 0.529177, 0, 0], rel=1e-4)
