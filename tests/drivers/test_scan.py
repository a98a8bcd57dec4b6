"""Scans of crystals by their ions, against one energy for each voxel and each ion."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from aiida_dpasse.drivers import scan
from aiida_dpasse.drivers.labellers import make_calculator
from aiida_dpasse.drivers.scan import Crystal, OutOfTimeError, Store, calculator_energies, potential_energies
from aiida_dpasse.landscape.descriptors import free_volume
from aiida_dpasse.landscape.level_map import level_map, lowest_voxels
from aiida_dpasse.landscape.percolation import percolation
from aiida_dpasse.landscape.spacegroup import symmetry_of

PAIRS = {'epsilon': 0.1, 'sigma': 2.0, 'rc': 4.0}
PARAMETERS = {'ion': 'Li', 'spacing': 0.9, 'minimum_distance': 1.2, 'highest_level': None, 'ions': None, 'seed': 1}


def job_of(atoms: Atoms, symmetry: bool, **changes) -> dict:
    """Return the content of a job file."""
    found = symmetry_of(atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions())
    operations = {name: getattr(found, name).tolist() for name in ('rotations', 'translations', 'origin')}
    return {
        'symbols': atoms.get_chemical_symbols(),
        'cell': atoms.cell.array.tolist(),
        'positions': atoms.positions.tolist(),
        'operations': operations if symmetry else None,
        'parameters': PARAMETERS | changes,
        'calculator': {'name': 'lj', **PAIRS},
        'potential': None,
        'seconds': None,
    }


def run(job: dict, calculator) -> tuple[dict, dict]:
    """Return results and landscape."""
    crystal = Crystal(job)
    energies = calculator_energies(calculator, crystal.symbols, crystal.cell)
    return scan.scan_crystal(crystal, Store(energies, crystal.positions, crystal.grid, None), job['parameters'])


@pytest.fixture(scope='module')
def salt() -> Atoms:
    """Rock salt with vacancies of chlorine, which break the equivalence of some ions."""
    atoms = bulk('LiCl', 'rocksalt', a=5.4, cubic=True)
    del atoms[next(index for index, symbol in enumerate(atoms.symbols) if symbol == 'Cl')]
    return atoms


def test_symmetry_and_levels_change_no_number(salt):
    """Against a loop over all voxels and all ions, with ASE alone."""
    calculator = LennardJones(**PAIRS)
    whole, landscape = run(job_of(salt, symmetry=False), calculator)
    shape = (6, 6, 6)
    energy, level, lowest = np.full(shape, np.inf), np.full(shape, np.inf), []
    atoms = salt.copy()
    atoms.calc = calculator
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing='ij'), axis=-1) @ salt.cell.array
    for ion in np.flatnonzero(salt.symbols == 'Li'):
        found = np.full(shape, np.nan)
        for voxel in np.ndindex(shape):
            atoms.positions = salt.positions
            atoms.positions[ion] = points[voxel]
            if atoms.get_distances(ion, [i for i in range(len(atoms)) if i != ion], mic=True).min() >= 1.2:
                found[voxel] = atoms.get_potential_energy()
        found -= np.nanmin(found)
        found[np.isnan(found)] = np.nanmax(found)
        starts = lowest_voxels(found)
        lowest.append(percolation(found, starts[0]))
        energy, level = np.minimum(energy, found), np.minimum(level, level_map(found, *starts))
    np.testing.assert_allclose(landscape['energy_eV'], energy, atol=1e-9)
    np.testing.assert_allclose(landscape['level_eV'], level, atol=1e-9)
    assert whole['mpe_eV'] == pytest.approx(min(each.box for each in lowest))
    assert whole['percolation_3d_eV'] == pytest.approx(min(each.dimensions[2] for each in lowest))
    assert whole['percolation_b_eV'] == pytest.approx(min(each.axes[1] for each in lowest))
    assert (whole['fv_disc'], whole['fv_conn']) == (free_volume(energy, 0.5), free_volume(level, 0.5))
    assert (whole['grid'], whole['ions'], whole['scanned_ions']) == ([6, 6, 6], 4, 4)
    assert whole['energies_of_all_voxels'] == 864

    quick, same = run(job_of(salt, symmetry=True), calculator)
    assert (quick['grid'], quick['operations'], quick['unrelated_ions']) == ([6, 6, 6], 48, 2)
    for name in ('energy_eV', 'level_eV'):
        np.testing.assert_allclose(same[name], landscape[name], atol=1e-9)
    levels = (*(name for name in scan.LEVELS if name != 'mpe_eV'), 'fv_conn', 'fv_disc', 'xi')
    assert [quick[name] for name in levels] == pytest.approx([whole[name] for name in levels])
    assert sum(row['equivalent'] for row in quick['scans']) == 4
    assert whole['energies'] > 5 * quick['energies']

    part, below = run(job_of(salt, symmetry=True, highest_level=0.6), calculator)
    low = landscape['level_eV'] <= 0.6
    np.testing.assert_allclose(below['level_eV'][low], landscape['level_eV'][low], atol=1e-9)
    assert np.isinf(below['level_eV'][~low]).all()
    assert part['fv_conn'] == pytest.approx(whole['fv_conn'])


def test_fewer_ions_are_drawn_by_the_seed(salt):
    """Of the two that symmetry does not relate."""
    found = [run(job_of(salt, symmetry=True, ions=1, seed=seed), LennardJones(**PAIRS))[0] for seed in (1, 1, 2, 3, 4)]
    assert [each['scanned_ions'] for each in found] == [1] * 5
    atoms = [each['scans'][0]['atom'] for each in found]
    assert atoms[0] == atoms[1]
    assert len(set(atoms)) == 2


def test_an_interrupted_scan_continues(salt, tmp_path, monkeypatch):
    """The clock stops the first job; the second calculates the rest, and the results are those of one."""
    job = job_of(salt, symmetry=False, spacing=1.4)
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'job.json').write_text(json.dumps(job | {'seconds': -1.0}))
    assert scan.main(['job.json']) == 0
    answer = json.loads((tmp_path / 'output.json').read_text())
    assert (answer['stopped'], answer['error'], answer['results']) == (True, None, None)
    assert list(answer['files']) == [scan.ENERGIES]
    (tmp_path / 'output').rename(tmp_path / scan.EARLIER)
    (tmp_path / 'job.json').write_text(json.dumps(job))
    scan.main(['job.json'])
    answer = json.loads((tmp_path / 'output.json').read_text())
    whole, _ = run(job, LennardJones(**PAIRS))
    assert list(answer['files']) == [scan.LANDSCAPE]
    found = answer['results']
    assert found['energies'] - found['calculated_energies'] == scan.FRAMES_PER_LOOK
    assert {name: found[name] for name in whole} == json.loads(json.dumps(whole))


def test_the_store_calculates_nothing_twice():
    """Voxels that were asked for before are known, and the clock is looked at between batches."""
    asked = []

    def energies(positions):
        asked.extend(positions[:, 0, 0])
        return positions[:, 0, 0]

    grid = scan.Grid.of(np.eye(3) * 40.0, 1.0)
    store = Store(energies, np.zeros((2, 3)), grid, None)
    voxels = np.arange(0, 40 * 1600, 1600)
    assert store.of(0, voxels) == pytest.approx(np.arange(40))
    assert store.of(0, voxels[::-1]) == pytest.approx(np.arange(40)[::-1])
    assert len(asked) == store.calls == 40
    hasty = Store(energies, np.zeros((2, 3)), grid, -1.0)
    with pytest.raises(OutOfTimeError):
        hasty.of(0, voxels)
    assert np.isfinite(hasty.known[0]).sum() == scan.FRAMES_PER_LOOK


def test_chgnet_without_forces_has_the_same_energies():
    """Energies of its calculator, from its model alone."""
    calculator = make_calculator('chgnet', use_device='cpu')
    atoms = bulk('LiCl', 'rocksalt', a=5.1, cubic=True)
    frames = np.array([atoms.positions, atoms.positions + np.eye(1, 8).T * 0.7])
    energies = calculator_energies(calculator, atoms.get_chemical_symbols(), atoms.cell.array)
    found = energies(frames)
    assert energies(frames[:1]) == pytest.approx(found[:1], abs=1e-4)
    for frame, energy in zip(frames, found, strict=True):
        atoms.positions = frame
        atoms.calc = calculator
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)


def test_a_potential_evaluates_many_frames_at_once(tiny_models, tiny_frames):
    """As DeePMD-kit does one by one."""
    from deepmd.infer import DeepPot

    energies = potential_energies(str(tiny_models[0]), list(tiny_frames.symbols), tiny_frames.cells[0])
    potential = DeepPot(str(tiny_models[0]))
    types = [potential.get_type_map().index(symbol) for symbol in tiny_frames.symbols]
    found = energies(tiny_frames.positions[:4])
    for frame, energy in zip(tiny_frames.positions, found, strict=False):
        one = potential.eval(frame.reshape(1, -1), tiny_frames.cells[0].reshape(1, 9), types)[0]
        assert energy == pytest.approx(float(one.ravel()[0]), abs=1e-10)


def test_what_fails_is_named(tmp_path, monkeypatch):
    """A calculator that is not allowed, and one that does not know its elements."""
    atoms = bulk('LiCl', 'rocksalt', a=5.4)
    monkeypatch.chdir(tmp_path)
    for calculator, reason in (({'name': 'os:system'}, 'os'), ({'name': 'emt'}, 'NotImplementedError')):
        (tmp_path / 'job.json').write_text(json.dumps(job_of(atoms, True) | {'calculator': calculator}))
        scan.main(['job.json'])
        answer = json.loads((tmp_path / 'output.json').read_text())
        assert answer['results'] is None
        assert reason in answer['error']
