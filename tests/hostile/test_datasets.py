"""Datasets of strangers: names that are paths, links, devices, false labels, false attributes, and full disks."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from click.testing import CliRunner
from fixtures_models import lennard_jones_frames

from aiida_dpasse.base.validators import validate_labelled
from aiida_dpasse.cli.import_frames import frames as import_frames
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.reading import read_files
from aiida_dpasse.data.writing import write_frames
from aiida_dpasse.deepmd.arrays import load_array, read_archive
from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet, formula_of
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.deepmd.packed import Packed, write_packed
from aiida_dpasse.dpgen.collect import collect
from aiida_dpasse.unreadable import UnreadableError

#: What names atoms and could be a path, a command of a terminal, or nothing.
NAMES = ('../../up', '/tmp/up', 'Li/../..', '..', '\x1b[2J', 'Li\u202e', 'L' * 300, '-rf', '')


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A sound dataset: its folder holds one system with one set."""
    write_dataset([lennard_jones_frames(3)], tmp_path / 'outer' / 'data')
    return tmp_path / 'outer' / 'data'


def one_set(dataset: Path) -> Path:
    """Return the folder of the set."""
    [found] = dataset.glob('*/set.0000')
    return found


def refused(path: Path, **options: object) -> str:
    """Return the sentence with which a dataset is refused by the reader, and by the command with exit status 2."""

    def read() -> None:
        intake = Intake()
        read_files([path], intake, **options)
        intake.close()

    with pytest.raises(UnreadableError) as caught:
        read()
    text = str(caught.value)
    assert '\n' not in text
    assert '\x1b' not in text
    assert len(text) < 1000
    result = CliRunner().invoke(import_frames, ['--dry-run', str(path)])
    assert result.exit_code == 2, result.output
    return text


@pytest.mark.parametrize('name', NAMES)
def test_names_of_atoms_are_no_paths(name, dataset, tmp_path):
    before = sorted(tmp_path.rglob('*'))
    file = next(dataset.glob('*/type_map.raw'))
    file.write_text(f'Cl\n{name}\nP\nS\n', encoding='utf8')
    refused(dataset)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('name', [*NAMES[:-1], 'a b'])
def test_frames_and_exports_have_names_of_elements_only(name, tmp_path):
    with pytest.raises(UnreadableError):
        FrameSet.sort_atoms([name], np.eye(3)[None], np.zeros((1, 1, 3)))
    with pytest.raises(UnreadableError):
        collect([lennard_jones_frames(1)], tmp_path / 'a' / 'b', ['Li', 'P', 'S', 'Cl', name])
    assert not list(tmp_path.rglob('sys.*'))


def test_other_kinds_of_atoms_have_names_that_name_folders():
    item = FrameSet.sort_atoms(['Type_0', 'HW'], np.eye(3)[None] * 5, np.zeros((1, 2, 3)))
    assert formula_of(item.symbols) == 'HW1Type_01'


@pytest.mark.parametrize('target', ['type.raw', 'type_map.raw', 'set.0000/coord.npy', 'set.0000/energy.npy'])
@pytest.mark.parametrize('kind', ['pipe', 'device', 'link'])
def test_devices_pipes_and_links_out_of_it_are_not_read(target, kind, dataset, tmp_path):
    """In a process of its own, which would hang."""
    [file] = dataset.glob(f'*/{target}')
    (tmp_path / 'secret').write_bytes(file.read_bytes())
    file.unlink()
    if kind == 'pipe':
        os.mkfifo(file)
    else:
        file.symlink_to('/dev/zero' if kind == 'device' else tmp_path / 'secret')
    code = 'import sys; from aiida_dpasse.deepmd.dataset import read_dataset; read_dataset(sys.argv[1])'
    done = subprocess.run(
        [sys.executable, '-c', code, str(dataset)], capture_output=True, text=True, check=False, timeout=60
    )
    assert 'UnreadableError' in done.stderr
    assert done.returncode == 1


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'OUTCAR')
    with pytest.raises(UnreadableError, match='no regular file'):
        read_files([tmp_path / 'OUTCAR'], Intake())


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('energy', lambda array: array.astype(complex) + 1j),
        ('force', lambda array: array.astype(complex)),
        ('energy', lambda array: array.astype('datetime64[s]')),
        ('energy', lambda array: array > 0),
        ('energy', lambda array: array.astype(str)),
        ('force', lambda array: array.T),
        ('force', lambda array: array.reshape(3, -1, 3).transpose(0, 2, 1)),
        ('force', lambda array: array[:2]),
        ('virial', lambda array: array.T),
        ('box', lambda array: array.reshape(-1)),
        ('box', lambda array: array * np.nan),
        ('coord', lambda array: array * np.inf),
        ('coord', lambda array: array * 1e300),
        ('energy', lambda array: array * 1e300),
        ('force', lambda array: array * np.nan),
        ('step', lambda array: array + 0.5),
        ('step', lambda array: np.full(3, np.nan)),
        ('source', lambda array: np.arange(7)),
        ('box', lambda array: array * 0),
    ],
)
def test_labels_that_are_no_real_numbers_of_their_shape_are_refused(name, change, dataset):
    file = one_set(dataset) / f'{name}.npy'
    np.save(file, change(np.load(file)))
    refused(dataset)


