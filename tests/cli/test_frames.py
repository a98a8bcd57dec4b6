"""`aiida-dpasse import frames` and `export frames`: what is printed, stored, refused and written."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase.io import read, write
from click.testing import CliRunner

from aiida_dpasse.cli.main import cli
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import write_dataset


def run(*words) -> tuple[int, str]:
    """Return the exit status and all output of a command."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


@pytest.fixture
def dataset(pair_frames, tmp_path):
    """A dataset of two formulas, one of which has spins."""
    write_dataset(pair_frames, tmp_path / 'data')
    np.save(tmp_path / 'data' / 'Li6S2' / 'set.0000' / 'spin.npy', np.zeros((6, 24)))
    return tmp_path / 'data'


def test_a_dry_run_prints_what_is_in_the_files(dataset, pair_frames, aiida_profile):
    before = orm.QueryBuilder().append(FramesData).count()
    status, text = run('import', 'frames', '--dry-run', dataset)
    assert status == 0
    assert orm.QueryBuilder().append(FramesData).count() == before
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith(('Cl4Li4', 'Li6S2'))}
    for item in pair_frames:
        _, atoms, frames, *labels, lowest, highest, _, largest = rows[item.formula]
        assert (atoms, frames, labels) == ('8', '6', ['energy', 'force', 'virial'])
        energies = item.energies / 8
        assert (float(lowest), float(highest)) == pytest.approx((energies.min(), energies.max()), abs=1e-4)
        assert float(largest) == pytest.approx(np.linalg.norm(item.forces, axis=-1).max(), rel=5e-3)
    assert 'Dropped: `spin` of 6 frames (data/Li6S2).' in text.splitlines()


def test_frames_are_stored_once_for_all_files(dataset, pair_frames, tmp_path, aiida_profile):
    FramesData.from_sets(pair_frames[:1]).to_file(tmp_path / 'more.extxyz')
    status, text = run('import', 'frames', dataset, tmp_path / 'more.extxyz', '--group', 'own', '--label', 'mine')
    assert status == 0, text
    [node] = orm.load_group('own').nodes
    assert (node.frames, node.label, node.pk) == (18, 'mine', int(text.split()[-1]))
    assert node.notes == ['Dropped: `spin` of 6 frames (data/Li6S2).']
    assert 'Kept: 6 frames' in text
    _, text = run('import', 'frames', dataset)
    assert orm.load_node(int(text.split()[-1])).label == 'data'


def test_refused_frames_need_an_option(dataset, aiida_profile):
    (dataset / 'Li6S2' / 'nopbc').touch()
    for words in ((), ('--dry-run',)):
        status, text = run('import', 'frames', dataset, *words)
        assert status == 2
        assert '6 frames with open boundaries (data/Li6S2)' in text
        assert '`--periodic`' in text
    status, text = run('import', 'frames', dataset, '--skip')
    assert status == 0
    assert orm.load_node(int(text.split()[-1])).frames == 6
    assert run('import', 'frames', dataset, '--periodic', '--dry-run')[0] == 0
    assert run('import', 'frames', dataset, '--skip', '--minimum-distance', '9', '--dry-run')[0] == 2
    (dataset / 'Cl4Li4' / 'type_map.raw').unlink()
    assert run('import', 'frames', dataset / 'Cl4Li4', '--dry-run')[0] == 2
    status, text = run('import', 'frames', dataset / 'Cl4Li4', '-n', '-t', 'Br Li')
    assert (status, 'Br4Li4' in text) == (0, True)


def test_labels_under_other_names_are_pointed_out(pair_frames, tmp_path, aiida_profile):
    FramesData.from_sets(pair_frames).to_file(tmp_path / 'a.xyz')
    images = read(tmp_path / 'a.xyz', ':')
    for atoms in images:
        atoms.info['dft_energy'] = atoms.get_potential_energy()
        atoms.arrays['dft_force'] = atoms.get_forces()
        atoms.calc = None
        del atoms.info['virial']
    write(tmp_path / 'gap.xyz', images)
    status, text = run('import', 'frames', '-n', tmp_path / 'gap.xyz')
    assert (status, text.splitlines()[-1].split()[-1]) == (0, 'energy=dft_energy,forces=dft_force')
    status, text = run('import', 'frames', '-n', tmp_path / 'gap.xyz', '--keys', 'energy=dft_energy,forces=dft_force')
    assert (status, text.count('energy force ')) == (0, 2)
    assert run('import', 'frames', '-n', tmp_path / 'gap.xyz', '--keys', 'energy')[0] == 2


@pytest.mark.parametrize(
    ('name', 'words'), [('a.extxyz', ()), ('a.db', ()), ('a', ('--format', 'mixed', '-t', 'S Li Cl'))]
)
def test_exported_frames_can_be_imported(name, words, pair_frames, tmp_path, aiida_profile):
    node = FramesData.from_sets(pair_frames).store()
    status, text = run('export', 'frames', node.pk, tmp_path / name, *words)
    assert status == 0, text
    status, text = run('import', 'frames', tmp_path / name)
    assert status == 0, text
    assert sorted(orm.load_node(int(text.split()[-1])).ids()) == sorted(node.ids())
    assert run('export', 'frames', node.pk, tmp_path / name)[0] == 2
    assert run('export', 'frames', orm.Int(1).store().pk, tmp_path / 'other')[0] == 2
