"""A driver travels as one zip that runs with numpy alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import numpy as np

from aiida_dpasse.drivers.job import read_job, write_result
from aiida_dpasse.drivers.package import driver_version, pack_driver


def test_zip_is_deterministic_and_runs_alone(tmp_path):
    """The same sources give the same bytes; the rooms inside do not shadow the programs of their names."""
    modules = ('deepmd.arrays', 'deepmd.dataset', 'deepmd.frameset', 'deepmd.intake', 'quoting', 'seeds', 'unreadable')
    content = pack_driver('job', modules)
    pack_driver.cache_clear()
    assert pack_driver('job', modules) == content
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert names == sorted(names)
    assert {'__main__.py', 'aiida_dpasse/__init__.py', 'aiida_dpasse/deepmd/dataset.py'} <= set(names)
    archive = tmp_path / 'packed.zip'
    archive.write_bytes(content)
    code = (
        f'import sys; sys.path.insert(0, {str(archive)!r}); import aiida_dpasse.deepmd.dataset as d; '
        "assert 'packed.zip' in d.__file__; assert not any(name.split('.')[0] == 'aiida' for name in sys.modules); "
        "import deepmd; assert 'packed.zip' not in deepmd.__file__; print('alone')"
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.strip() == 'alone'


def test_version_follows_the_sources():
    """Another content gives another cache version."""
    assert driver_version('job', ()) != driver_version('job', ('seeds',))


def test_result_is_whole_and_without_nan(tmp_path, monkeypatch):
    """The result is written in one move; what JSON cannot hold becomes null."""
    monkeypatch.chdir(tmp_path)
    write_result({'a': np.float64('nan'), 'b': np.array([1.0, np.inf]), 3: (np.int64(2), 'x')})
    assert json.loads((tmp_path / 'output.json').read_text()) == {
        'a': None,
        'b': [1.0, None],
        '3': [2, 'x'],
        'files': {},
    }
    assert read_job([str(tmp_path / 'output.json')])['a'] is None
    assert [path.name for path in tmp_path.iterdir()] == ['output.json']
