"""Convert DP-GEN's machine.json into scheduler options, and list what belongs to computers and codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida_dpasse.dpgen.keys import Keys, Ledger, listed, shortened, whole

#: Programs by DP-GEN's step; the labelling program is named by its code.
PROGRAMS = {'train': 'train', 'model_devi': 'md', 'fp': 'label'}
#: AiiDA's schedulers by DP-GEN's `batch_type` in lower case.
SCHEDULERS = {
    'slurm': 'core.slurm',
    'slurmjobarray': 'core.slurm',
    'pbs': 'core.pbspro',
    'torque': 'core.torque',
    'sge': 'core.sge',
    'lsf': 'core.lsf',
    'shell': 'core.direct',
}
#: Pattern of the walltime directive of each scheduler.
_WALLTIME = {
    'core.slurm': re.compile(r'#SBATCH\s+(?:-t\s*|--time[=\s]\s*)([\d:-]+)\s*$'),
    'core.lsf': re.compile(r'#BSUB\s+-W\s*([\d:]+)\s*$'),
    'core.pbspro': re.compile(r'#PBS\s+-l\s+walltime=([\d:]+)\s*$'),
    'core.torque': re.compile(r'#PBS\s+-l\s+walltime=([\d:]+)\s*$'),
    'core.sge': re.compile(r'#\$\s+-l\s+h_rt=([\d:]+)\s*$'),
}
_PARALLEL = re.compile(r'\b(mpirun|mpiexec|srun|jsrun|aprun)\b')
_COMPUTER = 'it belongs to the computer: `verdi computer setup` and `verdi computer configure`'
#: Strategies without any effect.
_IDLE: tuple[Any, ...] = ({}, {'if_cuda_multi_devices': False}, {'ratio_unfinished': 0.0})
_HIDDEN = '(not shown)'
_GPU = 'AiiDA asks this scheduler for no GPU: add its own line to `custom_scheduler_commands`'


def read_machine(content: Any, labeller: str | None, ledger: Ledger) -> tuple[dict[str, Any], int | None]:
    """Return scheduler options by program, and the batch size of labels.

    :param content: content of machine.json.
    :param labeller: code that labels; if None, its options are those of `label`.
    :param ledger: record of all keys.
    :return: the options, and the batch size or None if it is not limited.
    :raises ValueError: if it is not a machine.json of DP-GEN, or a value is not accepted by DP-GEN.
    """
    keys = Keys(content, ledger)
    if not any(step in keys for step in PROGRAMS):
        raise ValueError(
            'The machine file holds none of `train`, `model_devi` and `fp`: give one of the API 1.0 of DP-GEN.'
        )
    for name in ('api_version', 'deepmd_version'):
        keys.leave(name, 'codes say themselves which release they are')
    options: dict[str, Any] = {}
    batch = None
    for step, program in PROGRAMS.items():
        if step not in keys:
            continue
        name = labeller or program if step == 'fp' else program
        given = keys.take(step, f'options.{name}')
        if isinstance(given, list):
            ledger.leave(f'{step}[1:]', len(given) - 1, 'the first machine is taken, as by DP-GEN')
            given = given[0] if given else {}
        options[name], group = _program(Keys(given, ledger, f'{step}.'), name, labels=step == 'fp')
        batch = group if step == 'fp' else batch
    if 'train' in options:
        # DP-GEN has no job that evaluates potentials; it needs the same resources as a training.
        options['evaluate'] = options['train']
    _hide(keys, 'handlers')
    keys.leave('handlers', 'no mail is sent: `aiida-dpasse status` tells where a study stands')
    keys.leave_rest()
    return options, batch


def _hide(keys: Keys, name: str) -> None:
    """Hide a value that may contain a password from all output."""
    if name in keys:
        keys.content[name] = _HIDDEN


def _program(keys: Keys, name: str, labels: bool) -> tuple[dict[str, Any], int | None]:
    """Return the options of one program and, if it labels, the number of frames per job or None without a limit."""
    command = str(keys.take('command', 'code', ''))
    if command:
        keys.leave('command', 'it is a code: `verdi code create core.code.installed`, or `aiida-dpasse setup`')
    for files in ('user_forward_files', 'user_backward_files'):
        keys.leave(files, 'jobs are given and keep what they need: other files belong where the code finds them', ([],))
    machine = Keys(keys.take('machine', f'options.{name}', {}), keys.ledger, f'{keys.where}machine.')
    batch_type = str(machine.take('batch_type', 'scheduler of the computer', 'Shell'))
    scheduler = SCHEDULERS.get(batch_type.lower())
    if scheduler is None:
        machine.leave('batch_type', "AiiDA has no scheduler of this name: write `options` for your computer's")
    _hide(machine, 'remote_profile')
    machine.leave('local_root', 'files are kept in the repository of AiiDA', ('./', '.', None))
    machine.leave_rest(_COMPUTER)
    resources = Keys(keys.take('resources', f'options.{name}', {}), keys.ledger, f'{keys.where}resources.')
    group = None
    # As in DP-GEN, the key may be in either of two places.
    for place in (keys, resources):
        if labels:
            group = whole(place.take('group_size', 'label.batch_size', 0), 'group_size', least=0) or group
        else:
            place.leave('group_size', 'each is a job of its own: limit `max_concurrent`', (1,))
    options = _options(resources, scheduler or 'core.direct', parallel=bool(_PARALLEL.search(command)), name=name)
    keys.leave_rest()
    return options, group


def _options(keys: Keys, scheduler: str, parallel: bool, name: str) -> dict[str, Any]:
    """Return AiiDA's options for the resources of one program."""
    to = f'options.{name}'
    keys.take('batch_type', 'scheduler of the computer')
    nodes = whole(keys.take('number_node', f'{to}.resources', 1), 'number_node')
    cores = whole(keys.take('cpu_per_node', f'{to}.resources', 1), 'cpu_per_node')
    gpus = whole(keys.take('gpu_per_node', f'{to}.custom_scheduler_commands', 0), 'gpu_per_node', least=0)
    extra = Keys(keys.take('kwargs', f'{to}.custom_scheduler_commands', {}), keys.ledger, f'{keys.where}kwargs.')
    options: dict[str, Any] = {'withmpi': parallel}
    if scheduler in ('core.lsf', 'core.sge'):
        options['resources'] = {'tot_num_mpiprocs': nodes * cores}
        if scheduler == 'core.sge':
            environment = extra.take(('pe_name', 'sge_pe_name'), f'{to}.resources.parallel_env', 'mpi')
            options['resources']['parallel_env'] = environment
    elif parallel:
        options['resources'] = {'num_machines': nodes, 'num_mpiprocs_per_machine': cores}
    else:
        # One process whose threads use all cores of the node.
        options['resources'] = {'num_machines': nodes, 'num_mpiprocs_per_machine': 1}
        options['resources'] |= {'num_cores_per_mpiproc': cores} if scheduler != 'core.direct' else {}
    if queue := keys.take('queue_name', f'{to}.queue_name', ''):
        options['queue_name'] = queue
    lines = _flags(keys, scheduler, options, to)
    line = extra.take('custom_gpu_line', f'{to}.custom_scheduler_commands')
    if line is None and gpus and scheduler == 'core.slurm':
        line = f'#SBATCH --gres=gpu:{gpus}'
    elif line is None and gpus:
        keys.leave('gpu_per_node', _GPU)
    lines += [str(line)] if line else []
    if lines:
        options['custom_scheduler_commands'] = '\n'.join(lines)
    _script(keys, options, to)
    keys.leave('para_deg', 'a job runs one program', (1,))
    keys.leave('strategy', 'a job runs one program, on the devices it was given', _IDLE)
    keys.leave('wait_time', 'the interval between looks belongs to the computer', (0,))
    extra.leave_rest('write it as a line of `custom_scheduler_commands`')
    keys.leave_rest()
    return options


