"""Frames in the usual form, which are read together: the same numbers and the same damage as line by line."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from aiida_dpasse.lammps import dump
from aiida_dpasse.lammps.dump import DumpReader

BOX = 'pp pp pp\n-0.5 9.5\n0 10\n0.1 11.1\n'
TILTED = 'xy xz yz pp pp pp\n-1 12 1\n0 10 0.5\n0 10 -1\n'
#: Number formats of `dump_modify format float`, as LAMMPS' %g by default.
FORMATS = ('%g', '%.3f', '%.6f', '%.10g', '%.12f', '%.15g', '%.17g', '%10.4e', '%d')


def text(
    rng, number='%.10g', columns='id type xu yu zu', atoms=9, frames=4, end='\n', shuffled=False, box=BOX, head=''
):
    """Return a dump whose positions are of all magnitudes."""
    found = []
    places = rng.normal(size=(atoms, 3)) * 10.0 ** rng.integers(-2, 3, size=(atoms, 1))
    for frame in range(frames):
        places = places + rng.normal(scale=0.3, size=places.shape)
        values = {'x': places[:, 0], 'y': places[:, 1], 'z': places[:, 2]}
        found.append(
            f'{head}ITEM: TIMESTEP\n{frame * 10}\nITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS {box}'
            f'ITEM: ATOMS {columns}\n'
        )
        for atom in rng.permutation(atoms) if shuffled else range(atoms):
            others = {'id': atom + 1, 'type': 1 + atom % 2, 'element': ('Li', 'I', 'Ge')[atom % 3], 'mol': 7}
            words = [
                str(others[column]) if column in others else number % values.get(column[0], places[:, 1])[atom]
                for column in columns.split()
            ]
            found.append(' '.join(words) + end)
    return ''.join(found)


def read(path, plain: bool, monkeypatch, wanted=None):
    """Return all that a reader returns, line by line or not."""
    with monkeypatch.context() as patch:
        if plain:
            patch.setattr(dump._UsualFrames, 'read', lambda *_: None)
        reader = DumpReader([path])
        frames = list(reader.frames(wanted))
        return frames, reader.symbols, reader.wrapped, (reader.dropped, reader.changed, reader.unreadable)


def same(path, monkeypatch) -> int:
    """Compare both ways of reading, to the last bit, and return the number of frames that line by line are not read."""
    lines = read(path, True, monkeypatch)
    count = 0
    usual = dump._UsualFrames.read

    def counted(*arguments):
        nonlocal count
        record = usual(*arguments)
        count += record is not None
        return record

    with monkeypatch.context() as patch:
        patch.setattr(dump._UsualFrames, 'read', counted)
        found = read(path, False, monkeypatch)
    assert found[1:] == lines[1:]
    assert [step for step, _, _ in found[0]] == [step for step, _, _ in lines[0]]
    for (_, cell, positions), (_, expected, exact) in zip(found[0], lines[0], strict=True):
        assert np.array_equal(cell, expected)
        assert positions.tobytes() == exact.tobytes()
        assert positions.flags.c_contiguous
    return count


@pytest.mark.parametrize('number', FORMATS)
@pytest.mark.parametrize('columns', ['id type xu yu zu', 'element id mol x y z', 'xs ys zs type id'])
def test_numbers_of_every_format(tmp_path, monkeypatch, number, columns):
    """Numbers that are not read together, as those with exponents, are read as before."""
    rng = np.random.default_rng(FORMATS.index(number))
    for box, end, shuffled in itertools.product((BOX, TILTED), ('\n', ' \n', '\r\n'), (False, True)):
        (tmp_path / 'dump').write_bytes(text(rng, number, columns, 9, 3, end, shuffled, box).encode())
        together = same(tmp_path / 'dump', monkeypatch)
        if number in ('%.3f', '%.6f'):
            assert together == (0 if end == '\r\n' else 3)


@pytest.mark.parametrize(
    'columns', ['id type x y z ix iy iz', 'id type vx xu yu zu', 'id type xu zu yu', 'id xu yu zu']
)
def test_other_columns(tmp_path, monkeypatch, columns):
    (tmp_path / 'dump').write_text(text(np.random.default_rng(0), '%.4f', columns))
    same(tmp_path / 'dump', monkeypatch)


@pytest.mark.parametrize('piece', [1, 7, 100, 1 << 20])
def test_frames_divided_between_reads(tmp_path, monkeypatch, piece):
    rng = np.random.default_rng(5)
    monkeypatch.setattr(dump, 'PIECE', piece)
    head = 'ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n'
    for atoms, columns in ((1, 'id type xu yu zu'), (40, 'id element xu yu zu')):
        (tmp_path / 'dump').write_text(text(rng, '%.6f', columns, atoms, 6, head=head))
        assert same(tmp_path / 'dump', monkeypatch) == 6


def test_frames_longer_than_a_portion(tmp_path, monkeypatch):
    (tmp_path / 'dump').write_text(text(np.random.default_rng(6), '%.8f', atoms=6000, frames=3, shuffled=True))
    assert same(tmp_path / 'dump', monkeypatch) == 3


def test_every_kind_of_damage(tmp_path, monkeypatch):
    """Bytes are changed, removed, repeated and inserted at random places."""
    rng = np.random.default_rng(7)
    letters = b'0123456789.-+eE \n\t/:nainfITEM\x00\xff'
    together = 0
    for trial in range(400):
        columns = ('id type xu yu zu', 'id element mol xs ys zs')[trial % 2]
        content = bytearray(
            text(rng, ('%.6f', '%.10g')[trial % 3 > 0], columns, 3, 4, shuffled=trial % 5 == 0).encode()
        )
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(len(content))), int(rng.integers(1, 40))
            match rng.integers(4):
                case 0:
                    content[at] = letters[rng.integers(len(letters))]
                case 1:
                    del content[at : at + length]
                case 2:
                    content[at:at] = content[at : at + length]
                case 3:
                    content.insert(at, letters[rng.integers(len(letters))])
        (tmp_path / 'dump').write_bytes(content)
        together += same(tmp_path / 'dump', monkeypatch)
    assert together > 400


@pytest.mark.parametrize('columns', ['id type xu yu zu', 'id element x y z'])
def test_frames_that_are_passed_over(tmp_path, monkeypatch, columns):
    """They are counted, and those that are damaged are left out as before."""
    content = text(np.random.default_rng(8), '%.6f', columns, 9, 12)
    frames = re.split('(?=ITEM: TIMESTEP)', content)[1:]
    row = frames[3].splitlines()[10]
    broken = {
        3: frames[3].replace(row, ' '.join([*row.split()[:4], 'nan'])),
        4: frames[4].rpartition('\n')[0].rpartition('\n')[0] + '\n',
        6: frames[6].rpartition(' ')[0] + '\n',
        7: frames[7][:-20],
        8: frames[8].replace('ATOMS\n9', 'ATOMS\n8').rpartition('\n')[0].rpartition('\n')[0] + '\n',
    }
    (tmp_path / 'dump').write_text(''.join(broken.get(index, frame) for index, frame in enumerate(frames)))
    whole = read(tmp_path / 'dump', True, monkeypatch)
    found = read(tmp_path / 'dump', False, monkeypatch, lambda step: step % 50 == 0)
    assert found[1:] == whole[1:]
    assert [step for step, _, _ in whole[0]] == [0, 10, 20, 50, 90, 100, 110]
    for (step, cell, positions), (expected, box, exact) in zip(found[0], whole[0], strict=True):
        assert step == expected
        assert np.array_equal(cell, box)
        # The one after a frame of other atoms is read.
        assert positions is None if step % 50 and step != 90 else np.array_equal(positions, exact)
