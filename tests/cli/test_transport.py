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

from aiida_dpasse.cli.arrhenius import arrhenius
from aiida_dpasse.cli.transport import transport
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV, conductivity

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
    arguments = [str(path), '--ion', 'Li', '--temperature', '600', '--timestep', str(timestep), '--json', str(target)]
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


def test_a_short_run_says_null_and_a_resting_one_is_not_diffusive(tmp_path):
    positions, symbols = walk(frames=60)
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
    assert 'rattle' in numbers['reason']


def test_the_picture_is_drawn(tmp_path, trajectory):
    positions, symbols = trajectory
    path = write_dump(tmp_path / 'a.lammpstrj', positions[:300], symbols)
    run(tmp_path, path, '--plot', str(tmp_path / 'msd.png'), timestep=2.0)
    assert (tmp_path / 'msd.png').read_bytes().startswith(b'\x89PNG')


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
        'noise': 'noise is not a trajectory that ASE can read',
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


def test_arrhenius_of_a_table(tmp_path):
    t = np.array([500.0, 600, 700, 800])
    d = 1e-3 * np.exp(-0.3 / (BOLTZMANN_EV * t))
    lines = [f'{a},{b!r},{0.05 * b!r},1000,24' for a, b in zip(t.tolist(), d.tolist(), strict=True)]
    path = tmp_path / 'a.csv'
    path.write_text('\n'.join(['temperature_K,diffusivity_cm2_s,error_cm2_s,volume_A3,ions', *lines]))
    target = tmp_path / 'a.json'
    result = CliRunner().invoke(arrhenius, [str(path), '--json', str(target)])
    assert result.exit_code == 0, result.output
    answer = json.loads(target.read_text())
    assert answer['activation_energy_eV'] == pytest.approx(0.3)
    assert answer['temperature_K'] == 300
    truth = 1e-3 * np.exp(-0.3 / (BOLTZMANN_EV * 300))
    assert answer['diffusivity_cm2_s'] == pytest.approx(truth)
    low, high = answer['interval_cm2_s']
    assert low < truth < high
    assert answer['conductivity_mS_cm'] == pytest.approx(conductivity(truth, 24, 1000.0, 300.0))
    assert [other['left_out_K'] for other in answer['leave_one_out']] == t.tolist()
    assert answer['bent'] is False
    assert 'activation energy' in result.output


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('temperature_K,diffusivity_cm2_s\n1,2', 'lacks the column error_cm2_s'),
        ('temperature_K,diffusivity_cm2_s,error_cm2_s\n500,x,1', "has no number in the column diffusivity_cm2_s: 'x'"),
        ('temperature_K,diffusivity_cm2_s,error_cm2_s\n500,1,1\n600,1,1', '2 temperatures are too few'),
        ('temperature_K,diffusivity_cm2_s,error_cm2_s\n500,1,1\n600,-1,1\n700,1,1', 'should be positive'),
        ('', 'lacks the column temperature_K'),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    (tmp_path / 'a.csv').write_text(text)
    assert message in refused(arrhenius, tmp_path / 'a.csv')
