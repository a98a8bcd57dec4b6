"""Convert DP-GEN's machine.json into scheduler options, and list what belongs to computers and codes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from aiida_dpasse.dpgen.keys import Keys, Ledger, listed, mapping, shortened, whole
from aiida_dpasse.dpgen.secrets import holds_secret, names_secret
from aiida_dpasse.dpgen.shell import assignment, words
from aiida_dpasse.unreadable import UnreadableError

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
#: Programs that start several processes, with the options that give their number.
LAUNCHERS = {
    **dict.fromkeys(('mpirun', 'mpiexec', 'mpiexec.hydra', 'orterun'), ('-n', '-np', '--n', '--np', '-c')),
    'srun': ('-n', '--ntasks'),
    'jsrun': ('-p', '--np'),
    'aprun': ('-n', '--pes'),
}
#: Beginning of the executable, by the name of its code.
EXECUTABLES = {'dp': 'dp', 'lmp': 'lmp', 'vasp': 'vasp', 'cp2k': 'cp2k'}
_NAME = re.compile(r'[\w.+-]+')
_VARIABLE = re.compile(r'\s*(?:env\s+)?([A-Za-z_]\w*=(?:"[^"]*"|\'[^\']*\'|[^\s"\'])*)\s+')
_CODE = (
    'it is a code: `verdi code create core.code.installed`, or `aiida-dpasse setup`; its variables and its number of '
    'processes are in `options`'
)
_COMPUTER = 'it belongs to the computer: `verdi computer setup` and `verdi computer configure`'
#: Strategies without any effect.
_IDLE: tuple[Any, ...] = ({}, {'if_cuda_multi_devices': False}, {'ratio_unfinished': 0.0})
_GPU = 'AiiDA asks this scheduler for no GPU: add its own line to `custom_scheduler_commands`'
#: Jobs keep their options, in clear, in AiiDA's database and in every archive.
_SECRET = (
    'it may hold a password or a token, and options of jobs are stored and exported in clear: set it on the computer '
    'itself, for example in a file that its shell reads'
)
#: Queues and parallel environments, which become part of a directive of the scheduler.
_QUEUE = re.compile(r'[\w@%+=:,./-]+')
#: Most processes, nodes, cores or GPUs of a job, and longest walltime in s.
MOST_PROCESSES, LONGEST = 10**7, 10**9


class Command(NamedTuple):
    """A command of DP-GEN.

    ``before`` are the shell lines that precede the program, ``parallel`` is whether a launcher starts several
    processes, ``processes`` their number if it is given, and ``program`` the name of the executable if it is known.
    """

    before: list[str]
    parallel: bool
    processes: int | None
    program: str | None


class Machines(NamedTuple):
    """Scheduler ``options`` by program, ``batch_size`` of labels, and names of the executables by code."""

    options: dict[str, Any]
    batch_size: int | None
    executables: dict[str, str]


def read_machine(content: Any, labeller: str | None, ledger: Ledger) -> Machines:
    """Return scheduler options by program, the batch size of labels, and the executables.

    :param content: content of machine.json.
    :param labeller: code that labels; if None, its options are those of `label`.
    :param ledger: record of all keys.
    :raises UnreadableError: if it is not a machine.json of DP-GEN, or a value is not accepted by DP-GEN.
    """
    keys = Keys(content, ledger)
    if not any(step in keys for step in PROGRAMS):
        raise UnreadableError(
            'The machine file holds none of `train`, `model_devi` and `fp`: give one of the API 1.0 of DP-GEN.'
        )
    for name in ('api_version', 'deepmd_version'):
        keys.leave(name, 'codes say themselves which release they are')
    options: dict[str, Any] = {}
    batch: int | None = None
    executables: dict[str, str] = {}
    for step, program in PROGRAMS.items():
        if step not in keys:
            continue
        name = labeller or program if step == 'fp' else program
        given = keys.take(step, f'options.{name}')
        if isinstance(given, list):
            if len(given) > 1:
                ledger.leave(f'{step}[1:]', len(given) - 1, 'the first machine is taken, as by DP-GEN')
            given = given[0] if given else {}
        code = labeller if step == 'fp' else {'train': 'dp', 'model_devi': 'lmp'}[step]
        options[name], group, executable = _program(Keys(given, ledger, f'{step}.'), name, code, labels=step == 'fp')
        batch = group if step == 'fp' else batch
        executables |= {code: executable} if code and executable else {}
    if 'train' in options:
        # DP-GEN has no job that evaluates potentials; it needs the same resources as a training.
        options['evaluate'] = options['train']
    keys.leave('handlers', 'no mail is sent: `aiida-dpasse status` tells where a study stands')
    keys.leave_rest()
    return Machines(options, batch, executables)


def read_command(text: str, code: str | None) -> Command:
    """Return what a command starts, and how.

    :param text: command of DP-GEN, such as `OMP_NUM_THREADS=8 mpirun -np 4 lmp`.
    :param code: name of the code of the program, or None.
    """
    starts = EXECUTABLES.get(code or '', '')
    parts = [part.strip() for part in re.split(r';|&&|\n', text) if part.strip()]

    def names(part: str) -> list[str]:
        return [PurePosixPath(word).name for word in part.split()]

    def runs(part: str) -> bool:
        return any(name in LAUNCHERS or (starts and name.startswith(starts)) for name in names(part))

    place = next((index for index, part in enumerate(parts) if runs(part)), len(parts) - 1)
    before, command = parts[: max(place, 0)], parts[place] if parts else ''
    while match := _VARIABLE.match(command):
        before.append(f'export {match[1]}')
        command = command[match.end() :]
    found = names(command)
    launcher = next((name for name in found if name in LAUNCHERS), None)
    after = found[found.index(launcher) + 1 :] if launcher else found
    program = next((name for name in after if starts and name.startswith(starts)), None)
    processes = None
    if launcher:
        options = '|'.join(LAUNCHERS[launcher])
        match = re.search(rf'\s(?:{options})(?:\s+|=|(?<=\s-n))(\d{{1,7}})(?:\s|$)', ' '.join(command.split()))
        processes = int(match[1]) if match and int(match[1]) else None
    return Command(before, launcher is not None, processes, program if program and _NAME.fullmatch(program) else None)


def _program(keys: Keys, name: str, code: str | None, labels: bool) -> tuple[dict[str, Any], int | None, str | None]:
    """Return the options of one program; if it labels, the number of frames per job or None without a limit; and the
    name of its executable, or None.
    """
    command = read_command(str(keys.take('command', 'code', '')), code)
    keys.leave('command', _CODE, ('',))
    command = command._replace(before=_without_secrets(keys, 'command', command.before))
    for files in ('user_forward_files', 'user_backward_files'):
        keys.leave(files, 'jobs are given and keep what they need: other files belong where the code finds them', ([],))
    machine = Keys(keys.take('machine', f'options.{name}', {}), keys.ledger, f'{keys.where}machine.')
    batch_type = str(machine.take('batch_type', 'scheduler of the computer', 'Shell'))
    scheduler = SCHEDULERS.get(batch_type.lower())
    if scheduler is None:
        machine.leave('batch_type', "AiiDA has no scheduler of this name: write `options` for your computer's")
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
    options = _options(resources, scheduler or 'core.direct', command, name)
    keys.leave_rest()
    return options, group, command.program


def _options(keys: Keys, scheduler: str, command: Command, name: str) -> dict[str, Any]:
    """Return AiiDA's options for the resources of one program."""
    to = f'options.{name}'
    keys.take('batch_type', 'scheduler of the computer')
    nodes = whole(keys.take('number_node', f'{to}.resources', 1), 'number_node', most=MOST_PROCESSES)
    cores = whole(keys.take('cpu_per_node', f'{to}.resources', 1), 'cpu_per_node', most=MOST_PROCESSES)
    gpus = keys.take('gpu_per_node', f'{to}.custom_scheduler_commands', 0)
    gpus = whole(gpus, 'gpu_per_node', least=0, most=MOST_PROCESSES)
    extra = Keys(keys.take('kwargs', f'{to}.custom_scheduler_commands', {}), keys.ledger, f'{keys.where}kwargs.')
    options: dict[str, Any] = {'withmpi': command.parallel}
    if scheduler in ('core.lsf', 'core.sge'):
        options['resources'] = {'tot_num_mpiprocs': command.processes or nodes * cores}
        if options['resources']['tot_num_mpiprocs'] != nodes * cores:
            keys.leave('cpu_per_node', 'AiiDA asks this scheduler for one slot per process of the command')
        if scheduler == 'core.sge':
            environment = extra.take(('pe_name', 'sge_pe_name'), f'{to}.resources.parallel_env', 'mpi')
            options['resources']['parallel_env'] = _queue(environment, f'{keys.where}kwargs.pe_name')
    else:
        # A single process has threads on all cores of the node; several share them.
        each = -(-(command.processes or nodes * cores) // nodes) if command.parallel else 1
        if command.processes and each * nodes != command.processes:
            why = f'all nodes have as many processes, and {each} on each of {nodes} were taken'
            keys.ledger.leave(f'{keys.where.split(".")[0]}.command: processes', command.processes, why)
        options['resources'] = {'num_machines': nodes, 'num_mpiprocs_per_machine': each}
        if scheduler != 'core.direct' and (not command.parallel or cores // each > 1):
            options['resources']['num_cores_per_mpiproc'] = cores // each
    if queue := keys.take('queue_name', f'{to}.queue_name', ''):
        options['queue_name'] = _queue(queue, f'{keys.where}queue_name')
    lines, commands = _flags(keys, scheduler, options, to)
    line = extra.take('custom_gpu_line', f'{to}.custom_scheduler_commands')
    if line is None and gpus and scheduler == 'core.slurm':
        line = f'#SBATCH --gres=gpu:{gpus}'
    elif line is None and gpus:
        keys.leave('gpu_per_node', _GPU)
    lines += _directives(line, f'{keys.where}kwargs.custom_gpu_line') if line else []
    if lines:
        options['custom_scheduler_commands'] = '\n'.join(lines)
    _script(keys, options, commands, command.before, to)
    keys.leave('para_deg', 'a job runs one program', (1,))
    keys.leave('strategy', 'a job runs one program, on the devices it was given', _IDLE)
    keys.leave('wait_time', 'the interval between looks belongs to the computer', (0,))
    extra.leave_rest('write it as a line of `custom_scheduler_commands`')
    keys.leave_rest()
    return options


def _flags(keys: Keys, scheduler: str, options: dict[str, Any], to: str) -> tuple[list[str], list[str]]:
    """Move the walltime to ``options``, and return the other directives of the scheduler and the commands.

    A scheduler ignores a directive after the first command.
    """
    directives: list[str] = []
    commands: list[str] = []
    given = listed(keys.take('custom_flags', f'{to}.custom_scheduler_commands', []), 'custom_flags')
    for line in [line.strip() for flag in given for line in str(flag).splitlines() if line.strip()]:
        match = _WALLTIME[scheduler].match(line) if scheduler in _WALLTIME else None
        if match:
            options['max_wallclock_seconds'] = seconds(match[1], scheduler)
            keys.take('custom_flags', f'{to}.custom_scheduler_commands, {to}.max_wallclock_seconds')
        else:
            (directives if line.startswith('#') else commands).append(line)
    return directives, _without_secrets(keys, 'custom_flags', commands)


def _directives(text: Any, name: str) -> list[str]:
    """Return lines for the scheduler, each of which begins with ``#``: any other would end its directives."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    if not isinstance(text, str) or not all(line.startswith('#') for line in lines):
        raise UnreadableError(
            f'`{name}` should be a line for the scheduler, which begins with #, got {shortened(text)}.'
        )
    return lines


def _queue(text: Any, name: str) -> str:
    """Return the name of a queue or of a parallel environment."""
    if not isinstance(text, str) or not _QUEUE.fullmatch(text):
        raise UnreadableError(f'`{name}` should be a name without spaces and quotes, got {shortened(text)}.')
    return text


def _without_secrets(keys: Keys, name: str, lines: Iterable[Any]) -> list[str]:
    """Return shell lines without those that may hold a password, which are recorded."""
    kept = []
    for line in map(str, lines):
        if holds_secret(line):
            keys.ledger.leave(f'{keys.where}{name}: a line', line, _SECRET)
        else:
            kept.append(line)
    return kept


def seconds(text: str, scheduler: str) -> int:
    """Convert a walltime to seconds.

    The formats are SLURM's `[days-]hours:minutes:seconds` and its short forms, LSF's `hours:minutes`, and
    `hours:minutes:seconds`.

    :param text: the walltime.
    :param scheduler: entry point of the scheduler.
    :raises UnreadableError: if it is not a time.
    """
    days, dash, clock = text.rpartition('-')
    numbers = [*([days] if dash else []), *clock.split(':')]
    if not all(re.fullmatch(r'[0-9]{1,9}', number) for number in numbers) or clock.count(':') > 2:
        raise UnreadableError(f'{shortened(text)} is no walltime: write it as hours:minutes:seconds.')
    count, parts = int(days) if dash else 0, [int(part) for part in clock.split(':')]
    if dash:
        units = (3600, 60, 1)[: len(parts)]
    elif scheduler in ('core.slurm', 'core.lsf') and len(parts) < 3:
        # A single number gives minutes. Two numbers are minutes and seconds for SLURM, hours and minutes for LSF.
        units = (60, 1)[: len(parts)] if scheduler == 'core.slurm' else (3600, 60)[-len(parts) :]
    else:
        units = (3600, 60, 1)[-len(parts) :]
    found = 86400 * count + sum(part * unit for part, unit in zip(parts, units, strict=True))
    if found > LONGEST:
        raise UnreadableError(f'{shortened(text)} is no walltime: it is more than thirty years.')
    return found


def _script(keys: Keys, options: dict[str, Any], first: list[str], last: list[str], to: str) -> None:
    """Write the commands before and after the program, in DP-GEN's order; ``first`` and ``last`` enclose the former."""
    lines = [*first]
    lines += ['module purge'] if keys.take('module_purge', f'{to}.prepend_text', False) else []
    for name, start in (
        ('module_unload_list', 'module unload'),
        ('module_list', 'module load'),
        ('source_list', 'source'),
    ):
        given = listed(keys.take(name, f'{to}.prepend_text', []), name)
        lines += _without_secrets(keys, name, [f'{start} {words(str(item))}' for item in given])
    lines += _variables(keys, to)
    before = listed(keys.take('prepend_script', f'{to}.prepend_text', []), 'prepend_script')
    lines += [*_without_secrets(keys, 'prepend_script', before), *last]
    if lines:
        options['prepend_text'] = '\n'.join(lines)
    after = listed(keys.take('append_script', f'{to}.append_text', []), 'append_script')
    if after := _without_secrets(keys, 'append_script', after):
        options['append_text'] = '\n'.join(after)


def _variables(keys: Keys, to: str) -> list[str]:
    """Return the lines that assign the environment variables, without those that may hold a password."""
    lines = []
    for name, value in mapping(keys.take('envs', f'{to}.prepend_text', {}), f'{keys.where}envs').items():
        if name.startswith('_'):
            continue
        if names_secret(name):
            keys.ledger.leave(f'{keys.where}envs.{name}', value, _SECRET)
            continue
        try:
            lines += [assignment(name, str(item)) for item in (value if isinstance(value, list) else [value])]
        except ValueError:
            raise UnreadableError(
                f'`{keys.where}envs` has {shortened(name)}, which is no name of a variable.'
            ) from None
    return _without_secrets(keys, 'envs', lines)
