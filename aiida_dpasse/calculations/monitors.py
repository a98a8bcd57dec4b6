"""Monitors of running jobs: they end what would only use up its time."""

from __future__ import annotations

from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorResult
from aiida.orm import CalcJobNode
from aiida.transports import Transport

from aiida_dpasse.deepmd.lcurve import parse_lcurve
from aiida_dpasse.lammps.deviation import left_trust, parse_deviation
from aiida_dpasse.lammps.script import DEVIATION_FILE, total_steps
from aiida_dpasse.parameters.md import MDParameters


def monitor_stalled(node: CalcJobNode, transport: Transport, seconds: float = 3600.0) -> str | None:
    """Return why a job is stopped if it has written to no file of its directory for ``seconds``.

    The compute machine's own clock is asked, since ours may go otherwise.
    """
    directory = node.get_remote_workdir()
    status, now, _ = transport.exec_command_wait('date +%s')
    if directory is None or status != 0:
        return None
    times = [entry['attributes'].st_mtime for entry in transport.listdir_withattributes(directory)]
    silent = float(now) - max(times, default=float(now))
    return f'It has written nothing for {silent:.0f} s.' if silent > seconds else None


def monitor_diverged(node: CalcJobNode, transport: Transport, curve: str = 'lcurve.out') -> CalcJobMonitorResult | None:
    """Stop a training whose loss is not finite or has exploded; its parser finds that too, and its exit code is kept.

    Only both ends of the learning curve travel: they hold what is compared.
    """
    directory = node.get_remote_workdir()
    if directory is None:
        return None
    _, text, _ = transport.exec_command_wait(f'head -n 8 {curve}; tail -n 12 {curve}', workdir=directory)
    try:
        step = parse_lcurve(text).first_diverged
    except ValueError:  # nothing is printed yet
        return None
    if step is None:
        return None
    return CalcJobMonitorResult(message=f'The loss is lost from step {step} on.', override_exit_code=False)


def monitor_untrusted(node: CalcJobNode, transport: Transport, lines: int = 5000) -> CalcJobMonitorResult | None:
    """Stop a dynamics that has left the committee's trust; its parser finds that too, and its exit code is kept.

    The limit is `watch.deviation` of its own parameters, which are stored. Only the last ``lines`` of the table travel.
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
    return CalcJobMonitorResult(message=f'The committee does not trust step {step}.', override_exit_code=False)
