"""The node of frames: validation, union without copies, conversions."""

from __future__ import annotations

import io
import tempfile

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from aiida.manage import get_manager

from aiida_dpasse.data import parts
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.packed import Packed


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


def test_what_a_trainer_reads_are_the_frames(make_frames, tmp_path):
    """Both layouts that are written give the frames themselves."""
    node = FramesData.from_sets([make_frames('Li Li S'), make_frames('Li Li S', seed=3)]).store()
    assert [path.name for path in node.write(tmp_path / 'plain')] == ['Li2S1']
    assert sorted(path.name for path in (tmp_path / 'plain/Li2S1').iterdir()) == [
        'set.0000',
        'set.0001',
        'type.raw',
        'type_map.raw',
    ]
    assert same(read_dataset(tmp_path / 'plain'), node.sets())
    node.write(tmp_path / 'mixed', mixed=True, type_map=['S', 'Li', 'P'])
    assert (tmp_path / 'mixed/000003_00/type_map.raw').read_text() == 'S\nLi\nP\n'
    assert FramesData.from_directory(tmp_path / 'mixed').frames == node.frames


def test_a_node_is_one_file_that_numpy_reads(make_frames):
    """Whatever the number of sets; what it holds needs nothing of this package, and equal sets are equal bytes."""
    sets = [make_frames('Li Li S', 2), make_frames('Li Br', 3, labels=False), make_frames('Li Li S', 1, seed=4)]
    node = FramesData.from_sets(sets).store()
    assert node.base.repository.list_object_names() == ['frames_0000.npz']
    with node.base.repository.open('frames_0000.npz', 'rb') as handle:
        arrays = dict(np.load(handle))
    assert arrays['elements'].tolist() == [b'Br', b'Li', b'S']
    assert arrays['composition'].tolist() == [[1, 1, 0], [0, 2, 1]]
    assert arrays['sets'][:, :3].tolist() == [[0, 3, 0], [1, 2, 7], [1, 1, 7]]
    assert arrays['coord'].shape == (3 * 2 + 3 * 3, 3)
    assert np.array_equal(arrays['force'][:6], sets[0].forces.reshape(-1, 3))
    assert [name.decode() for name in arrays['id']] == node.ids()
    assert node.base.caching.compute_hash() == FramesData.from_sets(sets).store().base.caching.compute_hash()


def test_text_of_any_kind_is_kept(make_frames):
    """The origin of a frame, in characters of one and of several bytes, and of different lengths in each set."""
    texts = [['', 'b', 'perturbed from 0'], ['\u00e5', 'x' * 70, ''], ['\ud800', '\U0001f600', '\u00df' * 9]]
    sets = [make_frames(seed=seed).with_origin(reasons=texts[seed], sources=texts[seed - 1]) for seed in range(3)]
    found = FramesData.from_sets(sets).store().sets()
    assert [item.reasons.tolist() for item in found] == texts
    assert [item.sources.tolist() for item in found] == texts[-1:] + texts[:-1]


def names_of(node) -> list[str]:
    """Return the files of a node."""
    return sorted(node.base.repository.list_object_names())


def test_union_copies_nothing(make_frames):
    """The files of a union are those of its members, so it takes no space; their frames are in the order of these."""
    first = FramesData.from_sets([make_frames('Li Li S'), make_frames('Li Br')]).store()
    second = FramesData.from_sets([make_frames('Li Li S', seed=9)]).store()
    repository = get_manager().get_profile_storage().get_repository()
    before = set(repository.list_objects())
    union = FramesData.union([first, second]).store()
    assert set(repository.list_objects()) == before
    assert names_of(union) == ['frames_0000.npz', 'frames_0001.npz']
    assert [(entry.formula, entry.frames) for entry in union.entries()] == [('Br1Li1', 3), ('Li2S1', 3), ('Li2S1', 3)]
    assert union.ids() == [*first.ids(), *second.ids()]
    assert union.frames == 9
    twice = FramesData.union([union, first]).store()
    assert set(repository.list_objects()) == before
    assert twice.ids() == [*first.ids()[:3], *first.ids()[:3], *first.ids()[3:], *second.ids(), *first.ids()[3:]]


def test_a_union_of_many_has_few_files_and_all_frames_in_order(make_frames, monkeypatch):
    nodes = [
        FramesData.from_sets([make_frames('Li Br' if i % 2 else 'Li Li S', 1 + i, seed=i)]).store() for i in range(9)
    ]
    whole = FramesData.union(nodes).store()
    monkeypatch.setattr(parts, 'MOST', 3)
    monkeypatch.setattr(parts.joined, '__defaults__', (3,))
    union = FramesData.union(nodes).store()
    assert len(names_of(union)) == 3
    assert len(names_of(whole)) == 9
    assert union.ids() == whole.ids()
    assert same(union.sets(), whole.sets())
    assert union.entries() == whole.entries()
    assert FramesData.union(nodes).store().base.caching.compute_hash() == union.base.caching.compute_hash()


