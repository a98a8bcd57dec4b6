"""Dump files: boxes by hand, cut and broken frames, segments that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.lammps.dump import DumpReader

CELL = np.array([[5.0, 0, 0], [-1.25, 4.0, 0], [0.5, -0.75, 3.0]])


def frame(step: int, positions, cell=CELL, corner=(0, 0, 0), element: bool = False, order=None) -> str:
    """One frame as LAMMPS writes it, bounds included (LAMMPS manual, "Triclinic simulation boxes")."""
    positions = np.asarray(positions, dtype=float) + corner
    (lx, ly, lz), xy, xz, yz = np.diag(cell), cell[1][0], cell[2][0], cell[2][1]
    low = [min(0, xy, xz, xy + xz), min(0, yz), 0]
    high = [lx + max(0, xy, xz, xy + xz), ly + max(0, yz), lz]
    bounds = [f'{low[i] + corner[i]:.16e} {high[i] + corner[i]:.16e} {tilt}' for i, tilt in enumerate((xy, xz, yz))]
    kinds = ('Li', 'S') if element else (1, 2)
    atoms = [f'{i + 1} {kinds[i % 2]} ' + ' '.join(f'{x:.15g}' for x in row) for i, row in enumerate(positions)]
    if order:
        atoms = [atoms[index] for index in order]
    head = ['ITEM: TIMESTEP', str(step), 'ITEM: NUMBER OF ATOMS', str(len(positions))]
    head += ['ITEM: BOX BOUNDS xy xz yz pp pp pp', *bounds]
    return '\n'.join([*head, f'ITEM: ATOMS id {"element" if element else "type"} xu yu zu', *atoms]) + '\n'


def atoms(seed: int, number: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-9, 9, size=(number, 3)).round(6)


@pytest.mark.parametrize('element', [True, False])
def test_cell_positions_and_kinds(tmp_path, element):
    path = tmp_path / 'dump'
    path.write_text(frame(40, atoms(1), corner=(1.5, -2.0, 0.25), element=element, order=(2, 0, 3, 1)))
    reader = DumpReader([path])
    [(step, cell, positions)] = list(reader)
    assert step == 40
    np.testing.assert_allclose(cell, CELL, atol=1e-14)
    np.testing.assert_allclose(positions, atoms(1), atol=1e-12)
    assert reader.symbols == (('Li', 'S', 'Li', 'S') if element else ('1', '2', '1', '2'))
    assert reader.dropped == 0


@pytest.mark.parametrize(
    ('columns', 'wrapped'), [('xs ys zs', True), ('xsu ysu zsu', False), ('x y z ix iy iz', False)]
)
def test_other_columns_of_positions(tmp_path, columns, wrapped):
    """Positions in units of the box, and images of folded ones, are brought to Cartesian, unwrapped ones."""
    scaled = atoms(3) @ np.linalg.inv(CELL)
    images = np.floor(scaled)
    values = {
        'xs ys zs': scaled - images,
        'xsu ysu zsu': scaled,
        'x y z ix iy iz': np.concatenate([(scaled - images) @ CELL, images], axis=1),
    }[columns]
    text = frame(0, values if values.shape[1] == 3 else values[:, :3])
    if 'ix' in columns:
        head, rows = text.split('zu\n')
        lines = [f'{row} {a:g} {b:g} {c:g}' for row, (a, b, c) in zip(rows.splitlines(), images, strict=True)]
        text = head + 'zu\n' + '\n'.join(lines) + '\n'
    (tmp_path / 'dump').write_text(text.replace('xu yu zu', columns))
    reader = DumpReader([tmp_path / 'dump'])
    [(_, _, positions)] = list(reader)
    assert reader.wrapped is wrapped
    expected = scaled - images if wrapped else scaled
    np.testing.assert_allclose(positions, expected @ CELL, atol=1e-9)


def test_an_orthogonal_box(tmp_path):
    text = 'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n-1 2\n0 4\n1 6\n'
    (tmp_path / 'dump').write_text(text + 'ITEM: ATOMS id type xu yu zu\n1 1 0 1 2\n')
    [(_, cell, positions)] = list(DumpReader([tmp_path / 'dump']))
    np.testing.assert_array_equal(cell, np.diag([3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(positions, [[1, 1, 1]])


def test_a_file_cut_anywhere_loses_its_last_frame_only(tmp_path):
    frames = [frame(step, atoms(step)) for step in (0, 10, 20)]
    path = tmp_path / 'dump'
    start = len(frames[0]) + len(frames[1])
    for length in range(start + 1, start + len(frames[2])):
        path.write_text(''.join(frames)[:length])
        reader = DumpReader([path])
        assert [step for step, _, _ in reader] == [0, 10]
        assert reader.dropped == 1
    path.write_text(''.join(frames))
    reader = DumpReader([path])
    assert len(list(reader)) == 3
    assert reader.dropped == 0


def test_a_frame_with_nan_is_counted(tmp_path):
    path = tmp_path / 'dump'
    broken = atoms(2)
    broken[1, 1] = np.nan
    path.write_text(frame(0, atoms(1)) + frame(5, broken) + frame(10, atoms(3)))
    reader = DumpReader([path])
    assert [step for step, _, _ in reader] == [0, 10]
    assert reader.dropped == 1


def test_a_frame_that_lost_atoms_is_counted(tmp_path):
    path = tmp_path / 'dump'
    path.write_text(frame(0, atoms(1)) + frame(5, atoms(2, 3)) + frame(10, atoms(3, 0)) + frame(15, atoms(4)))
    reader = DumpReader([path])
    assert [step for step, _, _ in reader] == [0, 15]
    assert reader.dropped == 2


def test_segments_are_joined_without_doubled_steps(tmp_path):
    first, empty, second, third = (tmp_path / name for name in 'abcd')
    first.write_text(''.join(frame(step, atoms(1)) for step in (0, 10, 20, 30)))
    empty.write_text('')
    second.write_text(''.join(frame(step, atoms(2)) for step in (20, 30, 40)) + frame(50, atoms(2))[:100])
    third.write_text(''.join(frame(step, atoms(3)) for step in (40, 50)))
    reader = DumpReader([first, empty, second, tmp_path / 'missing', third])
    found = [(step, float(positions[0, 0])) for step, _, positions in reader]
    by_seed = {seed: atoms(seed)[0, 0] for seed in (1, 2, 3)}
    assert [step for step, _ in found] == [0, 10, 20, 30, 40, 50]
    for (_, value), seed in zip(found, (1, 1, 2, 2, 3, 3), strict=True):
        assert value == pytest.approx(by_seed[seed])
    # A second iteration gives the same.
    assert len(list(reader)) == 6


def test_nothing_is_nothing(tmp_path):
    (tmp_path / 'cut').write_text('ITEM: TIME')
    reader = DumpReader([tmp_path / 'cut', tmp_path / 'missing'])
    assert list(reader) == []
    assert reader.dropped == 1
