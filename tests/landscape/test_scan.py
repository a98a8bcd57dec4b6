"""The grid, its symmetry, the scan of one ion, and the descriptors, against sums and searches over everything."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from ase.spacegroup import Spacegroup, crystal

from aiida_dpasse.landscape.descriptors import free_volume, ranking_descriptor
from aiida_dpasse.landscape.grid import Grid, Operations
from aiida_dpasse.landscape.level_map import level_map, lowest_voxel
from aiida_dpasse.landscape.percolation import percolation
from aiida_dpasse.landscape.scan import representatives, scan_ion
from aiida_dpasse.landscape.spacegroup import symmetry_of

TILTED = np.array([[5.0, 0.0, 0.0], [-2.0, 4.5, 0.0], [1.0, -1.5, 6.0]])


def pair_energy(cell, sites, fractional, reach=5.5, images=3):
    """Return the energies of an ion at points (m, 3): a repulsion and an attraction from every image within reach."""
    shifts = np.array(list(product(range(-images, images + 1), repeat=3)))
    apart = (np.asarray(fractional)[:, None, None] - np.asarray(sites)[None, :, None] + shifts) @ cell
    distances = np.linalg.norm(apart, axis=-1)
    terms = np.where(distances < reach, 5.0 * np.exp(2.0 * (1.8 - distances)) - 1.0 * np.exp(1.8 - distances), 0.0)
    return terms.sum(axis=(1, 2))


def test_numbers_of_points_are_those_of_the_definition():
    """ceil(|a_k| / 0.25 A), also where a length is a whole number of spacings."""
    assert Grid.of(TILTED, 0.25).shape == (20, 20, 26)
    assert Grid.of(np.eye(3) * (0.1 + 0.2) * 10, 0.25).shape == (12, 12, 12)
    grid = Grid.of(TILTED, 0.25)
    assert grid.fractional([1, 26])[:, 1:] == pytest.approx(np.array([[0, 1 / 26], [1 / 20, 0]]))


def test_voxels_near_an_atom_are_found_in_any_cell():
    """Against the distances to 343 images of every atom, one of them outside of the cell."""
    grid = Grid.of(TILTED, 0.5)
    atoms = np.array([[0.02, 0.97, 0.5], [1.4, -0.3, 0.25]])
    shifts = np.array(list(product(range(-3, 4), repeat=3)))
    apart = (grid.fractional(np.arange(grid.size))[:, None, None] - atoms[None, :, None] + shifts) @ TILTED
    nearest = np.linalg.norm(apart, axis=-1).min(axis=(1, 2))
    for distance in (0.3, 1.2, 3.0):
        assert (grid.far_from(atoms, distance).ravel() == (nearest >= distance)).all()
    corners = grid.fractional(grid.nearest(atoms[1])) - atoms[1]
    corners -= np.rint(corners)
    assert (np.abs(corners * grid.shape) < 1 + 1e-9).all()


@pytest.fixture(scope='module')
def zincblende():
    """Cell, fractional positions and symmetry of a crystal of space group 216, lithium first."""
    atoms = crystal(['Li', 'S'], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[5.7, 5.7, 5.7, 90, 90, 90])
    cell, fractional = atoms.cell.array, atoms.get_scaled_positions()
    return cell, fractional, symmetry_of(cell, atoms.get_chemical_symbols(), fractional)


def test_the_grid_suits_the_symmetry(zincblende):
    """All 96 operations of the cell: 5.7 A with 0.5 A are 12 points, which fourths of the cell fall onto."""
    cell, fractional, operations = zincblende
    assert len(operations) == len(Spacegroup(216).get_symop()) == 96
    grid = Grid.of(cell, 0.5, operations)
    assert grid.shape == (12, 12, 12)
    assert Grid.of(cell, 0.45, operations).shape == (14, 14, 14)
    assert operations.on_grid(grid.shape).all()
    assert not operations.on_grid((13, 13, 13)).all()
    lithium = operations.permutations(cell, fractional[:4], 1e-3)
    # Each of the four sites is fixed by a fourth of the group.
    assert [(lithium[:, site] == site).sum() for site in range(4)] == [24] * 4
    images = list(grid.images(operations))
    assert all(len(set(image)) == grid.size for image in images[::7])


def test_the_origin_of_a_shifted_crystal_is_found(zincblende):
    """Every atom moved by an arbitrary vector: the grid moves with it."""
    cell, fractional, _ = zincblende
    moved = fractional + np.array([0.123, 0.456, 0.789])
    operations = symmetry_of(cell, ['Li'] * 4 + ['S'] * 4, moved)
    grid = Grid.of(cell, 0.5, operations)
    assert grid.shape == (12, 12, 12)
    assert operations.about(grid.origin).on_grid(grid.shape).all()
    assert (grid.origin != 0).all()


@pytest.mark.parametrize(('number', 'cellpar'), [(216, [5.7, 5.7, 5.7, 90, 90, 90]), (152, [5, 5, 6, 90, 90, 120])])
def test_equivalent_voxels_have_equal_energies(number, cellpar):
    """A scan of one voxel of each set equals the scan of all, in cubic and in hexagonal cells."""
    oxygen = (0.1, 0.2, 0.4) if number == 152 else (0.5, 0.5, 0.5)
    sites = [(0, 0, 0), (0.25, 0.25, 0.25), oxygen]
    atoms = crystal(['Li', 'S', 'O'], sites, spacegroup=number, cellpar=cellpar)
    cell, fractional = atoms.cell.array, atoms.get_scaled_positions()
    group = symmetry_of(cell, atoms.get_chemical_symbols(), fractional)
    grid = Grid.of(cell, 0.6, group)
    group = group.about(grid.origin)
    group = group.take(group.on_grid(grid.shape))
    mobile = np.flatnonzero(atoms.numbers == 3)
    mapping = group.permutations(cell, fractional[mobile], 1e-3)
    fixed = group.take(mapping[:, 0] == 0)
    others = np.delete(fractional, mobile[0], axis=0)

    def energies_of(voxels):
        return pair_energy(cell, others, grid.fractional(voxels))

    valid = grid.far_from(others, 1.2)
    for highest in (None, 1.0):
        plain = scan_ion(energies_of, grid, valid, fractional[mobile[0]], highest=highest)
        quick = scan_ion(energies_of, grid, valid, fractional[mobile[0]], fixed, highest)
        low = plain.energies < 1.0 - 1e-6
        assert (low == (quick.energies < 1.0 - 1e-6)).all()
        np.testing.assert_allclose(quick.energies[low], plain.energies[low], atol=1e-6)
        if len(fixed) > 1:
            assert quick.calls < plain.calls
        if highest is None:
            assert quick.calls == len(np.unique(representatives(grid, fixed)[valid.ravel()]))
    # Each ion's landscape is that of the first, moved by the operation that brings the first to it.
    image = list(grid.images(group))
    for operation, site in enumerate(mapping[:, 0]):
        there = np.delete(fractional, mobile[site], axis=0)
        chosen = np.flatnonzero(valid)[::37]
        np.testing.assert_allclose(
            pair_energy(cell, there, grid.fractional(image[operation][chosen])),
            energies_of(chosen),
            atol=1e-6,
        )


def test_a_complete_scan_follows_the_definition():
    """Voxels too near to an atom have the highest energy of the others."""
    grid = Grid.of(TILTED, 0.5)
    others = np.array([[0.5, 0.5, 0.5], [0.1, 0.4, 0.8]])
    energies = pair_energy(TILTED, others, grid.fractional(np.arange(grid.size)))
    valid = grid.far_from(others, 1.2)
    found = scan_ion(energies.take, grid, valid, np.zeros(3))
    assert found.calls == found.valid == valid.sum() < grid.size
    assert found.lowest == pytest.approx(energies[valid.ravel()].min())
    np.testing.assert_allclose(found.energies[valid], energies[valid.ravel()] - found.lowest, atol=1e-12)
    assert (found.energies[~valid] == found.energies[valid].max()).all()


@pytest.mark.parametrize('seed', range(6))
def test_a_scan_up_to_a_level_is_exact_below_it(seed):
    """Level map and percolation of random crystals are those of all voxels, from a part of the energies."""
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * 6 + rng.uniform(-1, 1, (3, 3))
    grid = Grid.of(cell, 0.3)
    others = rng.random((10, 3))
    valid = grid.far_from(others, 1.2)
    home = grid.fractional([int(np.argmax(grid.far_from(others, 1.6).ravel()))])[0]
    energies = pair_energy(cell, others, grid.fractional(np.arange(grid.size)), images=1)

    whole = scan_ion(energies.take, grid, valid, home)
    part = scan_ion(energies.take, grid, valid, home, highest=0.6)
    assert part.lowest == whole.lowest
    start = lowest_voxel(whole.energies)
    assert start == lowest_voxel(part.energies)
    levels, known = level_map(whole.energies, start), level_map(part.energies, start)
    assert (known == np.where(levels <= 0.6, levels, np.inf)).all()
    one, other = percolation(whole.energies, start), percolation(part.energies, start)
    for field in ('dimensions', 'axes'):
        expected = [level if level <= 0.6 else np.inf for level in getattr(one, field)]
        assert list(getattr(other, field)) == expected
    assert other.box == (one.box if one.box <= 0.6 else np.inf)
    low = whole.energies <= 0.6
    missed = low & ~np.isfinite(part.energies)
    assert missed.sum() <= 0.01 * low.sum()
    assert part.calls < 0.6 * whole.calls


def test_impossible_scans_are_refused():
    """An ion without room, and a potential that breaks down."""
    grid = Grid.of(np.eye(3) * 3, 1.0)
    valid = np.ones(grid.shape, dtype=bool)
    with pytest.raises(ValueError, match='far enough'):
        scan_ion(np.zeros, grid, ~valid, np.zeros(3))
    with pytest.raises(ValueError, match='27 of 27'):
        scan_ion(lambda points: np.full(len(points), np.nan), grid, valid, np.zeros(3))


def test_free_volumes_are_averaged_over_the_thresholds():
    """A tenth of the voxels is below 0.5 eV, a fifth below 0.53: three thresholds of five, and two."""
    lowest = np.concatenate([np.full(10, 0.1), np.full(10, 0.53), np.full(80, 2.0)])
    assert free_volume(lowest, 0.5) == pytest.approx((4 * 0.1 + 0.2) / 5)
    assert free_volume(lowest, 0.1, shifts=(0.0,)) == 0.0
    assert free_volume(lowest, math.inf) == 1.0


def test_the_descriptor_has_its_limits():
    """Each factor is one half at its threshold, nearly one a decade above and nearly zero a decade below."""
    assert ranking_descriptor(0.01, 10**-1.15) == pytest.approx(0.25)
    assert ranking_descriptor(0.1, 1.0) == pytest.approx(1 / (1 + math.exp(-10)) / (1 + math.exp(-11.5)))
    assert ranking_descriptor(0.001, 1.0) == pytest.approx(1 / (1 + math.exp(10)), rel=1e-4)
    assert ranking_descriptor(0.0, 1.0) == ranking_descriptor(0.1, 0.0) == 0.0
    assert ranking_descriptor(1e-300, 1.0) < 1e-300


def test_no_symmetry_is_the_identity():
    """The group of a crystal without symmetry changes nothing."""
    operations = Operations.identity()
    grid = Grid.of(TILTED, 0.9, operations)
    assert grid.shape == Grid.of(TILTED, 0.9).shape
    assert not grid.origin.any()
    assert (representatives(grid, operations) == np.arange(grid.size)).all()