@pytest.mark.parametrize('compress', [False, True])
def test_frames_are_read_after_the_repository_was_packed(compress, make_frames):
    """As `verdi storage maintain` does."""
    sets = [make_frames('Li Li S', 20, seed=40 + compress), make_frames('Li Br', 3, seed=40 + compress)]
    pks = [FramesData.from_sets(sets).store().pk, in_the_layout_of_folders(sets).pk]
    get_manager().get_profile_storage().maintain(full=False, compress=compress)
    for node in map(orm.load_node, pks):
        assert same(node.sets(), sets[::-1])
        assert node.ids() == [identity for item in sets[::-1] for identity in item.ids]
        assert np.allclose(node.get_structure(-1).get_ase().positions, sets[0].positions[-1])
        assert FramesData.union([node, node]).store().frames == 46


def test_a_frame_is_found_with_what_is_stored_of_it(make_frames):
    """In files of both layouts; of equal frames the last, and none that is not there."""
    sets = [make_frames('Li Br', 3).with_origin(sources='a', steps=[0, 5, 9], reasons='first')]
    sets += [sets[0].with_labels().with_origin(sources='b', steps=7, reasons='second'), make_frames('Li Li S', 2)]
    for node in (FramesData.from_sets(sets).store(), in_the_layout_of_folders(sets)):
        found = node.find(str(sets[0].ids[1]))
        assert (found.source, found.step, found.reason, found.labelled) == ('b', 7, 'second', False)
        assert found.entry == ('Br1Li1', 3, 2, ())
        assert node.find(str(sets[2].ids[0])).labelled
        assert node.find('0' * 16) is None


def in_the_layout_of_folders(sets) -> FramesData:
    """Return a node as earlier releases wrote it."""
    node = FramesData()
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(sets, folder)
        node.base.repository.put_object_from_tree(folder)
    node._describe([FramesData._attributes_of(item) for item in sets])
    return node.store()


def test_nodes_of_earlier_releases_are_what_they_were(make_frames, tmp_path):
    """The same frames, ids, order, origin and files for DeePMD-kit, alone and in unions."""
    sets = [make_frames('Li Li S', 2), make_frames('Li Br', 3, labels=False), make_frames('Li Li S', 4, seed=4)]
    sets = [
        item.with_origin(sources=f'md_{i}', steps=np.arange(len(item)), reasons='new') for i, item in enumerate(sets)
    ]
    old, new = in_the_layout_of_folders(sets), FramesData.from_sets(sets).store()
    assert names_of(old) == ['Br1Li1', 'Li2S1']
    assert old.base.attributes.all == new.base.attributes.all
    for read in (FramesData.ids, FramesData.entries):
        assert read(old) == read(new)
    for left, right in zip(old.origins(), new.origins(), strict=True):
        assert {name: array.tolist() for name, array in left.items() if name != 'deviation'} == {
            name: array.tolist() for name, array in right.items() if name != 'deviation'
        }
    assert same(old.sets(), new.sets())
    for index in (0, 4, -1):
        assert old.get_structure(index).base.attributes.all == new.get_structure(index).base.attributes.all
    contents = []
    for name, node in (('old', old), ('new', new)):
        node.write(tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob('*') if path.is_file())
        contents.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    mixed = FramesData.union([old, new, old]).store()
    assert names_of(mixed) == ['frames_0000.npz', 'frames_0001.npz', 'frames_0002.npz']
    assert same(mixed.sets(), FramesData.union([new, new, new]).sets())


def test_bad_repository_is_refused_on_store(make_frames):
    """A node whose files were changed by hand is refused before it is stored."""
    node = FramesData.from_sets([make_frames()])
    content = node.base.repository.get_object_content('frames_0000.npz', 'rb')
    force = next(iter(node.sets())).forces.tobytes()
    assert content.count(force) == 1
    broken = content.replace(force, np.full(len(force) // 8, np.nan).tobytes())
    node.base.repository.put_object_from_filelike(io.BytesIO(broken), 'frames_0000.npz')
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
    node = FramesData.from_sets(
        [make_frames('Li Br', 50), make_frames('Li Li S', 70), make_frames('Li Li S', 50)]
    ).store()
    expected = [identity for item in node.sets() for identity in item.ids]
    positions = [frame for item in node.sets() for frame in item.positions]
    read, rows = Packed._read, {}

    def count(self, name, begin=0, end=None):
        rows[name] = rows.get(name, 0) + (self._arrays[name].shape[0] if end is None else end) - begin
        return read(self, name, begin, end)

    monkeypatch.setattr(Packed, '_read', count)
    index = {'elements', 'composition', 'sets'}
    assert node.ids() == expected
    # The first time, the ids are those of the atoms.
    assert set(rows) == index | {'id', 'box', 'coord'}
    rows.clear()
    assert node.ids() == expected
    assert set(rows) == index | {'id'}
    for place in (0, len(positions) - 1, -1):
        rows.clear()
        assert np.allclose(node.get_structure(place).get_ase().positions, positions[place])
        assert set(rows) == index | {'box', 'coord'}
        assert (rows['box'], rows['coord']) == (1, len(positions[place]))
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
