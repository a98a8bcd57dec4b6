"""Default scheduler options of the calculation jobs."""

from __future__ import annotations

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
