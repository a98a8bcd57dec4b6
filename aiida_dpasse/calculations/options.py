"""Default scheduler options of the calculation jobs, and one program of several in a job."""

from __future__ import annotations

from collections.abc import Sequence

from aiida import orm
from aiida.common.datastructures import CodeInfo
from aiida.engine import CalcJobProcessSpec, PortNamespace


def run_as_one_process(spec: CalcJobProcessSpec) -> PortNamespace:
    """Set the default resources of a job to one process on one machine, without MPI.

    :param spec: specification of the calculation job.
    :return: ports of its options.
    """
    options: PortNamespace = spec.inputs['metadata']['options']
    options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    options['resources'].required = False
    options['withmpi'].default = False
    return options


def one_program(code: orm.AbstractCode, arguments: Sequence[str], stdout: str) -> CodeInfo:
    """Return a program of a job that runs several in sequence, without MPI, with both streams in one file.

    :param code: code of the program.
    :param arguments: arguments of the command line.
    :param stdout: file of the output.
    """
    info = CodeInfo()
    info.code_uuid = code.uuid
    info.cmdline_params = list(arguments)
    info.stdout_name = stdout
    info.join_files = True
    info.withmpi = False
    return info
