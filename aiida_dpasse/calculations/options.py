"""Scheduler options that our jobs have unless something else is asked for."""

from __future__ import annotations

from aiida.engine import CalcJobProcessSpec, PortNamespace


def run_as_one_process(spec: CalcJobProcessSpec) -> PortNamespace:
    """Let a job take one process of one machine, without MPI, by default; return the ports of its options."""
    options: PortNamespace = spec.inputs['metadata']['options']
    options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    options['resources'].required = False
    options['withmpi'].default = False
    return options
