"""The commands for trajectories and tables of any origin: no profile, one sentence for what cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from click.testing import CliRunner

from aiida_dpasse.cli.transport import transport
from aiida_dpasse.transport.conductivity import conductivity

BOX, HOP, RATE, FRAMES, IONS = 20.0, 2.5, 0.2, 1200, 20
#: cm^2/s of ions that hop so often a frame of 100 fs.
TRUTH = RATE * HOP**2 / (6 * 0.1) * 1e-4
KEYS = (
    'tracer_diffusivity_cm2_s',
    'collective_diffusivity_cm2_s',
    'haven_ratio',
    'conductivity_mS_cm',
    'nernst_einstein_conductivity_mS_cm',
)


def walk(frames=FRAMES, ions=IONS, rate=RATE, seed=1):
    """Return lithium that hops on a lattice in a framework of sulphur that drifts, (frames, atoms, 3), and symbols."""
    rng = np.random.default_rng(seed)
    axis = rng.integers(3, size=(frames, ions))
    length = rng.choice([-HOP, HOP], size=(frames, ions)) * (rng.random((frames, ions)) < rate)
    steps = np.zeros((frames, ions, 3))
    np.put_along_axis(steps, axis[..., None], length[..., None], axis=2)
    lithium = np.cumsum(steps, axis=0) + rng.random((ions, 3)) * BOX
    sulphur = np.broadcast_to(rng.random((8, 3)) * BOX, (frames, 8, 3)) + rng.normal(scale=0.05, size=(frames, 8, 3))
    drift = np.arange(frames)[:, None, None] * np.array([0.002, 0, 0])
    return np.concatenate([lithium, sulphur], axis=1) + drift, ['Li'] * ions + ['S'] * 8


def write_dump(path, positions, symbols, columns='xu yu zu', gap=50, elements=True):
    """Write a LAMMPS dump whose frames are ``gap`` steps apart."""
    lines = []
    for frame, points in enumerate(positions):
        lines += [f'ITEM: TIMESTEP\n{frame * gap}\nITEM: NUMBER OF ATOMS\n{len(points)}\nITEM: BOX BOUNDS pp pp pp']
        lines += [f'0 {BOX}'] * 3 + [f'ITEM: ATOMS id type{" element" * elements} {columns}']
        for index, (symbol, point) in enumerate(zip(symbols, points, strict=True), 1):
            kind = f'{1 + (symbol == "S")}{" " + symbol if elements else ""}'
            lines.append(f'{index} {kind} ' + ' '.join(f'{value:.5f}' for value in point))
    path.write_text('\n'.join(lines) + '\n')
    return path


def write_ase(path, positions, symbols, format):
    """Write a trajectory of a kind that ASE knows."""
    write(path, [Atoms(symbols, points, cell=[BOX] * 3, pbc=True) for points in positions], format=format)
    return path


def run(tmp_path, path, *options, timestep=100.0):
    """Run the command and return its numbers and its output."""
    target = tmp_path / 'numbers.json'
    arguments = [str(path), '--ion', 'Li', '--temperature', '600', '--timestep', str(timestep)]
    arguments += ['--force', '--json', str(target)]
    result = CliRunner().invoke(transport, [*arguments, *options])
    assert result.exit_code == 0, result.output
    return json.loads(target.read_text()), result.output


@pytest.fixture(scope='module')
def trajectory():
    return walk()


def check(numbers):
    """The numbers are those of the walk."""
    assert numbers['diffusive'] is True, numbers['reason']
    for key, truth in zip(KEYS[:3], (TRUTH, TRUTH, 1.0), strict=True):
        assert abs(numbers[key] - truth) < 3.5 * numbers[f'{key}_error']
    factor = conductivity(1.0, IONS, BOX**3, 600.0)
    assert numbers[KEYS[3]] == pytest.approx(factor * numbers[KEYS[1]])
    assert numbers[f'{KEYS[4]}_error'] == pytest.approx(factor * numbers[f'{KEYS[0]}_error'])
    assert numbers['framework_drift_A'] == pytest.approx(0.002 * (FRAMES - 1), abs=0.2)
    assert len(numbers['window_ps']) == 2


@pytest.mark.parametrize(
    'kind', ['unwrapped dump', 'wrapped dump', 'scaled dump', 'types', 'extxyz', 'wrapped', 'XDATCAR']
)
def test_every_kind_of_file_gives_the_same(tmp_path, trajectory, kind):
    positions, symbols = trajectory
    timestep, options = 100.0, ()
    if kind in ('extxyz', 'wrapped', 'XDATCAR'):
        name = 'XDATCAR' if kind == 'XDATCAR' else 'walk.extxyz'
        given = positions if kind == 'extxyz' else positions % BOX
        path = write_ase(tmp_path / name, given, symbols, 'vasp-xdatcar' if kind == 'XDATCAR' else 'extxyz')
    else:
        columns, given = {
            'wrapped dump': ('x y z', positions % BOX),
            'scaled dump': ('xs ys zs', positions % BOX / BOX),
        }.get(kind, ('xu yu zu', positions))
        path, timestep = write_dump(tmp_path / 'a.lammpstrj', given, symbols, columns, elements=kind != 'types'), 2.0
        options = ('--elements', 'Li S') if kind == 'types' else ()
    numbers, output = run(tmp_path, path, *options, timestep=timestep)
    check(numbers)
    assert numbers['interval_ps'] == pytest.approx(0.1)
    assert 'Haven ratio' in output
    assert '±' in output


def test_ions_of_two_charges_that_go_together_conduct_less(tmp_path):
    """Pairs of opposite charge that move as one: each diffuses, and the two together carry nothing."""
    positions, _ = walk()
    pairs = np.concatenate([positions[:, :IONS], positions[:, :IONS] + 1.0, positions[:, IONS:]], axis=1)
    symbols = ['Li'] * IONS + ['Cl'] * IONS + ['S'] * 8
    path = write_dump(tmp_path / 'a.lammpstrj', pairs, symbols)
    numbers, _ = run(tmp_path, path, '--charge', '1', '--ion', 'Cl', '--charge', '-1', timestep=2.0)
    assert set(numbers['species']) == {'Li', 'Cl'}
    assert numbers['species']['Cl']['charge'] == -1
    assert abs(numbers['tracer_diffusivity_cm2_s'] - TRUTH) < 3.5 * numbers['tracer_diffusivity_cm2_s_error']
    assert numbers['conductivity_mS_cm'] == pytest.approx(0, abs=1e-12)


def test_undetermined_quantities_are_null_with_an_upper_bound(tmp_path):
    positions, symbols = walk(frames=60, ions=100)
    positions[:, :100] += np.random.default_rng(2).normal(scale=2.0, size=(60, 100, 3))
    numbers, output = run(tmp_path, write_dump(tmp_path / 'short', positions, symbols), timestep=2.0)
    assert numbers['diffusive'] is True
    assert (
        numbers['collective_diffusivity_cm2_s'] is numbers['haven_ratio_error'] is numbers['conductivity_mS_cm'] is None
    )
    assert 'undetermined' in output
    positions, symbols = walk(frames=100, rate=0.0)
    numbers, output = run(tmp_path, write_dump(tmp_path / 'rest', positions, symbols), timestep=2.0)
    assert numbers['diffusive'] is False
    assert {numbers[key] for key in KEYS} | {numbers[f'{key}_error'] for key in KEYS} == {None}
    assert 0 < numbers['tracer_diffusivity_upper_bound_cm2_s'] < 0.05 * TRUTH
    assert numbers['tracer_diffusivity_estimate_cm2_s_error'] > 0


def test_the_picture_is_drawn(tmp_path, trajectory):
    positions, symbols = trajectory
    path = write_dump(tmp_path / 'a.lammpstrj', positions[:300], symbols)
    for kind, start in (('png', b'\x89PNG'), ('svg', b'<?xml'), ('pdf', b'%PDF'), ('jpg', b'\xff\xd8')):
        run(tmp_path, path, '--plot', str(tmp_path / f'msd.{kind}'), timestep=2.0)
        assert (tmp_path / f'msd.{kind}').read_bytes().startswith(start)


def test_the_curve_is_written(tmp_path, trajectory):
    positions, symbols = trajectory
    path = write_dump(tmp_path / 'a.lammpstrj', positions, symbols)
    numbers, _ = run(tmp_path, path, '--msd', str(tmp_path / 'msd.csv'), timestep=2.0)
    lag, msd, error, line = np.genfromtxt(tmp_path / 'msd.csv', delimiter=',', skip_header=1).T
    assert lag[-1] == pytest.approx(numbers['duration_ps'] / 2, abs=0.1)
    assert line[100] == pytest.approx(6 * numbers['tracer_diffusivity_cm2_s'] * 1e4 * lag[100] + line[0], rel=1e-4)
    assert np.all(np.abs(msd - line)[10:] < 5 * error[10:])


def refused(command, *arguments):
    """Return the sentence with which a command refuses, the last line of its output."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ''
    return result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--timestep', 0), '--timestep'),
        (('--timestep', -2), '--timestep'),
        (('--timestep', 'inf'), '--timestep'),
        (('--temperature', 'nan'), '--temperature'),
        (('--temperature', 0), '--temperature'),
        (('--ion', 'Na'), 'There is no Na in good: it holds Li, S.'),
        (('--charge', 1, '--charge', 2), '2 charges are given for 1 ions'),
        (('--charge', 0), 'No ion carries a charge'),
        (('--ion', 'Li', '--ion', 'Li'), 'give one --charge for each --ion'),
    ],
)
def test_bad_options_are_refused(tmp_path, options, message):
    positions, symbols = walk(frames=20)
    path = write_dump(tmp_path / 'good', positions, symbols)
    given = ['--ion', 'Li'] if '--ion' not in options else []
    for name, value in (('--temperature', 600), ('--timestep', 2)):
        given += [name, value] if name not in options else []
    assert message in refused(transport, path, *given, *options)


