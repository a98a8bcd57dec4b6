"""The search for programs: each way in which one can be missing is reported with its remedy."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from aiida_dpasse.cli.programs import (
    KEEPING_MEMORY,
    REQUIREMENTS,
    WITHOUT_KERAS,
    Missing,
    Program,
    Shell,
    find_cp2k,
    find_programs,
    find_torchrun,
    local_shell,
    prepend_text,
)

ROOT = Path(__file__).parents[2]


def test_requirements_are_the_extra_local() -> None:
    """The command that mends a machine installs what the package's own extra installs."""
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert project['optional-dependencies']['local'] == list(REQUIREMENTS)


def test_all_programs_are_found_here(programs: dict[str, Program]) -> None:
    """Each was started, has a version, and LAMMPS carries the wrapper's variables."""
    assert list(programs) == ['dp', 'lmp', 'python']
    assert programs['dp'].version.startswith('3.2.')
    assert programs['lmp'].version == '22 Jul 2025 - Update 2'
    assert programs['python'].version == '.'.join(map(str, sys.version_info[:3]))
    paths = {'LAMMPS_PLUGIN_PATH', 'LD_LIBRARY_PATH', 'LD_PRELOAD'}
    assert set(programs['lmp'].environment) == paths | set(KEEPING_MEMORY) | {'PATH'}
    # The `mpirun` of its MPI.
    assert (Path(programs['lmp'].environment['PATH']) / 'mpirun').is_file()
    # The drivers import TensorFlow too.
    assert programs['dp'].environment == programs['python'].environment == WITHOUT_KERAS
    assert 'libcudart.so.12' in programs['lmp'].environment['LD_PRELOAD']
    assert all(Path(program.path).is_file() for program in programs.values())


def test_prepend_text_sets_threads_and_keeps_what_is_there(programs: dict[str, Program]) -> None:
    """A value that the machine has already set comes after ours, and no empty entry arises where there is none."""
    text = prepend_text(programs['lmp'], threads=2)
    ours = programs['lmp'].environment['LD_LIBRARY_PATH']
    show = 'echo "$OMP_NUM_THREADS $TF_INTER_OP_PARALLELISM_THREADS $LD_LIBRARY_PATH"'
    for before, after in (('/opt/machine', ':/opt/machine'), ('', '')):
        script = f'export LD_LIBRARY_PATH={before}\nunset LD_PRELOAD\n{text}\nunset LD_PRELOAD\n{show}'
        output = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True).stdout
        assert output.split() == ['2', '1', ours + after]


def test_torchrun_is_found_where_torch_is(tmp_path: Path) -> None:
    """Beside the running Python; nowhere else."""
    torchrun = find_torchrun(sys.prefix)
    assert torchrun is not None
    assert torchrun.version == metadata.version('torch')
    assert Path(torchrun.path).is_file()
    assert find_torchrun(str(tmp_path)) is None


@pytest.mark.skipif(find_cp2k() is None, reason='CP2K is not installed: apt-get install cp2k')
def test_cp2k_is_found_with_its_data_files() -> None:
    """As Debian installs it, with or without a hint from the environment."""
    cp2k = find_cp2k()
    assert cp2k is not None
    assert re.fullmatch(r'\d{4}\.\d', cp2k.version)
    data = Path(cp2k.environment['CP2K_DATA_DIR'])
    assert all((data / name).is_file() for name in ('BASIS_MOLOPT', 'GTH_POTENTIALS'))


@pytest.mark.parametrize(
    'answers',
    [
        {'command -v': (1, '', '')},
        {'--version': (127, '', 'libgfortran.so.5: cannot open shared object file')},
        {'--version': (0, 'something else', '')},
    ],
)
def test_a_missing_or_broken_cp2k_is_not_found(answers: dict[str, tuple[int, str, str]]) -> None:
    """CP2K is one of many labellers: without it nothing is missing."""
    known = {
        'command -v': (0, '/usr/bin/cp2k.psmp\n/usr/share/cp2k\n', ''),
        '--version': (0, 'CP2K version 2023.1', ''),
    }
    shell = lambda line: next(answer for key, answer in {**known, **answers}.items() if key in line)  # noqa: E731
    assert find_cp2k(shell) is None
    found = find_cp2k(lambda line: next(answer for key, answer in known.items() if key in line))
    assert found == Program(
        'cp2k', '/usr/bin/cp2k.psmp', '2023.1', {'cp2k': '2023.1'}, {'CP2K_DATA_DIR': '/usr/share/cp2k'}
    )


def test_no_python(tmp_path: Path) -> None:
    """An empty prefix lacks all three, and the remedy makes the environment first."""
    found = find_programs(str(tmp_path))
    assert [program.name for program in found] == ['dp', 'lmp', 'python']
    assert all(isinstance(program, Missing) for program in found)
    assert f'{tmp_path}/bin/python' in found[0].reason
    assert found[0].remedy.startswith(f'python3 -m venv {tmp_path} && {tmp_path}/bin/python -m pip install')


def test_bare_python(tmp_path: Path) -> None:
    """A Python without any of our packages starts, and says for each program what is not installed."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path)], check=True)
    dp, lmp, python = find_programs(str(tmp_path))
    assert isinstance(dp, Missing)
    assert isinstance(lmp, Missing)
    assert isinstance(python, Missing)
    assert 'DeePMD-kit' in dp.reason
    assert 'LAMMPS' in lmp.reason
    assert python.reason.endswith("'ase'")
    assert dp.remedy == lmp.remedy == python.remedy


@pytest.mark.parametrize(
    ('command', 'answer', 'name', 'reason'),
    [
        ('metadata', (0, 'aiida-dpasse:{"deepmd-kit": "3.2.0"}', ''), 'dp', 'TensorFlow'),
        ('dp --version', (1, '', 'Traceback\nImportError: torch'), 'dp', 'ImportError: torch'),
        ('lammps.executable', (1, '', 'OSError: no mpi'), 'lmp', 'OSError: no mpi'),
        ('plugin list', (1, '', 'GLIBC'), 'lmp', 'GLIBC'),
        ('plugin list', (0, 'LAMMPS (22 Jul 2025)', ''), 'lmp', '`deepmd`'),
        ('plugin list', (0, '', 'DeePMD-kit: Cannot find libcudart.so.12'), 'lmp', 'libcudart.so.12'),
    ],
)
def test_broken_program_is_reported(
    programs: dict[str, Program], command: str, answer: tuple[int, str, str], name: str, reason: str
) -> None:
    """One answer of the machine is replaced by that of a broken one; all others are real."""
    environment = f'aiida-dpasse:["{programs["lmp"].path}", {{}}]'

    def broken(real: Shell) -> Shell:
        def shell(line: str) -> tuple[int, str, str]:
            if command in line:
                return answer
            # The wrapper takes 8 s to import and was asked already.
            return (0, environment, '') if 'lammps.executable' in line else real(line)

        return shell

    found = {program.name: program for program in find_programs(sys.prefix, broken(local_shell))}
    program = found[name]
    assert isinstance(program, Missing)
    assert reason in program.reason
    assert program.remedy.startswith(f'{sys.prefix}/bin/python -m pip install ')
