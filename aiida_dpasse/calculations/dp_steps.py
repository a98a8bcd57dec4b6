"""Commands of ``dp`` that follow the first one of a job: in its process if possible, otherwise each in its own.

The import of TensorFlow or PyTorch takes several times as long as freezing a small model. `drivers.dp_plugin` runs the
commands in the process of the first, in which the backend is loaded. A code may be a container that does not pass the
environment on, and an ended training runs nothing more: the script then starts ``dp`` for each file that is missing.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.escaping import escape_for_bash
from aiida.common.folders import Folder

from aiida_dpasse.drivers.package import pack_dp_plugin

PLUGIN = 'dpasse_dp.zip'
#: Relative, since a container may see the folder of the job at another path.
ENVIRONMENT = f'export PYTHONPATH={PLUGIN}"${{PYTHONPATH:+:$PYTHONPATH}}"'
#: DeePMD-kit's names of the backends.
_PARTS = {'tensorflow': 'tf', 'pytorch': 'pt'}


class DpStep(NamedTuple):
    """A command of ``dp`` that makes one file.

    :param arguments: of the command line, the output among them.
    :param output: name of the file.
    :param log: file of both streams.
    """

    arguments: list[str]
    output: str
    log: str


def follow(
    info: CalcInfo, folder: Folder, code: orm.AbstractCode, backend: str, steps: Sequence[DpStep], join: bool = True
) -> None:
    """Let steps follow the programs of a job.

    :param info: of the job, changed in place; it has its programs and its text before them.
    :param folder: in which the files of the job are written.
    :param code: DeePMD-kit's ``dp``.
    :param backend: 'pytorch' or 'tensorflow'.
    :param steps: in their order; a step may read the output of the one before.
    :param join: whether the process of the first program may run them; several processes would run them all.
    """
    if not steps:
        return
    if join:
        content = pack_dp_plugin(_PARTS[backend], [step._asdict() for step in steps])
        folder.create_file_from_filelike(io.BytesIO(content), PLUGIN, mode='wb')
        info.prepend_text = '\n'.join(filter(None, [info.get('prepend_text'), ENVIRONMENT]))
    info.append_text = '\n'.join(
        f'[ -e {shlex.quote(step.output)} ] || {command_line(code, step.arguments, step.log)}' for step in steps
    )


def command_line(code: orm.AbstractCode, arguments: Sequence[str], log: str) -> str:
    """Return the line of shell that runs a code without MPI, quoted as AiiDA does.

    :param code: the code.
    :param arguments: of the command line.
    :param log: file of both streams.
    """
    before = [escape_for_bash(word) for word in code.get_prepend_cmdline_params()]
    words = code.get_executable_cmdline_params(list(arguments))
    command = ' '.join(escape_for_bash(str(word), use_double_quotes=code.use_double_quotes) for word in words)
    command += f' > {shlex.quote(log)} 2>&1'
    if code.wrap_cmdline_params:
        command = escape_for_bash(command, use_double_quotes=True)
    return ' '.join([*before, command])
