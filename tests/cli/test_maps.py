"""Density, van Hove functions and radial distributions of a trajectory, as files and pictures."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from ase.io.cube import read_cube_data
from click.testing import CliRunner
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Chgcar

from aiida_dpasse.cli.maps import density, rdf, sites, vanhove

FRAMES, BOX, DRIFT = 40, 12.0, 0.05
SYMBOLS = ['Li', 'Li', 'S', 'S']
SITES = np.array([[1.0, 2, 3], [7.0, 8, 9], [4.0, 4, 4], [4.0, 4, 6.5]])


@pytest.fixture
def trajectory(tmp_path):
    """Two resting pairs in a cell through which everything drifts; one lithium jumps by 2.4 A after half of the run."""
    frames = []
    for index in range(FRAMES):
        points = SITES + np.array([DRIFT * index, 0, 0])
        points[0, 0] += 2.4 * (index >= FRAMES // 2)
        frames.append(Atoms(SYMBOLS, points, cell=[BOX] * 3, pbc=True))
    write(tmp_path / 'run.extxyz', frames)
    return tmp_path / 'run.extxyz'


def run(command, path, *options):
    """Return the numbers of a command."""
    target = path.parent / 'numbers.json'
    picture = path.parent / 'picture.png'
    arguments = [path, '--timestep', 100, '--force', '--json', target, '--plot', picture, *options]
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b'\x89PNG')
    return json.loads(target.read_text())


def test_density_is_relative_to_the_framework_and_integrates_to_the_ions(trajectory):
    cube, chgcar = trajectory.parent / 'li.cube', trajectory.parent / 'CHGCAR'
    numbers = run(density, trajectory, '--ion', 'Li', '--spacing', 0.5, '--cube', cube, '--chgcar', chgcar)
    assert numbers['ions'] == 2
    assert numbers['grid'] == [24, 24, 24]
    voxel = BOX**3 / 24**3
    # Three sites are visited, two of them during half of the run.
    assert numbers['visited_fraction'] == pytest.approx(3 / 24**3)
    assert numbers['largest_density_A-3'] == pytest.approx(1 / voxel)
    values, atoms = read_cube_data(str(cube))
    assert atoms.get_chemical_symbols() == ['S', 'S']
    assert atoms.positions == pytest.approx(SITES[2:], abs=1e-3)
    assert values.argmax() == np.ravel_multi_index((14, 16, 18), (24, 24, 24))
    read_back = Chgcar.from_file(str(chgcar))
    assert read_back.data['total'].sum() / 24**3 == pytest.approx(2, rel=1e-4)
    assert read_back.structure.composition.formula == 'S2'


def test_occupancies_of_a_refined_crystal(trajectory):
    """The sites of the file are found wherever its origin lies, and the CIF is the file's with other occupancies."""
    refined, written = trajectory.parent / 'refined.cif', trajectory.parent / 'b.cif'
    # One lithium is at 1.1 A from its site during half of the run, then at 1.3 A, which is too far.
    places = (SITES + np.array([[1.1, 0, 0], *np.zeros((3, 3))]) + np.array([3.0, -2.0, 1.0])) / BOX
    crystal = Structure(Lattice.cubic(BOX), [{'Li': 0.5}, {'Li': 0.5}, 'S', 'S'], places)
    CifWriter(crystal).write_file(refined)
    numbers = run(sites, trajectory, '--ion', 'Li', '--reference', refined, '--cif', written)
    first, second = numbers['reference']
    scatter = np.std([1, 1, 0.5, 0, 0], ddof=1) / np.sqrt(5)
    assert [each['occupancy'] for each in (first, second)] == pytest.approx([0.5, 1])
    assert [each['error'] for each in (first, second)] == pytest.approx([scatter, 0])
    assert [each['distance'] for each in (first, second)] == pytest.approx([1.1, 0], abs=0.01)
    assert numbers['elsewhere'] == pytest.approx(0.25)
    assert Structure.from_file(written).composition.as_dict() == pytest.approx({'Li': 1.5, 'S': 2})
    CifWriter(Structure(Lattice.cubic(9), ['Li', 'S'], [[0, 0, 0], [0.5] * 3])).write_file(refined)
    options = ['--timestep', '100', '--ion', 'Li', '--reference', str(refined)]
    result = CliRunner().invoke(sites, [str(trajectory), *options])
    assert (result.exit_code, 'supercell' in result.output) == (2, True)


