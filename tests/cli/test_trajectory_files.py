"""The files people have: the positions, the interval and the frames of one walk, however it was written down."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.cli.trajectory import Source, read_replicas, read_tracks

FRAMES, IONS, HOSTS, GAP = 120, 12, 8, 50
CELL = np.array([[11.0, 0, 0], [1.5, 12, 0], [-2.0, 1, 10]])
SYMBOLS = ['Li'] * IONS + ['S'] * HOSTS


@pytest.fixture(scope='module')
def walk():
    """Lithium that hops by 2.5 A and vibrates, beside sulphur that vibrates, (frames, atoms, 3) A, unwrapped."""
    rng = np.random.default_rng(3)
    hops = rng.normal(size=(FRAMES, IONS, 3))
    hops *= 2.5 * (rng.random((FRAMES, IONS, 1)) < 0.15) / np.linalg.norm(hops, axis=2, keepdims=True)
    places = rng.random((IONS + HOSTS, 3)) @ CELL + np.zeros((FRAMES, 1, 1))
    places[:, :IONS] += np.cumsum(hops, axis=0)
    return (places + rng.normal(scale=0.08, size=places.shape)).round(6)


def dump(positions, steps=None, columns='xu yu zu', head='', box=None, element=True) -> str:
    """Return frames as LAMMPS writes them."""
    (lx, ly, lz), xy, xz, yz = np.diag(CELL), CELL[1, 0], CELL[2, 0], CELL[2, 1]
    ends = np.array([0, xy, xz, xy + xz])
    box = box or (
        f'ITEM: BOX BOUNDS xy xz yz pp pp pp\n{ends.min()} {lx + ends.max()} {xy}\n'
        f'{min(0, yz)} {ly + max(0, yz)} {xz}\n0 {lz} {yz}\n'
    )
    text = []
    for index, points in enumerate(positions):
        step = index * GAP if steps is None else steps[index]
        text.append(f'{head}ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(points)}\n{box}')
        text.append(f'ITEM: ATOMS id {"element" if element else "type"} {columns}\n')
        for number, (symbol, point) in enumerate(zip(SYMBOLS, points, strict=True), 1):
            kind = symbol if element else 1 + (symbol == 'S')
            text.append(f'{number} {kind} {point[0]:.6f} {point[1]:.6f} {point[2]:.6f}\n')
    return ''.join(text)


def fold(positions, low=0.0):
    """Return positions in the cell that begins at this fraction."""
    scaled = positions @ np.linalg.inv(CELL)
    return (scaled - np.floor(scaled - low)) @ CELL


def extxyz(path: Path, positions) -> Path:
    write(path, [Atoms(SYMBOLS, points, cell=CELL, pbc=True) for points in positions], format='extxyz')
    return path


def xdatcar(positions, numbers=None) -> str:
    """Return frames as VASP writes them."""
    text = ['run\n 1.0\n', *(' '.join(f'{x:.9f}' for x in row) + '\n' for row in CELL), f'Li S\n{IONS} {HOSTS}\n']
    for index, points in enumerate(positions, 1):
        text.append(f'Direct configuration= {numbers[index - 1] if numbers else index:5d}\n')
        text += [' '.join(f'{x:.9f}' for x in row) + '\n' for row in points @ np.linalg.inv(CELL)]
    return ''.join(text)


def follow(paths, timestep=2.0, **options):
    """Return tracks and interval of a file."""
    paths = (paths,) if isinstance(paths, Path) else tuple(paths)
    if 'interval' in options:
        timestep = None
    tracks, symbols, interval = read_tracks(Source(paths, timestep, **options), ['Li'])
    assert symbols == ['Li'] * IONS
    return tracks, interval


def check(found, walk, interval=0.1, atol=1e-3):
    """The displacements of the ions are those of the walk."""
    tracks, given = found
    assert given == pytest.approx(interval)
    hosts = walk[:, IONS:].mean(axis=1, keepdims=True)
    expected = (walk - hosts)[:, :IONS]
    positions = tracks.positions()
    assert positions.shape == expected.shape
    np.testing.assert_allclose(positions - positions[0], expected - expected[0], atol=atol)
    assert tracks.summary()['volume_A3'] == pytest.approx(abs(np.linalg.det(CELL)), rel=1e-6)


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize('compress', [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize('name', ['a.lammpstrj', 'b.dat'])
def test_compressed_dumps(tmp_path, walk, compress, name):
    """Compression is recognised by the first bytes, whatever the name; the time step keeps its meaning."""
    (tmp_path / name).write_bytes(compress(dump(walk).encode()))
    check(follow(tmp_path / name), walk)


def test_headers_with_units_and_time(tmp_path, walk):
    path = write_text(tmp_path / 'a', dump(walk, head='ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n'))
    check(follow(path), walk)


def test_a_general_triclinic_box(tmp_path, walk):
    """Three vectors and an origin, in any orientation (LAMMPS manual, "Howto triclinic")."""
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    origin = np.array([1.0, -2.0, 3.0])
    rows = [' '.join(f'{x:.12f}' for x in [*row, start]) for row, start in zip(CELL @ turn, origin, strict=True)]
    box = 'ITEM: BOX BOUNDS abc origin pp pp pp\n' + '\n'.join(rows) + '\n'
    tracks, interval = follow(write_text(tmp_path / 'a', dump(walk @ turn + origin, box=box)))
    assert interval == pytest.approx(0.1)
    assert tracks.summary()['volume_A3'] == pytest.approx(abs(np.linalg.det(CELL)), rel=1e-6)
    turned = tracks.positions() @ turn.T
    expected = (walk - walk[:, IONS:].mean(axis=1, keepdims=True))[:, :IONS]
    np.testing.assert_allclose(turned - turned[0], expected - expected[0], atol=1e-3)
    scaled = walk @ np.linalg.inv(CELL)
    check_scaled, _ = follow(write_text(tmp_path / 'b', dump(scaled, box=box, columns='xsu ysu zsu')))
    np.testing.assert_allclose(check_scaled.positions(), tracks.positions(), atol=1e-3)


@pytest.mark.parametrize('low', [0.0, -0.5, 0.3])
def test_positions_folded_about_any_origin(tmp_path, walk, low):
    check(follow(extxyz(tmp_path / 'a.extxyz', fold(walk, low)), 100.0), walk)


def test_ions_folded_beside_whole_polyanions(tmp_path, walk):
    folded = walk.copy()
    folded[:, :IONS] = fold(walk[:, :IONS])
    check(follow(extxyz(tmp_path / 'a.extxyz', folded), 100.0), walk)


def test_image_flags_lost_in_a_continuation(tmp_path, walk):
    half = FRAMES // 2
    joined = np.concatenate([walk[:half], walk[half:] - walk[half] + fold(walk[half])])
    tracks, interval = follow(write_text(tmp_path / 'a', dump(joined)))
    assert tracks.jumps > 0
    check((tracks, interval), walk)


def test_real_moves_over_half_a_cell_are_kept(tmp_path):
    """Unwrapped ions whose moves are broad: none is a jump by a lattice vector."""
    rng = np.random.default_rng(1)
    walk = rng.random((IONS + HOSTS, 3)) @ CELL + np.zeros((FRAMES, 1, 1))
    walk[:, :IONS] += np.cumsum(rng.normal(scale=4.0, size=(FRAMES, IONS, 3)), axis=0)
    check(follow(extxyz(tmp_path / 'a.extxyz', walk), 100.0), walk)


@pytest.mark.parametrize('which', ['ions in each frame', 'all at one frame', 'another run'])
def test_atoms_that_cannot_be_followed_are_refused(tmp_path, walk, which):
    rng = np.random.default_rng(5)
    mixed = walk.copy()
    if which == 'ions in each frame':
        for frame in mixed:
            frame[:IONS] = frame[rng.permutation(IONS)]
    elif which == 'all at one frame':
        mixed[70:] = mixed[70:][:, [*rng.permutation(IONS), *(IONS + rng.permutation(HOSTS))]]
    else:
        mixed[70:, :IONS] = rng.random((IONS, 3)) @ CELL + (walk[70:, :IONS] - walk[70, :IONS])
    with pytest.raises(Refusal, match='order'):
        follow(extxyz(tmp_path / 'a.extxyz', mixed), 100.0)


@pytest.mark.parametrize('damage', ['cut', 'empty line', 'glued'])
def test_a_damaged_frame_is_left_out(tmp_path, walk, capsys, damage):
    """The frames after it are read, and the run keeps its length and even spacing."""
    frames = [dump(walk[index : index + 1], [index * GAP]) for index in range(FRAMES)]
    if damage == 'empty line':
        frames[60] = '\n' + frames[60]
    else:
        frames[60] = (
            frames[60][: len(frames[60]) // 2] if damage == 'glued' else frames[60][: frames[60].rindex('\n8 ') + 1]
        )
    found = follow(write_text(tmp_path / 'a', ''.join(frames)))
    if damage == 'empty line':
        check(found, walk)
    else:
        assert '1 frames are damaged' in capsys.readouterr().err
        check(found, walk[1::2], interval=0.2)


def test_a_long_gap_leaves_the_longer_part(tmp_path, walk):
    frames = [dump(walk[index : index + 1], [index * GAP]) for index in range(FRAMES) if not 30 <= index < 45]
    tracks, interval = follow(write_text(tmp_path / 'a', ''.join(frames)))
    assert tracks.unused == 30
    check((tracks, interval), walk[45:])


def test_files_of_one_run(tmp_path, walk):
    """Frames that a restart repeats, and step numbers that begin again."""
    a, b, c = (tmp_path / name for name in 'abc')
    a.write_text(dump(walk[:50]))
    b.write_text(dump(walk[45:80], [index * GAP for index in range(45, 80)]))
    c.write_text(dump(walk[79:], [index * GAP for index in range(FRAMES - 79)]))
    check(follow((a, b, c)), walk)
    check(follow(write_text(tmp_path / 'all', a.read_text() + b.read_text() + c.read_text())), walk)


def test_a_minimisation_first(tmp_path, walk):
    steps = [0, 17, *(index * GAP for index in range(1, FRAMES - 1))]
    check(follow(write_text(tmp_path / 'a', dump(walk, steps))), walk[2:])


def test_xdatcars(tmp_path, walk):
    """Numbered from 1 again, joined with their headers, damaged, compressed, or of any name."""
    first, second = xdatcar(walk[:50]), xdatcar(walk[50:])
    check(follow(write_text(tmp_path / 'run', first + second), 100.0), walk)
    body = second.index('Direct')
    check(follow(write_text(tmp_path / 'XDATCAR', first + second[body:]), 100.0), walk)
    paths = (write_text(tmp_path / 'a', first), tmp_path / 'b')
    paths[1].write_bytes(gzip.compress(second.encode()))
    check(follow(paths, 100.0), walk)
    text = xdatcar(walk).split('Direct')
    text[61] = text[61][: len(text[61]) // 2] + '\n'
    check(follow(write_text(tmp_path / 'c', 'Direct'.join(text)), 100.0), walk[1::2], interval=0.2)


def test_extxyz_with_repeated_frames(tmp_path, walk):
    """Without numbers frames that occurred before show what a restart repeated."""
    joined = np.concatenate([walk[:50], walk[40:80], walk[79:]])
    check(follow(extxyz(tmp_path / 'a.extxyz', joined), 100.0), walk)
    check(follow((extxyz(tmp_path / 'b.xyz', walk[:50]), extxyz(tmp_path / 'c.xyz', walk[49:])), 100.0), walk)


@pytest.mark.parametrize('damage', ['cut', 'glued', 'letters', 'nan', 'empty line'])
def test_a_damaged_frame_of_an_xyz_file(tmp_path, walk, capsys, damage):
    """As in a dump: it is left out, and the frames after it keep their times."""
    lines = extxyz(tmp_path / 'whole.extxyz', walk).read_text().splitlines(keepends=True)
    size = len(SYMBOLS) + 2
    frames = [lines[start : start + size] for start in range(0, len(lines), size)]
    if damage == 'cut':
        frames[60] = frames[60][:8]
    elif damage == 'glued':
        frames[60] = [*frames[60][:8], frames[60][8][:12]]
    elif damage == 'empty line':
        frames[60] = ['\n', *frames[60]]
    else:
        frames[60][5] = {'letters': 'Li x y z\n', 'nan': 'Li nan 1.0 1.0\n'}[damage]
    path = write_text(tmp_path / 'a.extxyz', ''.join(line for frame in frames for line in frame))
    found = follow(path, 100.0)
    if damage == 'empty line':
        check(found, walk)
    elif damage == 'glued':
        # The header of the next frame is lost as well.
        assert '2 frames are damaged' in capsys.readouterr().err
        check(found, walk[62:] if len(walk[62:]) > 60 else walk[:60])
    else:
        assert '1 frames are damaged' in capsys.readouterr().err
        check(found, walk[1::2], interval=0.2)


def test_an_xyz_file_with_a_cut_end(tmp_path, walk, capsys):
    text = extxyz(tmp_path / 'whole.extxyz', walk).read_text()
    check(follow(write_text(tmp_path / 'a.xyz', text[:-300]), 100.0), walk[:-1])
    (tmp_path / 'b.xyz').write_bytes(gzip.compress(text.encode())[:-100])
    tracks, _ = follow(tmp_path / 'b.xyz', 100.0)
    assert FRAMES - 4 <= tracks.seen < FRAMES
    assert capsys.readouterr().err.count('1 frames are damaged') == 2


def test_cp2k_needs_a_cell(tmp_path, walk):
    lines = []
    for index, points in enumerate(walk):
        lines.append(f'{len(SYMBOLS)}\n i = {index:8d}, time = {index * 0.5:12.3f}, E = -1.0')
        lines += [f'{symbol} {x:.6f} {y:.6f} {z:.6f}' for symbol, (x, y, z) in zip(SYMBOLS, points, strict=True)]
    path = write_text(tmp_path / 'run-pos-1.xyz', '\n'.join(lines) + '\n')
    check(follow(path, 100.0, cell=CELL), walk)
    with pytest.raises(Refusal, match='--cell'):
        follow(path, 100.0)
    # The number of the frame after the damaged one is in its own header.
    del lines[60 * (len(SYMBOLS) + 1) + 5 : 61 * (len(SYMBOLS) + 1)]
    check(follow(write_text(tmp_path / 'b.xyz', '\n'.join(lines) + '\n'), 100.0, cell=CELL), walk[1::2], interval=0.2)


def test_a_dump_compressed_by_zstandard(tmp_path, walk):
    zstandard = pytest.importorskip('zstandard')
    (tmp_path / 'a').write_bytes(zstandard.compress(dump(walk).encode()))
    check(follow(tmp_path / 'a'), walk)
    second = zstandard.compress(dump(walk[50:], range(50 * GAP, FRAMES * GAP, GAP)).encode())
    (tmp_path / 'joined').write_bytes(zstandard.compress(dump(walk[:50]).encode()) + second)
    check(follow(tmp_path / 'joined'), walk)


def test_without_zstandard_the_module_is_named(tmp_path, monkeypatch):
    (tmp_path / 'a').write_bytes(b'\x28\xb5\x2f\xfd' + bytes(100))
    monkeypatch.setitem(sys.modules, 'zstandard', None)
    with pytest.raises(Refusal, match='zstandard'):
        follow(tmp_path / 'a')


@pytest.mark.parametrize('suffix', ['dcd', 'xtc', 'trr', 'ncdf', 'h5md'])
def test_binary_formats(tmp_path, walk, suffix):
    mda = pytest.importorskip('MDAnalysis')
    if suffix == 'h5md':
        pytest.importorskip('h5py')
    universe = mda.Universe.empty(len(SYMBOLS), trajectory=True)
    universe.trajectory.units = {
        'time': 'ps',
        'length': 'Angstrom',
        'velocity': 'Angstrom/ps',
        'force': 'kJ/(mol*Angstrom)',
    }
    # These formats keep lengths and angles: the first vector is along x, as that of CELL.
    lengths = [*Atoms(cell=CELL).cell.cellpar()]
    path = tmp_path / f'a.{suffix}'
    with mda.Writer(str(path), len(SYMBOLS)) as writer:
        for points in walk:
            universe.atoms.positions = points
            universe.dimensions = lengths
            writer.write(universe.atoms)
    topology = extxyz(tmp_path / 'start.extxyz', walk[:1])
    check(follow(path, 100.0, topology=topology), walk, atol=0.03)
    with pytest.raises(Refusal, match='--topology'):
        follow(path, 100.0)


def test_without_mdanalysis_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / 'a').write_bytes(b'CDF\x02' + bytes(100))
    monkeypatch.setitem(sys.modules, 'MDAnalysis', None)
    monkeypatch.setitem(sys.modules, 'MDAnalysis.coordinates.core', None)
    with pytest.raises(Refusal, match=r'aiida-dpasse\[trajectories\]'):
        follow(tmp_path / 'a')


def test_parts_of_a_run(tmp_path, walk):
    path = write_text(tmp_path / 'a', dump(walk))
    check(follow(path, skip=20), walk[20:])
    check(follow(path, start=2.0), walk[20:])
    check(follow(path, stride=3), walk[::3], interval=0.3)
    check(follow(path, stride=3, wrapped=False), walk[::3], interval=0.3)
    check(follow(path, interval=25.0), walk, interval=0.025)


def test_replicas_are_read_one_by_one(tmp_path, walk):
    paths = tuple(write_text(tmp_path / name, dump(walk)) for name in 'ab')
    runs = read_replicas(Source(paths, 2.0, replicas=True), ['Li'])
    assert len(runs) == 2
    for tracks, _, interval in runs:
        check((tracks, interval), walk)
    assert len(read_replicas(Source(paths[:1], 2.0), ['Li'])) == 1


@pytest.mark.parametrize('options', [{'timestep': 200.0}, {'timestep': 1e-4}, {'interval': 1e10}, {'interval': 0.01}])
def test_implausible_intervals_are_refused(tmp_path, walk, options):
    path = write_text(tmp_path / 'a', dump(walk[:20]))
    with pytest.raises(Refusal, match='--interval'):
        follow(path, **options)
