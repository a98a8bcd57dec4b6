"""Identity is data: no module takes a label apart to learn what it is of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aiida_dpasse

ROOMS = (
    'base',
    'frames',
    'label',
    'train',
    'dynamics',
    'explore',
    'distill',
    'assess',
    'study',
    'calculations',
    'parsers',
    'reports',
)
#: Splitting at underscores, which is what labels are made of, and prefixes that end in one.
TAKEN_APART = re.compile(r"""\.(?:r?split|r?partition)\(\s*f?['"]_|(?:startswith|removeprefix)\(\s*f?['"]\w+_['"]""")


@pytest.mark.parametrize('room', ROOMS)
def test_no_label_is_taken_apart(room):
    files = sorted((Path(aiida_dpasse.__file__).parent / room).rglob('*.py'))
    assert files
    found = [
        f'{path.name}: {line.strip()}'
        for path in files
        for line in path.read_text().splitlines()
        if TAKEN_APART.search(line)
    ]
    assert found == []
