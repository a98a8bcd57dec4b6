"""Monitors of running jobs, which stop jobs that would only waste their remaining time."""

from __future__ import annotations

from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorResult
from aiida.orm import CalcJobNode
from aiida.transports import Transport

from aiida_dpasse.deepmd.lcurve import parse_lcurve
from aiida_dpasse.lammps.deviation import left_trust, parse_deviation
from aiida_dpasse.lammps.script import DEVIATION_FILE, total_steps
from aiida_dpasse.parameters.md import MDParameters


def monitor_stalled(node: CalcJobNode, transport: Transport, seconds: float = 3600.0) -> str | None:
    """Stop a job that has not written to any file of its directory for some time.

    The clock of the compute machine is used, since the local one may differ.

    :param node: running job.
    :param transport: open transport to its computer.
    :param seconds: longest time without output in s.
    :return: the reason for stopping, or None.
    """
    directory = node.get_remote_workdir()
    status, now, _ = transport.exec_command_wait('date +%s')
    if directory is None or status != 0:
        return None
    times = [entry['attributes'].st_mtime for entry in transport.listdir_withattributes(directory)]
    silent = float(now) - max(times, default=float(now))
    return f'It has written nothing for {silent:.0f} s.' if silent > seconds else None


def monitor_diverged(node: CalcJobNode, transport: Transport, curve: str = 'lcurve.out') -> CalcJobMonitorResult | None:
    """Stop a training whose loss is not finite or has diverged.

    The parser detects the divergence as well, and its exit code is kept. Only the beginning and the end of the learning
    curve are transferred, which is sufficient for the comparison.

    :param node: running training.
    :param transport: open transport to its computer.
    :param curve: file name of the learning curve.
    """
    directory = node.get_remote_workdir()
    if directory is None:
        return None
    _, text, _ = transport.exec_command_wait(f'head -n 8 {curve}; tail -n 12 {curve}', workdir=directory)
    try:
        step = parse_lcurve(text).first_diverged
    except ValueError:  # the learning curve is still empty
        return None
    if step is None:
        return None
    return CalcJobMonitorResult(message=f'The training has diverged from step {step} on.', override_exit_code=False)


def monitor_untrusted(node: CalcJobNode, transport: Transport, lines: int = 5000) -> CalcJobMonitorResult | None:
    """Stop molecular dynamics that has left the trust region of the committee.

    The parser detects this as well, and its exit code is kept. The limit is `watch.deviation` of the stored parameters.

    :param node: running molecular dynamics.
    :param transport: open transport to its computer.
    :param lines: number of lines at the end of the deviation table that are transferred.
    """
    directory = node.get_remote_workdir()
    parameters = MDParameters.model_validate(node.inputs.parameters.get_dict()).model_dump()
    trust = (parameters['watch'] or {}).get('deviation')
    if directory is None or trust is None:
        return None
    _, text, _ = transport.exec_command_wait(f'tail -n {lines} {DEVIATION_FILE}', workdir=directory)
    start, _ = total_steps(parameters)
    step = left_trust(parse_deviation(text), trust['limit'], trust['rows'], start)
    if step is None:
        return None
    return CalcJobMonitorResult(
        message=f'The deviation of the committee exceeds its limit at step {step}.', override_exit_code=False
    )
