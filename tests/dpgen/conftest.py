"""DP-GEN's files of the tests, and the same with other values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aiida_dpasse.dpgen.param import Conversion, read_dpgen

FIXTURES = Path(__file__).parent / 'fixtures'


@pytest.fixture
def changed(tmp_path):
    """Return a reader of the fixture with other values; None takes a key out."""

    def read(**changes) -> Conversion:
        shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
        content = {**json.loads((FIXTURES / 'param.json').read_text()), **changes}
        path = tmp_path / 'changed.json'
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        return read_dpgen(path)

    return read