def test_sites_are_found_with_their_occupancies(trajectory):
    cif, table = trajectory.parent / 'a.cif', trajectory.parent / 'sites.csv'
    numbers = run(sites, trajectory, '--ion', 'Li', '--cif', cif, '--csv', table)
    order = np.argsort([place[0] for place in numbers['places']])
    assert np.array(numbers['places'])[order] * BOX == pytest.approx(
        np.array([SITES[0], SITES[0] + [2.4, 0, 0], SITES[1]]), abs=0.35
    )
    assert np.array(numbers['occupancies'])[order] == pytest.approx([0.5, 0.5, 1])
    # Blocks of 8 frames: the means of a site that is left are 1, 1, 0.5, 0 and 0.
    scatter = np.std([1, 1, 0.5, 0, 0], ddof=1) / np.sqrt(5)
    assert np.array(numbers['errors'])[order] == pytest.approx([scatter, scatter, 0])
    assert (numbers['hops'], numbers['sites'], numbers['cages']) == (1, 3, 2)
    crystal = Structure.from_file(cif)
    assert crystal.composition.as_dict() == pytest.approx({'Li': 2, 'S': 2})
    assert len(crystal) == 5
    assert f'0.500({round(1000 * scatter)})' in cif.read_text()
    with table.open() as handle:
        assert sum(float(row['occupancy']) for row in csv.DictReader(handle)) == pytest.approx(2)


def test_van_hove_functions_have_their_norm(trajectory):
    table = trajectory.parent / 'curves.csv'
    numbers = run(vanhove, trajectory, '--ion', 'Li', '--distance', 5, '--csv', table)
    own = np.array(numbers['self_per_A'])
    assert own.sum(axis=1) * 0.2 == pytest.approx(1)
    lags = np.array(numbers['map_lag_ps'])
    # At a lag of n frames n of the 40 - n origins see the jump of one of the two ions.
    steps = np.rint(lags / 0.1)
    assert own[:, 11] * 0.2 + own[:, 12] * 0.2 == pytest.approx(0.5 * steps / (FRAMES - steps))
    with table.open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == own.size
    assert {float(row['lag_ps']) for row in rows} == {float(f'{lag:.6g}') for lag in lags}
    assert float(rows[0]['non_gaussian']) == pytest.approx(numbers['non_gaussian'][0], rel=1e-4)


def test_radial_distributions_count_neighbours(trajectory):
    table = trajectory.parent / 'curves.csv'
    numbers = run(rdf, trajectory, '--pair', 'S-S', '--pair', 'S-Li', '--distance', 6, '--csv', table)
    assert list(numbers['pairs']) == ['S-S', 'S-Li']
    found = numbers['pairs']['S-S']
    assert found['peak_A'] == pytest.approx(2.5, abs=0.06)
    assert found['neighbours'][-1] == pytest.approx(1)
    shell = 4 / 3 * np.pi * np.diff((np.arange(121) * 0.05) ** 3)
    assert np.sum(np.array(found['g']) * shell) * 2 / BOX**3 == pytest.approx(1)
    one = read(trajectory, index='0')
    near = sum(one.get_distance(s, li, mic=True) < 6 for s in (2, 3) for li in (0, 1)) / 2
    early = numbers['pairs']['S-Li']['neighbours'][-1]
    assert early == pytest.approx(near, abs=0.6)
    with table.open() as handle:
        assert csv.DictReader(handle).fieldnames == ['r_A', 'g_S-S', 'neighbours_S-S', 'g_S-Li', 'neighbours_S-Li']


def test_pairs_of_an_ideal_gas_are_uncorrelated(tmp_path):
    rng = np.random.default_rng(1)
    cell = np.array([[9.0, 0, 0], [2, 9, 0], [0, 1, 9]])
    start = rng.random((60, 3))
    walk = start + np.cumsum(rng.normal(scale=0.05, size=(40, 60, 3)), axis=0)
    write(
        tmp_path / 'gas.extxyz',
        [Atoms(['Li'] * 40 + ['O'] * 20, points @ cell, cell=cell, pbc=True) for points in walk],
    )
    numbers = run(rdf, tmp_path / 'gas.extxyz', '--bin', 0.5, '--distance', 7)
    expected = {'Li-Li': 39 / 40, 'Li-O': 1.0, 'O-O': 19 / 20}
    for name, pair in numbers['pairs'].items():
        assert np.mean(pair['g'][6:]) == pytest.approx(expected[name], abs=0.03)


@pytest.mark.parametrize(
    ('command', 'options', 'named'),
    [
        (density, ('--ion', 'Na'), ('Na', 'Li, S')),
        (vanhove, ('--ion', 'Na'), ('Na', 'Li, S')),
        (sites, ('--ion', 'Na'), ('Na', 'Li, S')),
        (rdf, ('--pair', 'Li-Na'), ('Li-Na', 'Li, S')),
        (rdf, ('--pair', 'Li'), ('Li ',)),
        (rdf, ('--distance', '0.01'), ('0.01',)),
        (density, ('--ion', 'Li', '--cube', 'nowhere/li.cube'), ('nowhere',)),
        (density, ('--ion', 'Li', '--plot', 'picture.docx'), ('picture.docx',)),
    ],
)
def test_bad_input_is_refused(trajectory, command, options, named):
    result = CliRunner().invoke(command, [str(trajectory), '--timestep', '100', *options])
    assert result.exit_code == 2, result.output
    assert all(name in result.stderr.strip().splitlines()[-1] for name in named), result.stderr
