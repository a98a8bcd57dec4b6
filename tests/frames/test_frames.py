"""Union, selection and splitting of frames, as processes."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.frames.collect_samples import collect_samples
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.frames.union_frames import union_frames


@pytest.fixture
def frames(make_frames) -> FramesData:
    """Thirty frames of one formula and ten of another."""
    return FramesData.from_sets([make_frames('Li Li S', 30), make_frames('Br Li', 10)])


def test_union(frames, make_frames):
    """The union holds all frames and is made by a process."""
    other = FramesData.from_sets([make_frames('Br Li', 2, seed=8)])
    union = union_frames(frames={'b': other, 'a': frames})
    assert union.frames == 42
    assert union.creator.process_label == 'union_frames'
    assert union.ids() == [*frames.ids()[:10], *other.ids(), *frames.ids()[10:]]


@pytest.mark.parametrize('label', ['parameters', 'metadata', 'frames'])
def test_any_label_may_name_frames(frames, make_frames, label):
    """No label hides frames."""
    steps = make_frames('Br Li', 3, seed=8).with_origin(steps=[0, 5, 10])
    run = FramesData.from_sets([steps])
    assert union_frames(frames={label: run, 'a': frames}).frames == 43
    assert collect_samples(samples={label: run}).ids() == list(steps.ids[1:])


def test_split_is_stratified_and_replayable(frames):
    """Parts are disjoint, complete, shared by formula, and the same for the same seed only."""
    parameters = {'validation': 8, 'test': 0.1, 'seed': 5}
    parts = split_frames(frames, orm.Dict(parameters))
    assert {part: node.frames for part, node in parts.items()} == {'training': 28, 'validation': 8, 'test': 4}
    assert parts['validation'].formulas == {'Br1Li1': 2, 'Li2S1': 6}
    ids = [identity for node in parts.values() for identity in node.ids()]
    assert sorted(ids) == sorted(frames.ids())
    again = split_frames(frames, orm.Dict(parameters))
    assert again['validation'].ids() == parts['validation'].ids()
    other = split_frames(frames, orm.Dict(parameters | {'seed': 6}))
    assert other['validation'].ids() != parts['validation'].ids()


def test_split_leaves_out_what_is_not_asked(frames):
    """Without sizes all frames go to training; sizes that leave none are refused."""
    assert list(split_frames(frames, orm.Dict({'seed': 1}))) == ['training']
    with pytest.raises(ValueError, match='`validation`'):
        split_frames(frames, orm.Dict({'seed': 1, 'validation': 40}))
