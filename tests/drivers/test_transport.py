"""The transport driver: statistics of a LAMMPS dump, read where it lies, against what was written."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.drivers import transport
from aiida_dpasse.drivers.package import pack_driver
from aiida_dpasse.transport.displacement import mean_square_displacement
from aiida_dpasse.transport.maps import van_hove_maps

SYMBOLS, MASSES = ['S', 'Li', 'P', 'Li', 'Li'], [32.06, 6.94, 30.97, 6.94, 6.94]
CELL = np.array([[8.0, 0, 0], [1.5, 7, 0], [-1.0, 2, 9]])


def dump(path, steps, cells, positions):
    """Write a dump with the columns and the shuffled order that LAMMPS may have."""
    lines = []
    for step, cell, frame in zip(steps, cells, positions, strict=True):
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
        low, high = min(0, xy, xz, xy + xz), max(0, xy, xz, xy + xz)
        lines += ['ITEM: TIMESTEP', str(step), 'ITEM: NUMBER OF ATOMS', str(len(frame))]
        lines += ['ITEM: BOX BOUNDS xy xz yz pp pp pp', f'{low!r} {lx + high!r} {xy!r}']
        lines += [f'{min(0, yz)!r} {ly + max(0, yz)!r} {xz!r}', f'0.0 {lz!r} {yz!r}', 'ITEM: ATOMS id type xu yu zu']
        for index in np.random.default_rng(step).permutation(len(frame)):
            lines.append(f'{index + 1} 1 ' + ' '.join(f'{value:.12g}' for value in frame[index]))
    path.write_text('\n'.join(str(line).replace('np.float64(', '').replace(')', '') for line in lines) + '\n')


@pytest.fixture
def walk():
    """Forty frames: mobile ions walk, the framework only drifts."""
    rng = np.random.default_rng(3)
    positions = np.cumsum(rng.normal(scale=0.4, size=(40, 5, 3)), axis=0)
    positions[:, [0, 2]] = rng.normal(size=(2, 3))
    return positions + np.linspace(0, 2, 40)[:, None, None] * np.array([1.0, -0.5, 0.2]) + 4


def run(tmp_path, monkeypatch, *segments, **settings):
    """Run the driver over dumps of (steps, cells, positions) and return its result and arrays."""
    monkeypatch.chdir(tmp_path)
    names = [f'segment_{index:02d}.lammpstrj' for index in range(len(segments))]
    for name, segment in zip(names, segments, strict=True):
        dump(tmp_path / name, *segment)
    job = {'trajectories': names, 'symbols': SYMBOLS, 'masses': MASSES, 'ion': 'Li', 'charge': 1.0, 'timestep': 2.0}
    # By default the crystal is what the trajectory begins with, in images of its own.
    cells, positions = segments[0][1:]
    if len(positions):
        settings.setdefault('sites', ((positions[0] @ np.linalg.inv(cells[0])) % 1.0).tolist())
    (tmp_path / 'job.json').write_text(
        json.dumps({'max_frames': 4000, 'last_step': None, 'van_hove_range': None, 'sites': [], **job, **settings})
    )
    assert transport.main(['job.json']) == 0
    result = json.loads((tmp_path / 'output.json').read_text())
    if result['error'] is not None:
        return result, {}
    with np.load(tmp_path / 'output' / 'statistics.npz') as arrays:
        return result, dict(arrays)


def test_statistics_of_two_segments_without_the_drift(tmp_path, monkeypatch, walk):
    cells, steps = [CELL] * 40, list(range(500, 900, 10))
    segments = [(steps[:25], cells[:25], walk[:25]), (steps[22:], cells[22:], walk[22:])]
    result, arrays = run(tmp_path, monkeypatch, *segments)
    ions = walk[:, [1, 3, 4]] - walk[:, [0]]
    np.testing.assert_allclose(arrays['msd_A2'], mean_square_displacement(ions)[:21], atol=1e-8)
    np.testing.assert_allclose(arrays['lag_ps'], 0.02 * np.arange(21))
    total = ions.sum(axis=1)
    expected = np.mean((total[5:] - total[:-5]) ** 2, axis=0) / 3
    np.testing.assert_allclose(arrays['collective_A2'][5], expected, atol=1e-8)
    assert result['framework_drift_A'] == pytest.approx(2 * np.linalg.norm([1.0, -0.5, 0.2]))
    assert result['framework_displacement_A'] == pytest.approx(0, abs=1e-8)
    assert result['volume_A3'] == pytest.approx(8 * 7 * 9)
    assert (result['frames'], result['ions'], result['frames_cut_short']) == (40, 3, 0)
    assert result['duration_ps'] == pytest.approx(0.78)


def test_van_hove_maps_if_asked_for(tmp_path, monkeypatch, walk):
    trajectory = (range(0, 400, 10), [CELL] * 40, walk)
    _, without = run(tmp_path, monkeypatch, trajectory)
    assert 'self_per_A' not in without
    _, arrays = run(tmp_path, monkeypatch, trajectory, van_hove_range=8.0)
    expected = van_hove_maps(walk[:, [1, 3, 4]] - walk[:, [0]], CELL, 0.02, 8.0)
    assert set(expected) == set(arrays) - set(without)
    for name, values in expected.items():
        np.testing.assert_allclose(arrays[name], values, atol=1e-6)


def test_a_framework_that_fell_apart_before_the_trajectory_begins(tmp_path, monkeypatch, walk):
    """It is compared with the crystal: two framework atoms 1 A to either side of their sites moved by 1 A."""
    crystal = walk[0].copy()
    crystal[[0, 2], 0] += [1.0, -1.0]
    masses = np.array(MASSES)[[0, 2]]
    moved = np.array([1.0, -1.0]) - masses @ [1.0, -1.0] / masses.sum()
    sites = (crystal @ np.linalg.inv(CELL)).tolist()
    result, _ = run(tmp_path, monkeypatch, (range(40), [CELL] * 40, walk), sites=sites)
    assert result['framework_displacement_A'] == pytest.approx(np.sqrt(np.mean(moved**2)))


def test_a_cell_that_breathes_moves_no_ion(tmp_path, monkeypatch):
    scaled = np.random.default_rng(1).normal(scale=2.0, size=(5, 3))
    cells = [CELL * (1 + 0.02 * np.sin(frame)) for frame in range(30)]
    positions = [scaled @ cell for cell in cells]
    result, arrays = run(tmp_path, monkeypatch, (range(30), cells, positions))
    assert np.abs(arrays['msd_A2']).max() < 1e-9
    assert result['framework_drift_A'] < 1e-8


def test_a_long_trajectory_is_thinned_out_evenly(tmp_path, monkeypatch, walk):
    trajectory = (range(0, 400, 10), [CELL] * 40, walk)
    result, arrays = run(tmp_path, monkeypatch, trajectory, max_frames=16)
    assert result['frames'] == 10
    assert result['interval_ps'] == pytest.approx(0.08)
    ions = walk[::4, [1, 3, 4]] - walk[::4, [0]]
    np.testing.assert_allclose(arrays['msd_A2'], mean_square_displacement(ions)[:6], atol=1e-8)


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ([*range(20), *range(25, 45)], 'The frames are 1 to 6 steps apart and should be evenly spaced'),
        (range(5), 'holds 5 whole frames, at least 8 are needed'),
        ([], 'holds 0 whole frames'),
    ],
)
def test_trajectories_that_cannot_be_analysed(tmp_path, monkeypatch, walk, steps, message):
    result, _ = run(tmp_path, monkeypatch, (steps, [CELL] * len(steps), walk[: len(steps)]))
    assert message in result['error']


def test_the_packed_driver_needs_numpy_only(tmp_path, monkeypatch, walk):
    expected, _ = run(tmp_path, monkeypatch, (range(40), [CELL] * 40, walk))
    (tmp_path / 'driver.zip').write_bytes(pack_driver('transport', TransportCalculation.MODULES))
    (tmp_path / 'output.json').unlink()
    lines = (
        'import runpy, sys',
        'sys.modules.update(aiida=None, scipy=None, ase=None)',
        'sys.argv = ["driver.zip", "job.json"]',
        'runpy.run_path("driver.zip", run_name="__main__")',
    )
    subprocess.run([sys.executable, '-c', '\n'.join(lines)], check=True)
    assert json.loads((tmp_path / 'output.json').read_text()) == expected
