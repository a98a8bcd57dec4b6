"""The node of frames: validation, union without copies, conversions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from aiida.manage import get_manager

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset


def same(first, second) -> bool:
    """Whether two lists of sets hold the same frames and labels."""
    assert [item.formula for item in first] == [item.formula for item in second]
    for one, two in zip(first, second, strict=True):
        for name in ('cells', 'positions', 'energies', 'forces', 'virials'):
            left, right = getattr(one, name), getattr(two, name)
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_allclose(left, right, rtol=0, atol=1e-12)
    return True


def test_attributes_answer_queries(make_frames):
    """Counts, formulas, elements, labels and ranges are attributes of the stored node."""
    node = FramesData.from_sets([make_frames('Li Li S', 3), make_frames('Li Br', 2)]).store()
    assert (node.frames, node.formulas) == (5, {'Br1Li1': 2, 'Li2S1': 3})
    assert node.elements == ['Br', 'Li', 'S']
    assert node.labels == ['energy', 'force', 'virial']
    assert node.labelled
    assert node.base.attributes.get('atoms') == 13
    found = orm.QueryBuilder().append(FramesData, filters={'attributes.elements': {'contains': ['Br']}, 'id': node.pk})
    assert found.count() == 1
    assert len(set(node.ids())) == 5


def test_labels_are_those_of_all_frames(make_frames):
    """A node of labelled and unlabelled frames is not labelled."""
    node = FramesData.from_sets([make_frames(), make_frames('Li Br', labels=False)])
    assert node.labels == []
    assert not node.labelled


def test_repository_is_a_dataset(make_frames, tmp_path):
    """What a trainer reads from the repository are the frames themselves, in both layouts."""
    node = FramesData.from_sets([make_frames('Li Li S'), make_frames('Li Li S', seed=3)]).store()
    assert [path.name for path in node.write(tmp_path / 'plain')] == ['Li2S1']
    assert same(read_dataset(tmp_path / 'plain'), node.sets())
    node.write(tmp_path / 'mixed', mixed=True, type_map=['S', 'Li', 'P'])
    assert (tmp_path / 'mixed/000003_00/type_map.raw').read_text() == 'S\nLi\nP\n'
    assert FramesData.from_directory(tmp_path / 'mixed').frames == node.frames


def test_union_copies_nothing(make_frames):
    """A union renumbers sets; its objects are those of its members, so it takes no space."""
    first = FramesData.from_sets([make_frames('Li Li S'), make_frames('Li Br')]).store()
    second = FramesData.from_sets([make_frames('Li Li S', seed=9)]).store()
    repository = get_manager().get_profile_storage().get_repository()
    before = set(repository.list_objects())
    union = FramesData.union([first, second]).store()
    assert set(repository.list_objects()) == before
    assert union.set_names() == {'Br1Li1': ['set.0000'], 'Li2S1': ['set.0000', 'set.0001']}
    assert set(union.ids()) == {*first.ids(), *second.ids()}
    assert union.frames == 9


def test_bad_repository_is_refused_on_store(make_frames):
    """A node whose files were changed by hand is refused before it is stored."""
    node = FramesData.from_sets([make_frames()])
    buffer = io.BytesIO()
    np.save(buffer, np.full((3, 9), np.nan))
    buffer.seek(0)
    node.base.repository.put_object_from_filelike(buffer, 'Li2S1/set.0000/force.npy')
    with pytest.raises(ValidationError, match='holds NaN'):
        node.store()
    node = FramesData.from_sets([make_frames()])
    node.base.attributes.set('frames', 7)
    with pytest.raises(ValidationError, match='`from_sets`'):
        node.store()
    with pytest.raises(ValueError, match='no frames'):
        FramesData.from_sets([])


def test_ase_round_trip(make_frames):
    """Labels survive the way to ASE and back; the sign of the stress is ASE's."""
    sets = [make_frames()]
    sets[0] = sets[0].with_labels(sets[0].energies, sets[0].forces, sets[0].virials + sets[0].virials.swapaxes(1, 2))
    node = FramesData.from_sets(sets)
    atoms = node.to_ase()
    expected = -np.trace(sets[0].virials[1]) / atoms[1].get_volume()
    assert np.isclose(atoms[1].get_stress()[:3].sum(), expected)
    assert same(FramesData.from_ase(atoms).sets(), sets)


