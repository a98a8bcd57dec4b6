"""From a CIF and a model file to a conductivity: the four commands of the page, in a profile of their own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cif_text import cif

from aiida_dpasse.exit_codes import STATUSES

PAGE = Path(__file__).parents[1] / 'docs' / 'bring_your_data.md'
#: Half of the tetrahedral sites of fluorite, at which Li2S has all: LiCl with room for its ions.
CRYSTAL = cif('Cl Cl 0 0 0 1\nLi Li 0.25 0.25 0.25 0.5\n', length=5.7, group='F m -3 m')
#: What a minute allows.
SMALL = {
    'temperatures': '[300, 400, 500]',
    'replicas': '1',
    'supercell': '[2, 1, 1]',
    'precision': 'null',
    'trust': 'null',
    'md.steps': '200',
    'md.trajectory_interval': '5',
    'md.watch': 'null',
    'md.equilibration': 'null',
}
RESULT = """
import sys
from aiida import load_profile, orm
from aiida.plugins import WorkflowFactory
from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.cli.watch import watch
load_profile()
node, keeper = orm.load_node(int(sys.argv[1])), DaemonKeeper()
watch(node, keeper)
keeper.stop()
[cell] = node.inputs.structures.values()
rows = node.outputs.transport['temperatures']
print('RESULT', node.exit_status, len(rows), cell.get_formula(), cell.creator.process_label)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command in a directory with a private profile and the programs of this environment."""
    monkeypatch.setenv('AIIDA_PATH', str(tmp_path))
    monkeypatch.setenv('PATH', os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]))

    def run(*words: str) -> str:
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run('verdi', 'presto', '-n', '--use-zeromq')
    return run


@pytest.mark.programs
def test_the_four_commands(run, tiny_models: list[Path], tmp_path: Path) -> None:
    """The disordered crystal becomes an ordered cell whose creator is known, and the chain comes to its end."""
    (tmp_path / 'lgps.cif').write_text(CRYSTAL)
    shutil.copy(tiny_models[0], tmp_path / 'student.pb')
    section = PAGE.read_text().split('## From a CIF')[1]
    setup, structure, potential, launch = re.search(r'```bash\n(.*?)```', section, re.DOTALL)[1].splitlines()
    assert 'lmp' in run(*shlex.split(setup))
    assert 'stored as' in run(*shlex.split(structure))
    assert 'stored as' in run(*shlex.split(potential))
    settings = [word for key, value in SMALL.items() for word in ('--set', f'{key}={value}')]
    output = run(*shlex.split(launch), *settings, '--yes')
    assert re.search(r'^md +lmp +3 ', output, re.MULTILINE)
    [pk] = re.findall(r'submitted as (\d+)', output)
    [status, rows, formula, creator] = re.findall(
        r'RESULT (\d+) (\d+) (\w+) (\w+)', run(sys.executable, '-c', RESULT, pk)
    )[0]
    assert (rows, formula, creator) == ('3', 'Cl4Li4', 'order_crystal')
    # A crystal that was never trained on: it diffuses, rests or melts, and each has its result.
    assert status in {'0', *(str(STATUSES[name]) for name in ('ERROR_UNDETERMINED', 'ERROR_ALL_STOPPED'))}
