"""Data files: the metric of the cell and the scaled positions survive, exactly where numbers allow it."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from ase.io.lammpsdata import read_lammps_data

from aiida_dpasse.lammps.datafile import format_data_file, lammps_frame

KINDS = {'Li': ('Li', 6.94), 'S': ('S', 32.06)}


def random_cell(seed: int) -> np.ndarray:
    cell = np.random.default_rng(seed).normal(size=(3, 3)) + 3 * np.eye(3)
    return cell if np.linalg.det(cell) > 0 else cell[[1, 0, 2]]


@pytest.mark.parametrize('seed', range(8))
def test_the_frame_is_a_rotation(seed):
    cell = random_cell(seed)
    turned, rotation = lammps_frame(cell)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert not np.triu(turned, 1).any()
    assert (np.diag(turned) > 0).all()
    np.testing.assert_allclose(turned @ turned.T, cell @ cell.T, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(cell @ rotation, turned, atol=1e-12)
    np.testing.assert_allclose(turned @ rotation.T, cell, atol=1e-12)


def test_the_primitive_fcc_cell_by_hand():
    turned, _ = lammps_frame([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    root = np.sqrt(2)
    expected = [
        [root, 0, 0],
        [root / 2, root * np.sqrt(3) / 2, 0],
        [root / 2, root / np.sqrt(12), root * np.sqrt(2 / 3)],
    ]
    np.testing.assert_allclose(turned, expected, atol=1e-14)


def test_a_cell_in_the_frame_already_is_not_touched():
    cell = np.array([[3.1, 0, 0], [0.1, 4.7, 0], [-0.3, 0.2, 5.3]])
    turned, rotation = lammps_frame(cell)
    np.testing.assert_array_equal(turned, cell)
    np.testing.assert_array_equal(rotation, np.eye(3))


@pytest.mark.parametrize('cell', [np.diag([1.0, 1.0, -1.0]), np.zeros((3, 3)), np.full((3, 3), np.nan)])
def test_an_impossible_cell_is_refused(cell):
    with pytest.raises(ValueError, match='left-handed'):
        lammps_frame(cell)


@pytest.mark.parametrize('seed', range(4))
def test_a_file_reads_back(seed):
    rng = np.random.default_rng(seed)
    cell, symbols = random_cell(seed), ['S', 'Li', 'Li', 'S', 'Li']
    scaled = rng.uniform(-1.5, 1.5, size=(5, 3))
    text, rotation = format_data_file(symbols, cell, scaled @ cell, KINDS)
    atoms = read_lammps_data(StringIO(text))
    read, box = atoms.get_chemical_symbols(), atoms.cell.array
    assert read == symbols
    np.testing.assert_array_equal(box, lammps_frame(cell)[0])
    np.testing.assert_allclose(atoms.positions, (scaled @ cell) @ rotation, atol=1e-14)
    positions = np.loadtxt(StringIO(text.partition('Atoms # atomic')[2]), usecols=(2, 3, 4))
    np.testing.assert_array_equal(positions, (scaled @ cell) @ rotation)
    np.testing.assert_allclose(positions @ np.linalg.inv(box), scaled, atol=1e-12)
    again, _ = format_data_file(read, box, positions, KINDS)
    assert again == text


def test_kinds_of_one_element_are_types_of_their_own():
    kinds = {'Li6': ('Li', 6.015), 'Li60': ('Li', 60.0), 'S': ('S', 32.06)}
    text, _ = format_data_file(['Li60', 'S', 'Li6'], 4 * np.eye(3), np.eye(3), kinds)
    assert '3 atom types' in text
    assert '\n1 6.015 # Li\n2 60.0 # Li\n3 32.06 # S\n' in text
    assert [line.split()[:2] for line in text.splitlines()[-3:]] == [['1', '2'], ['2', '3'], ['3', '1']]


def test_a_strange_element_and_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r'P .* Li, S'):
        format_data_file(['P'], np.eye(3), [[0, 0, 0]], KINDS)
    with pytest.raises(ValueError, match=r'\(1, 3\).*\(2, 3\)'):
        format_data_file(['Li', 'S'], np.eye(3), [[0, 0, 0]], KINDS)
