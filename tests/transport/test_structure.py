"""Van Hove, radial distributions, densities and hops against exact truths."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io import read
from ase.io.cube import read_cube
from ase.units import Bohr
from pymatgen.io.vasp import Chgcar

from aiida_dpasse.transport.density import ion_density, write_chgcar, write_cube
from aiida_dpasse.transport.hops import find_hops
from aiida_dpasse.transport.neighbours import reach
from aiida_dpasse.transport.vanhove import distinct_part, non_gaussian_parameter, self_part

CELL = np.array([[12.0, 0, 0], [2, 12, 0], [3, -1, 12]])


def test_many_lags_are_those_one_by_one():
    positions = np.cumsum(np.random.default_rng(0).normal(size=(60, 10, 3)), axis=0)
    edges = np.linspace(0, 5, 21)
    lags = [1, 5, 20]
    for rows, one in (
        (self_part(positions, lags, edges), lambda lag: self_part(positions, lag, edges)),
        (distinct_part(positions, CELL, lags, edges), lambda lag: distinct_part(positions, CELL, lag, edges)),
        (non_gaussian_parameter(positions, lags), lambda lag: non_gaussian_parameter(positions, lag)),
    ):
        np.testing.assert_allclose(rows, [one(lag) for lag in lags])
    uneven = np.array([0, 1.0, 1.5, 4.0])
    counts = np.histogram(np.linalg.norm(positions[5:] - positions[:-5], axis=-1), uneven)[0]
    np.testing.assert_allclose(self_part(positions, 5, uneven), counts / (55 * 10 * np.diff(uneven)))
    with pytest.raises(ValueError, match='as long as the trajectory'):
        self_part(positions, 60, edges)


def test_hops_of_one_length_have_the_excess_that_poisson_says():
    """n independent hops on average of length a: <r^2> = n a^2, <r^4> = 5/3 n^2 a^4 + n a^4, so alpha_2 = 3 / (5 n)."""
    rng = np.random.default_rng(1)
    forward, backward = rng.poisson(0.1 / 6, size=(2, 1500, 300, 3))
    positions = np.cumsum(2.0 * (forward - backward), axis=0)
    assert non_gaussian_parameter(positions, 20) == pytest.approx(0.3, abs=0.03)


def test_distances_beyond_which_images_count_twice_are_refused():
    positions = np.random.default_rng(2).random((3, 60, 3)) @ CELL
    with pytest.raises(ValueError, match='images begin to count twice'):
        distinct_part(positions, CELL, 1, np.linspace(0, reach(CELL) + 0.1, 5))


def test_density_counts_every_ion_and_files_hold_it(tmp_path):
    rng = np.random.default_rng(3)
    positions = rng.normal(scale=0.3, size=(200, 5, 3)) + np.array([[3.0, 4, 5]]) @ CELL / 12
    density = ion_density(positions, CELL, spacing=0.7)
    voxel = abs(np.linalg.det(CELL)) / density.size
    assert density.sum() * voxel == pytest.approx(5)
    peak = np.array(np.unravel_index(density.argmax(), density.shape)) / density.shape
    np.testing.assert_allclose(peak, np.array([3, 4, 5]) / 12, atol=0.06)
    # Wrapped or not, and in a cell that breathes, ions are where they are.
    scales = 1 + 0.02 * np.sin(np.arange(200))[:, None, None]
    breathing = ion_density(positions * scales + CELL[0] * scales, CELL * scales, spacing=0.7)
    assert np.count_nonzero(breathing) == pytest.approx(np.count_nonzero(density), rel=0.05)
    sites = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0, 0]])
    write_chgcar(tmp_path / 'CHGCAR', density, CELL, ['S', 'Li', 'S'], sites)
    found = Chgcar.from_file(str(tmp_path / 'CHGCAR'))
    np.testing.assert_allclose(found.data['total'] / np.linalg.det(CELL), density, atol=1e-9)
    assert [site.species_string for site in found.structure] == ['Li', 'S', 'S']
    write_cube(tmp_path / 'a.cube', density, CELL, [16, 3, 16], sites)
    with (tmp_path / 'a.cube').open() as handle:
        cube = read_cube(handle)
    np.testing.assert_allclose(cube['data'] / Bohr**3, density, rtol=1e-4)
    np.testing.assert_allclose(read(tmp_path / 'a.cube').get_scaled_positions()[1], [0.5] * 3, atol=1e-6)
    with pytest.raises(ValueError, match='should be positive'):
        ion_density(positions, CELL, spacing=0)


def test_hops_are_counted_and_rattling_is_not():
    """Ions that hop between sites 3 A apart, with rattling that crosses the border: every hop and none besides."""
    rng = np.random.default_rng(4)
    frames, ions, size = 600, 12, 5
    sites = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing='ij'), axis=-1).reshape(-1, 3) / size
    cell = np.eye(3) * 3.0 * size
    home = rng.integers(size, size=(ions, 3))
    axis, sign = rng.integers(3, size=(frames, ions)), rng.choice([-1, 1], size=(frames, ions))
    moved = rng.random((frames, ions)) < 0.03
    moved[0] = False
    moved[1:] &= ~moved[:-1]
    steps = np.zeros((frames, ions, 3))
    np.put_along_axis(steps, axis[..., None], (sign * moved)[..., None], axis=2)
    lattice = home + np.cumsum(steps, axis=0)
    positions = 3.0 * lattice
    # Far from the core, beyond the border, but never at another site; it does not happen on the way of a hop.
    away = (rng.random((frames, ions)) < 0.1) & ~moved
    positions[..., 0] += np.where(away, 1.8, 0.0)
    found = find_hops(positions, cell, sites, 0.1, core=1.0)
    assert len(found.events) == moved.sum()
    assert found.rate[0] == pytest.approx(moved.sum() / (ions * 0.1 * (frames - 1)))
    assert found.residence_time == pytest.approx(1 / found.rate[0])
    assert len(found.events) == moved.sum()
    assert (found.events[:, 2] != found.events[:, 3]).all()
    # A random walk goes back in one hop of six.
    assert found.back_jumps() == pytest.approx(1 / 6, abs=0.08)
    for frame, ion, left, reached in found.events[:20]:
        np.testing.assert_allclose(sites[left] * size, lattice[frame - 1, ion] % size)
        np.testing.assert_allclose(sites[reached] * size, lattice[frame, ion] % size)
    still = find_hops(positions[:1].repeat(5, axis=0), cell, sites, 0.1, core=1.0)
    assert (still.residence_time, still.back_jumps(), len(still.events)) == (None, None, 0)
    with pytest.raises(ValueError, match=r'Cores of 1\.6 A overlap'):
        find_hops(positions, cell, sites, 0.1, core=1.6)
    with pytest.raises(ValueError, match='1 frames hold no hop'):
        find_hops(positions[:1], cell, sites, 0.1, core=1.0)