def test_bad_files_are_refused(tmp_path):
    positions, symbols = walk(frames=20)
    options = ('--ion', 'Li', '--temperature', 600, '--timestep', 2)
    swapped = [symbols[::-1] if frame == 7 else symbols for frame in range(20)]
    frames = [Atoms(kinds, points, cell=[BOX] * 3, pbc=True) for kinds, points in zip(swapped, positions, strict=True)]
    write(tmp_path / 'mixed.extxyz', frames)
    write(tmp_path / 'fewer.extxyz', [atoms if index != 9 else atoms[:-1] for index, atoms in enumerate(frames[8:])])
    write_dump(tmp_path / 'short', positions[:5], symbols)
    half = len(positions) // 2
    first = write_dump(tmp_path / 'first', positions[:half], symbols).read_text()
    second = write_dump(tmp_path / 'second', positions[:half, :-1], symbols[:-1]).read_text()
    (tmp_path / 'lost').write_text(first + second)
    other = write_dump(tmp_path / 'other', positions[:half], symbols[::-1]).read_text()
    (tmp_path / 'order').write_text(first + other)
    (tmp_path / 'noise').write_text('nothing of the kind\n')
    (tmp_path / 'empty').write_text('')
    for name, message in {
        'mixed.extxyz': 'Frame 8 of mixed.extxyz lists its atoms in another order',
        'fewer.extxyz': 'Frame 10 of fewer.extxyz holds 27 atoms and the first frame 28',
        'short': 'The trajectory holds 5 whole frames, at least 8 are needed',
        'lost': '10 frames of lost hold other atoms than the first',
        'order': '10 frames of order hold other atoms than the first, or in another order',
        'noise': 'give a trajectory that ASE can read',
        'empty': 'empty',
        'nowhere': 'nowhere',
    }.items():
        assert message in refused(transport, tmp_path / name, *options)


def test_the_commands_start_without_aiida(tmp_path):
    """They answer where AiiDA cannot even be imported."""
    positions, symbols = walk(frames=60)
    path = write_dump(tmp_path / 'a', positions, symbols)
    (tmp_path / 'a.csv').write_text('temperature_K,diffusivity_cm2_s,error_cm2_s\n600,1,.1\n700,2,.1\n800,3,.1\n')
    for arguments in (
        [
            'transport',
            str(path),
            '--ion',
            'Li',
            '--temperature',
            '600',
            '--timestep',
            '2',
            '--plot',
            str(tmp_path / 'a.png'),
        ],
        ['arrhenius', str(tmp_path / 'a.csv')],
    ):
        code = f'import sys; sys.modules["aiida"] = None; sys.argv[1:] = {arguments!r}'
        subprocess.run([sys.executable, '-c', f'{code}; from aiida_dpasse.cli.main import main; main()'], check=True)
