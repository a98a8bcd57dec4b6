"""The documentation builds without a warning, with a page for every work chain and program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aiida.plugins.entry_point import get_entry_point_names

from aiida_dpasse.renamed import ENTRY_POINTS

ROOT = Path(__file__).parents[1]


def test_documentation_builds(tmp_path: Path) -> None:
    """Each page has its outline or inputs, and a page that is not built is a warning, hence an error."""
    command = [sys.executable, '-W', 'ignore', '-m', 'sphinx', '-W', '-q', str(ROOT / 'docs'), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for folder, group in (('workchains', 'aiida.workflows'), ('programs', 'aiida.calculations')):
        for name in get_entry_point_names(group):
            if name.startswith('dpasse.') and name not in ENTRY_POINTS:
                page = (tmp_path / 'reference' / folder / f'{name.replace(".", "_")}.html').read_text()
                assert 'Exit codes' in page
                assert ('Outline' in page) == (folder == 'workchains')
