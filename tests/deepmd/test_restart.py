"""Choosing the checkpoint to go on from, with the real shell; the whole files are DeePMD-kit's own kind of zip."""

from __future__ import annotations

import subprocess
import zipfile

import pytest

from aiida_dpasse.deepmd.restart import latest_step, none_was_whole, restart_script, restarted_from


def run(directory, backend: str, limit: int | None = None) -> int:
    """Run the script and return its status."""
    script = restart_script(backend, 'train.out', limit)
    return subprocess.run(['bash', '-c', script], cwd=directory, check=False).returncode


@pytest.fixture
def pytorch(tmp_path):
    """Three checkpoints, the last one cut short."""
    for step in (100, 900, 1000):
        with zipfile.ZipFile(tmp_path / f'model.ckpt-{step}.pt', 'w') as archive:
            archive.writestr('archive/data.pkl', f'{step}' * 100)
    last = tmp_path / 'model.ckpt-1000.pt'
    last.write_bytes(last.read_bytes()[:-40])
    (tmp_path / 'checkpoint').write_text('model.ckpt-1000.pt')
    return tmp_path


@pytest.mark.parametrize(('limit', 'chosen'), [(None, 900), (900, 900), (899, 100), (100, 100)])
def test_newest_whole_one(pytorch, limit, chosen):
    """The one before a broken one is taken, or before the limit; all names lead to it."""
    assert run(pytorch, 'pytorch', limit) == 0
    content = (pytorch / f'model.ckpt-{chosen}.pt').read_bytes()
    assert (pytorch / 'restart.pt').read_bytes() == (pytorch / 'model.ckpt.pt').read_bytes() == content
    assert latest_step((pytorch / 'checkpoint').read_text()) == chosen
    report = (pytorch / 'restart.out').read_text()
    assert restarted_from(report) == chosen
    assert ('step 1000 is cut short' in report) == (limit is None)
    assert not (pytorch / 'model.ckpt-1000.pt').exists()


def test_none(pytorch):
    """No checkpoint is early enough: the log reports it, and the job ends."""
    assert run(pytorch, 'pytorch', 99) == 1
    assert none_was_whole((pytorch / 'train.out').read_text())


def test_tensorflow(tmp_path):
    """A checkpoint without its graph, or with an index that is cut short, is not whole."""
    magic = bytes.fromhex('57fb808b247547db')
    for step, index, meta in ((10, b'x' + magic, b'm'), (20, b'x' + magic[:-1], b'm'), (30, b'x' + magic, b'')):
        for suffix, content in (('index', index), ('meta', meta), ('data-00000-of-00001', b'd')):
            (tmp_path / f'model.ckpt-{step}.{suffix}').write_bytes(content)
    assert run(tmp_path, 'tensorflow') == 0
    assert (tmp_path / 'restart.data-00000-of-00001').read_bytes() == b'd'
    assert (tmp_path / 'restart.index').resolve().name == 'model.ckpt-10.index'
    assert latest_step((tmp_path / 'checkpoint').read_text()) == 10


def test_nothing_said():
    """No file, no step."""
    assert (latest_step(''), restarted_from('')) == (0, 0)


def test_a_pointer_that_was_emptied_loses_no_checkpoint():
    log = 'Saved model to model.ckpt-40.pt\nSaved model to model.ckpt-50.pt\n'
    assert latest_step('', log) == 50
    assert latest_step('model.ckpt-40.pt', log) == 50
    assert latest_step('model.ckpt-60.pt', log) == 60
