"""DeePMD-kit's dataset layout: byte-equal round trips and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset, write_mixed
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate, unique


def equal(first: FrameSet, second: FrameSet) -> bool:
    """Whether two sets agree bit by bit."""
    names = ('cells', 'positions', 'energies', 'forces', 'virials', 'sources', 'steps', 'deviations', 'reasons', 'ids')
    for name in names:
        one, two = getattr(first, name), getattr(second, name)
        if (one is None) != (two is None):
            return False
        if one is not None and not np.array_equal(one, two, equal_nan=one.dtype.kind == 'f'):
            return False
    return first.symbols == second.symbols


def test_round_trip_is_exact(make_frames, tmp_path):
    """What is written is read back bit by bit, in the order of formulas and sets."""
    sets = [
        make_frames('S Li Li', 4).with_origin(sources='md_0', steps=np.arange(4) * 10, deviations=0.1, reasons='new'),
        make_frames('S Li Li', 2, seed=5),
        make_frames('Br Li', 3, labels=False),
    ]
    directories = write_dataset(sets, tmp_path / 'data')
    assert [path.name for path in directories] == ['Li2S1', 'Br1Li1']
    read = read_dataset(tmp_path / 'data')
    assert all(equal(one, two) for one, two in zip(read, [sets[2], sets[0], sets[1]], strict=True))
    assert (tmp_path / 'data/Li2S1/type.raw').read_text() == '0\n0\n1\n'
    write_dataset(read, tmp_path / 'again')
    for path in (tmp_path / 'data').rglob('*.*'):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(tmp_path / 'data')).read_bytes()


def test_atoms_are_sorted_stably():
    """Atoms are sorted by element, keep their order within it, and forces go with them."""
    positions = np.arange(12.0).reshape(1, 4, 3)
    frames = FrameSet.sort_atoms(['S', 'Li', 'S', 'Li'], [np.eye(3)], positions, energies=[0], forces=positions)
    assert frames.symbols == ('Li', 'Li', 'S', 'S')
    assert np.array_equal(frames.positions[0], positions[0][[1, 3, 0, 2]])
    assert np.array_equal(frames.forces, frames.positions)


def test_identity_depends_on_content_only(make_frames):
    """Labels and origin do not enter a frame's identity; a moved atom does."""
    frames = make_frames()
    assert np.array_equal(frames.ids, frames.with_labels().with_origin(steps=7).ids)
    moved = FrameSet(frames.symbols, frames.cells, frames.positions + 1e-9)
    assert not set(frames.ids) & set(moved.ids)
    assert len(frames.ids[0]) == 16


def test_mixed_layout_holds_the_same_frames(make_frames, tmp_path):
    """The mixed layout gives one directory per number of atoms and reads back as the same frames."""
    sets = [make_frames('Li Li S', 4), make_frames('Br Br Li', 3), make_frames('Li S', 2)]
    directories = write_mixed(sets, tmp_path, ['S', 'Li', 'Br'])
    assert len(directories) == 2
    read = {frames.formula: frames for frames in read_dataset(tmp_path)}
    assert all(equal(read[frames.formula], frames) for frames in sets)
    with pytest.raises(ValueError, match='Br'):
        write_mixed(sets, tmp_path / 'other', ['Li', 'S'])


def test_take_concatenate_unique(make_frames):
    """Frames are taken by index or mask, joined by formula, and distinguished by identity."""
    frames, other = make_frames(frames=5), make_frames('Li Br', 2)
    assert np.array_equal(frames.take([3, 1]).ids, frames.ids[[3, 1]])
    assert len(frames.take(np.array([True, False, True, False, False]))) == 2
    joined = concatenate([frames.take([0, 1]), other, frames.take([2, 3, 4])])
    assert [item.formula for item in joined] == ['Br1Li1', 'Li2S1']
    assert equal(joined[1], frames)
    kept = unique([frames, frames.take([1]), other])
    assert [len(item) for item in kept] == [5, 2]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'positions': np.full((1, 2, 3), np.nan)}, 'holds NaN'),
        ({'positions': np.zeros((1, 3, 3))}, 'has the shape'),
        ({'cells': np.diag([1.0, 1.0, -1.0])[None]}, 'left-handed'),
        ({'cells': np.zeros((1, 3, 3))}, 'empty'),
        ({'forces': np.zeros((1, 2, 3))}, 'without energies'),
        ({'symbols': ('S', 'Li')}, 'not sorted'),
        ({'symbols': (), 'positions': np.zeros((1, 0, 3))}, 'no atoms'),
    ],
)
def test_bad_frames_are_refused(change, message):
    """Every kind of bad frame is refused in one sentence."""
    good = {'symbols': ('Li', 'S'), 'cells': np.eye(3)[None], 'positions': np.zeros((1, 2, 3))}
    with pytest.raises(ValueError, match=message):
        FrameSet(**(good | change))


def test_bad_datasets_are_refused(make_frames, tmp_path):
    """A directory that is not a dataset, or lacks a file, is refused by name."""
    with pytest.raises(ValueError, match=r'`type\.raw`'):
        read_dataset(tmp_path)
    write_dataset([make_frames()], tmp_path)
    np.save(tmp_path / 'Li2S1/set.0000/force.npy', np.zeros((3, 8)))
    with pytest.raises(ValueError, match='has the shape'):
        read_dataset(tmp_path)
    (tmp_path / 'Li2S1/set.0000/box.npy').unlink()
    with pytest.raises(ValueError, match='`coord` or `box`'):
        read_dataset(tmp_path)
    (tmp_path / 'Li2S1/type_map.raw').unlink()
    with pytest.raises(ValueError, match=r'no `type_map\.raw`'):
        read_dataset(tmp_path)