class Touch:
    """What a stranger's pickle does: it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_objects_are_neither_read_nor_recommended(dataset, tmp_path):
    file = one_set(dataset) / 'energy.npy'
    np.save(file, np.array([Touch(tmp_path / 'mark')] * 3, dtype=object), allow_pickle=True)
    assert 'pickle' not in refused(dataset)
    assert not (tmp_path / 'mark').exists()
    with pytest.raises(UnreadableError, match='Python objects'):
        load_array(file, 'energy.npy')


@pytest.mark.parametrize(
    'content', [b'', b'\xff', b'0 1 x', b'99999999999999999999999', b'-1\n' * 12, b'9' * 5000, b'\0']
)
@pytest.mark.parametrize('name', ['type.raw', 'type_map.raw'])
def test_lists_of_types_are_of_whole_numbers_and_names(content, name, dataset):
    next(dataset.glob(f'*/{name}')).write_bytes(content)
    refused(dataset)


def test_hdf5_reads_no_other_file(dataset, tmp_path):
    import h5py

    with h5py.File(tmp_path / 'other.hdf5', 'w') as file:
        file['coord.npy'] = np.zeros((1, 3))
    with h5py.File(tmp_path / 'data.hdf5', 'w') as file:
        group = file.create_group('sys')
        group['type.raw'], group['type_map.raw'] = [0], ['Li']
        group['set.000/box.npy'] = np.eye(3).reshape(1, 9)
        group['set.000']['coord.npy'] = h5py.ExternalLink(str(tmp_path / 'other.hdf5'), 'coord.npy')
    assert 'another file' in refused(tmp_path / 'data.hdf5')
    with h5py.File(tmp_path / 'data.hdf5', 'r+') as file:
        del file['sys/set.000/coord.npy']
        layout = h5py.VirtualLayout((1, 3), '<f8')
        layout[:] = h5py.VirtualSource(str(tmp_path / 'other.hdf5'), 'coord.npy', (1, 3))
        file['sys/set.000'].create_virtual_dataset('coord.npy', layout)
    assert 'another file' in refused(tmp_path / 'data.hdf5')


@pytest.mark.parametrize('fault', ['cut', 'encrypted', 'compressed', 'object', 'text', 'no zip'])
def test_archives_of_arrays_are_whole_plain_and_of_values(fault):
    buffer = io.BytesIO()
    values = np.array([{}], dtype=object) if fault == 'object' else np.arange(3.0)
    (np.savez_compressed if fault == 'compressed' else np.savez)(buffer, x=values)
    content = bytearray(buffer.getvalue())
    if fault == 'cut':
        content = content[: len(content) // 2]
    elif fault == 'encrypted':
        # The flag of encryption, in the local header and in the directory.
        content[6] |= 1
        content[content.index(b'PK\x01\x02') + 8] |= 1
    elif fault == 'no zip':
        content = bytearray(b'PK\x03\x04' * 20)
    elif fault == 'text':
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            archive.writestr('x.npy', 'numbers')
        content = bytearray(buffer.getvalue())
    with pytest.raises(UnreadableError, match=r'x\.npz') as caught:
        read_archive(bytes(content), 'x.npz')
    assert 'pickle' not in str(caught.value)


# -- nodes of an imported archive ------------------------------------------------------------------------------------


def forge(node: FramesData, **attributes: object) -> FramesData:
    """Return the node after its attributes in the database were changed, as an archive may bring them."""
    model = node.backend_entity.model
    model.attributes = {**node.base.attributes.all, **attributes}
    model.save()
    return orm.load_node(node.pk)


@pytest.mark.parametrize(
    ('attributes', 'use'),
    [
        ({'frames': 1000}, lambda node: node.frames),
        ({'formulas': {'Li1': 3}}, lambda node: node.formulas),
        ({'formulas': {'../../up': 3}}, lambda node: node.formulas),
        ({'elements': ['Li']}, lambda node: node.elements),
        ({'labels': []}, lambda node: node.labelled),
        ({'atoms': 7}, lambda node: node.atoms),
        ({'frames': 1000}, lambda node: node.sets()),
        ({'frames': 1000}, lambda node: node.ids()),
        ({'frames': 1000}, lambda node: FramesData.union([node])),
    ],
)
def test_what_a_node_states_is_what_its_files_hold(attributes, use, aiida_profile):
    node = FramesData.from_sets([lennard_jones_frames(3)]).store()
    assert node.frames == 3
    forged = forge(FramesData.from_sets([lennard_jones_frames(3, seed=1)]).store(), **attributes)
    with pytest.raises(UnreadableError, match=f'node {forged.pk} states'):
        use(forged)

    class Port:
        name = 'frames'

    assert str(forged.pk) in validate_labelled(forged, Port)


def test_ids_are_those_of_the_atoms(aiida_profile, tmp_path):
    [path] = write_dataset([lennard_jones_frames(3)], tmp_path)
    ids = path / 'set.0000' / 'id.npy'
    np.save(ids, np.array(['0' * 16] * 3))
    node = FramesData()
    node.base.repository.put_object_from_tree(tmp_path)
    node._describe([FramesData._attributes_of(lennard_jones_frames(3))])
    node.store()
    with pytest.raises(UnreadableError, match=f'node {node.pk} states other ids'):
        node.ids()


def false_file(change: str, sets: list[FrameSet]) -> bytes:
    """Return a file of frames that declares what it does not hold."""
    buffer = io.BytesIO()
    write_packed(sets, buffer)
    content = buffer.getvalue()
    arrays = dict(np.load(io.BytesIO(content)))
    table, composition = arrays['sets'], arrays['composition']
    compressed = change == 'compressed'
    if change in ('cut', 'empty', 'no zip'):
        return {'cut': content[: len(content) // 2], 'empty': b'', 'no zip': b'\0' * 1000}[change]
    if change == 'huge member':
        # The size of the first member, in its header.
        return content[:18] + b'\xf0\xff\xff\xff' * 2 + content[26:]
    if change.startswith('lacks'):
        del arrays[change.partition(' ')[2]]
    elif change == 'other array':
        arrays['more'] = np.zeros(3)
    elif change == 'frames':
        table[0, 1] = 2**62
    elif change == 'no frames':
        table[0, 1] = 0
    elif change == 'formula':
        table[0, 0] = 5
    elif change == 'labels':
        table[0, 2] = 1
    elif change == 'forces alone':
        table[0, 2] = 6
        del arrays['energy']
    elif change == 'width':
        table[0, 3] = 2**40
    elif change == 'atoms':
        composition[0, 0] = 2**62
    elif change == 'negative atoms':
        composition[0, :2] += [-100, 100]
    elif change == 'formulas':
        arrays['composition'] = np.tile(composition, (100_000, 1))
    elif change == 'names':
        arrays['elements'] = np.array([b'../..', *arrays['elements'][1:]])
    elif change == 'order':
        arrays['elements'] = arrays['elements'][::-1]
    elif change == 'text':
        arrays['reason'] = np.full_like(arrays['reason'], 0xFF)
    elif change == 'ids':
        arrays['id'] = np.full_like(arrays['id'], b'\xff' * 16)
    elif change == 'kind':
        arrays['coord'] = arrays['coord'].astype(np.float32)
    elif change == 'fortran':
        arrays['coord'] = np.asfortranarray(arrays['coord'])
    elif change == 'objects':
        arrays['energy'] = np.array([Touch(Path('mark'))] * len(arrays['energy']), dtype=object)
    elif change == 'nan':
        arrays['force'][0, 0] = np.nan
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


FALSE = ('cut', 'empty', 'no zip', 'huge member', 'lacks coord', 'lacks id', 'lacks sets', 'other array', 'compressed')
FALSE += ('frames', 'no frames', 'formula', 'labels', 'forces alone', 'width', 'atoms', 'negative atoms', 'formulas')
FALSE += ('names', 'order', 'text', 'ids', 'kind', 'fortran', 'objects', 'nan')


@pytest.mark.parametrize('change', FALSE)
def test_what_a_file_of_frames_declares_is_checked_before_memory_is_taken(change):
    """With a gigabyte of address space more than the process has, which none of the false files takes."""
    item = lennard_jones_frames(3).with_origin(sources='md', reasons='new')
    content = false_file(change, [item])
    with Path('/proc/self/statm').open() as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))

    def read() -> None:
        part = Packed(io.BytesIO(content), len(content), 'frames_0000.npz')
        part.per_set('id')
        part.sets()

    try:
        with pytest.raises(UnreadableError) as caught:
            read()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert 'pickle' not in str(caught.value)
    assert not Path('mark').exists()


def test_a_file_that_numpy_wrote_is_read():
    """What is refused above is refused for its content."""
    item = lennard_jones_frames(3).with_origin(sources='md', reasons='new')
    content = false_file('', [item])
    [found] = Packed(io.BytesIO(content), len(content), 'frames_0000.npz').sets()
    assert found.ids.tolist() == item.ids.tolist()
    assert found.reasons.tolist() == ['new'] * 3


@pytest.mark.parametrize('change', FALSE)
def test_no_false_file_of_frames_is_stored(change, aiida_profile):
    item = lennard_jones_frames(3).with_origin(sources='md', reasons='new')
    node = FramesData()
    node.base.repository.put_object_from_filelike(io.BytesIO(false_file(change, [item])), 'frames_0000.npz')
    node._describe([FramesData._attributes_of(item)])
    if change == 'ids':
        node.store()
        with pytest.raises(UnreadableError):
            node.ids()
        return
    with pytest.raises(ValidationError):
        node.store()


def test_ids_in_a_file_are_those_of_the_atoms(aiida_profile):
    item = lennard_jones_frames(3)
    buffer = io.BytesIO()
    write_packed([item], buffer)
    false, true = ('0' * 16).encode(), str(item.ids[1]).encode()
    node = FramesData()
    content = buffer.getvalue().replace(true, false)
    node.base.repository.put_object_from_filelike(io.BytesIO(content), 'frames_0000.npz')
    node._describe([FramesData._attributes_of(item)])
    node.store()
    for read in (lambda: node.find(false.decode()), node.ids):
        with pytest.raises(UnreadableError, match=f'node {node.pk} states other ids'):
            read()
    assert node.find(str(item.ids[0])) is not None
    assert node.find(true.decode()) is None


def test_other_files_beside_the_frames_are_refused(aiida_profile):
    node = FramesData.from_sets([lennard_jones_frames(3)])
    node.base.repository.put_object_from_filelike(io.BytesIO(b'x'), 'more.txt')
    with pytest.raises(ValidationError, match='no part of a dataset'):
        node.store()


def test_exports_of_a_forged_node_write_nothing(aiida_profile, tmp_path):
    forged = forge(FramesData.from_sets([lennard_jones_frames(2, seed=5)]).store(), elements=['../../up'])
    for fmt in ('npy', 'mixed', 'extxyz', 'ase-db'):
        with pytest.raises(UnreadableError):
            write_frames(forged, tmp_path / 'out', fmt)
    with pytest.raises(UnreadableError):
        collect(forged.sets(), tmp_path)
    assert not list(tmp_path.iterdir())


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of at most 2 kB can be written; Python would leave half of each module that it compiles."""
    limits, compiles = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = compiles


@pytest.mark.parametrize('fmt', ['npy', 'mixed', 'extxyz', 'ase-db'])
def test_a_full_disk_leaves_nothing_of_an_export(fmt, aiida_profile, tmp_path):
    node = FramesData.from_sets([lennard_jones_frames(40)]).store()
    with full_disk(), pytest.raises(UnreadableError, match='nothing of it is left'):
        write_frames(node, tmp_path / 'out', fmt)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_of_a_collection(tmp_path):
    with full_disk(), pytest.raises(UnreadableError, match='nothing of the frames is left'):
        collect([lennard_jones_frames(40)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_sound_datasets_are_what_they_were(dataset):
    [item] = read_dataset(dataset)
    expected = lennard_jones_frames(3)
    assert np.array_equal(item.positions, expected.positions)
    assert np.array_equal(item.forces, expected.forces)
    assert item.ids.tolist() == expected.ids.tolist()