def _flags(keys: Keys, scheduler: str, options: dict[str, Any], to: str) -> list[str]:
    """Move the walltime from the scheduler directives to ``options`` and return the remaining directives."""
    lines = []
    for flag in listed(keys.take('custom_flags', f'{to}.custom_scheduler_commands', []), 'custom_flags'):
        match = _WALLTIME[scheduler].match(str(flag).strip()) if scheduler in _WALLTIME else None
        if match:
            options['max_wallclock_seconds'] = seconds(match[1], scheduler)
            keys.take('custom_flags', f'{to}.custom_scheduler_commands, {to}.max_wallclock_seconds')
        else:
            lines.append(str(flag))
    return lines


def seconds(text: str, scheduler: str) -> int:
    """Convert a walltime to seconds.

    The formats are SLURM's `[days-]hours:minutes:seconds` and its short forms, LSF's `hours:minutes`, and
    `hours:minutes:seconds`.

    :param text: the walltime.
    :param scheduler: entry point of the scheduler.
    :raises ValueError: if it is not a time.
    """
    days, dash, clock = text.rpartition('-')
    try:
        parts = [int(part) for part in clock.split(':')]
        count = int(days) if dash else 0
    except ValueError:
        raise ValueError(f'{shortened(text)} is no walltime.') from None
    if len(parts) > 3:
        raise ValueError(f'{shortened(text)} is no walltime.')
    if dash:
        units = (3600, 60, 1)[: len(parts)]
    elif scheduler in ('core.slurm', 'core.lsf') and len(parts) < 3:
        # A single number gives minutes. Two numbers are minutes and seconds for SLURM, hours and minutes for LSF.
        units = (60, 1)[: len(parts)] if scheduler == 'core.slurm' else (3600, 60)[-len(parts) :]
    else:
        units = (3600, 60, 1)[-len(parts) :]
    return 86400 * count + sum(part * unit for part, unit in zip(parts, units, strict=True))


def _script(keys: Keys, options: dict[str, Any], to: str) -> None:
    """Write the commands before and after the program, in DP-GEN's order."""
    lines = ['module purge'] if keys.take('module_purge', f'{to}.prepend_text', False) else []
    for name, start in (
        ('module_unload_list', 'module unload'),
        ('module_list', 'module load'),
        ('source_list', 'source'),
    ):
        lines += [f'{start} {item}' for item in listed(keys.take(name, f'{to}.prepend_text', []), name)]
    environment = keys.take('envs', f'{to}.prepend_text', {})
    for name, value in environment.items() if isinstance(environment, Mapping) else ():
        values = value if isinstance(value, list) else [value]
        lines += [f'export {name}={item}' for item in values if not str(name).startswith('_')]
    lines += listed(keys.take('prepend_script', f'{to}.prepend_text', []), 'prepend_script')
    if lines:
        options['prepend_text'] = '\n'.join(map(str, lines))
    if after := listed(keys.take('append_script', f'{to}.append_text', []), 'append_script'):
        options['append_text'] = '\n'.join(map(str, after))