def test_pymatgen_and_structure_round_trip(make_frames):
    """Cells and positions survive the ways to pymatgen and to AiiDA's structures and back."""
    sets = [make_frames(labels=False)]
    node = FramesData.from_sets(sets)
    assert same(FramesData.from_pymatgen(node.to_pymatgen()).sets(), sets)
    assert same(FramesData.from_structures(node.get_structure(index) for index in range(3)).sets(), sets)


def test_one_frame_and_the_ids_are_read_without_the_other_arrays(monkeypatch, make_frames):
    node = FramesData.from_sets([make_frames('Li Br'), make_frames('Li Li S'), make_frames('Li Li S')]).store()
    expected = [identity for item in node.sets() for identity in item.ids]
    positions = [frame for item in node.sets() for frame in item.positions]
    read, files = node.base.repository.open, []

    def count(path, *args, **kwargs):
        files.append(path.rpartition('/')[2])
        return read(path, *args, **kwargs)

    monkeypatch.setattr(node.base.repository, 'open', count)
    assert node.ids() == expected
    # The first time, the ids are those of the atoms.
    assert set(files) == {'id.npy', 'box.npy', 'coord.npy', 'type.raw', 'type_map.raw'}
    files.clear()
    assert node.ids() == expected
    assert set(files) == {'id.npy'}
    for index in (0, len(positions) - 1, -1):
        assert np.allclose(node.get_structure(index).get_ase().positions, positions[index])
    assert set(files) == {'id.npy', 'box.npy', 'coord.npy', 'type.raw', 'type_map.raw'}
    with pytest.raises(IndexError):
        node.get_structure(len(positions))


def test_dpdata_and_file_round_trip(make_frames, tmp_path):
    """Labels survive the way through dpdata, and through a file that dpdata reads."""
    sets = [make_frames('Li Br'), make_frames('Li Li S')]
    node = FramesData.from_sets(sets)
    assert same(FramesData.from_dpdata(node.to_dpdata()).sets(), sets)
    node.write(tmp_path)
    assert same(FramesData.from_file(tmp_path / 'Li2S1', 'deepmd/npy').sets(), sets[1:])
    next(iter(FramesData.from_sets(sets[:1]).to_dpdata())).to('vasp/poscar', tmp_path / 'POSCAR', frame_idx=0)
    read = FramesData.from_file(tmp_path / 'POSCAR', 'vasp/poscar')
    assert (read.frames, read.labels, read.elements) == (1, [], ['Br', 'Li'])
    with pytest.raises(ValueError, match='`nonsense`'):
        FramesData.from_file(tmp_path, 'nonsense')
    with pytest.raises(ValueError, match='missing`'):
        FramesData.from_file(tmp_path / 'missing', 'vasp/poscar')


def test_trajectory_round_trip(make_frames):
    """Step ids and labels survive the way to AiiDA's trajectory and back."""
    sets = [make_frames().with_origin(steps=[0, 5, 9])]
    trajectory = FramesData.from_sets(sets).get_trajectory()
    read = FramesData.from_trajectory(trajectory).sets()
    assert same(read, sets)
    assert list(read[0].steps) == [0, 5, 9]
    with pytest.raises(ValueError, match='one formula'):
        FramesData.from_sets([make_frames(), make_frames('Li Br')]).get_trajectory()
    bare = orm.TrajectoryData()
    bare.set_trajectory(symbols=['Li'], positions=np.zeros((1, 1, 3)), pbc=(False,) * 3)
    with pytest.raises(ValueError, match='no cells'):
        FramesData.from_trajectory(bare)


def test_partial_occupancies_are_refused():
    """A structure with partial occupancies is refused, with what to do about it."""
    structure = orm.StructureData(cell=np.eye(3) * 4)
    structure.append_atom(position=(0, 0, 0), symbols=['S', 'Cl'], weights=[0.5, 0.5])
    with pytest.raises(ValueError, match='partial occupancies'):
        FramesData.from_structures([structure])
    with pytest.raises(ValueError, match='partial occupancies'):
        FramesData.from_pymatgen([structure.get_pymatgen()])
