"""`aiida-dpasse setup`: find and start the programs of an environment, and register them as codes of a computer.

Each code carries two extras: `dpasse_version`, the DeePMD-kit version of its environment, which validators compare with
model files, and `dpasse_versions`, the versions of all relevant packages. A repeated call leaves correct codes
unchanged, and replaces those whose path or environment has changed.

With `--threads N`, the programs are measured on that computer, and a third extra of `dp` and `lmp`, `dpasse_ways`, has
the number of processes and threads in which each backend is fastest; each job takes its own (`calculations.ways`).
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click
from aiida.orm import Computer, InstalledCode, QueryBuilder

from aiida_dpasse.calculations.ways import WAYS_EXTRA
from aiida_dpasse.cli import measure
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.programs import (
    Missing,
    Program,
    Shell,
    find_cp2k,
    find_programs,
    find_torchrun,
    local_shell,
    prepend_text,
)
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.data.engine import VERSION_EXTRA

VERSIONS = 'dpasse_versions'
#: Polling interval of the local process table in s: at 0.5 s, recording the polls used a tenth of a core.
LOCAL_POLL_INTERVAL = 1.0
#: Longest time in s of a measurement on this machine, which takes a minute if it has the cores for itself.
LONGEST_MEASUREMENT = 1800.0
#: Prints the number of cores; `nproc` would print the threads of OpenMP if they are set.
CORES = 'env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc'


@click.command('setup')
@click.option(
    '--computer',
    'label',
    default='localhost',
    show_default=True,
    help='Computer; a new one is this machine.',
)
@click.option(
    '--threads',
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help='Cores that a job may use. With more than one, it is measured whether each program is faster in threads or in '
    'MPI ranks, which takes a minute or two.',
)
@click.option('--prefix', help='Environment with the programs, on that computer.  [default: the running environment]')
@with_profile
def setup(label: str, threads: int, prefix: str | None) -> None:
    """Find dp, lmp and python on a computer, and torchrun and CP2K if available, and register them as codes."""
    computer, created = local_computer(label)
    if computer.transport_type == 'core.local':
        found, measured, note = _examine(computer, prefix or sys.prefix, threads, local_shell)
    elif prefix is None:
        raise click.UsageError(f'--prefix is needed: where is the environment with the programs on `{label}`?')
    else:
        with computer.get_transport() as transport:
            found, measured, note = _examine(computer, prefix, threads, transport_shell(transport))

    rows = [('computer', label, 'created' if created else 'kept', computer.transport_type)]
    missing = [program for program in found if isinstance(program, Missing)]
    ways, queued = measure.choose(measured), has_scheduler(computer)
    for program in found:
        if isinstance(program, Program):
            code, state = register(program, computer, threads_of(program.name, threads, ways, queued))
            keep_ways(code, threads, measured)
            rows.append((program.name, code.full_label, state, f'{program.version}  {program.path}'))
        else:
            rows.append((program.name, '', 'missing', program.reason))
    say(_table(rows))
    if measured:
        say(f'\n{measure.table(measured)}')
    if note:
        say(f'\n{note}')
    for command in dict.fromkeys(program.remedy for program in missing):
        say(f'\nTo install them, run this on `{label}` and repeat `setup`:\n  {command}')
    if missing or (threads > 1 and not measured and not queued):
        raise SystemExit(1)


def _examine(
    computer: Computer, prefix: str, threads: int, shell: Shell
) -> tuple[list[Program | Missing], list[measure.Row], str]:
    """Return the programs of an environment, the rows of their measurement, and a sentence where there is none."""
    measurable = threads > 1 and not has_scheduler(computer)
    if measurable:
        status, output, _ = shell(CORES)
        if status == 0 and threads > int(output.split()[-1]):
            raise Refusal(f'`{computer.label}` has {output.split()[-1]} cores: give at most as many --threads.')
    found = _find(prefix, shell)
    if threads == 1:
        return found, [], ''
    if not measurable:
        note = f'because `{computer.label}` has a scheduler: each process gets {threads} threads.'
        return found, [], f'Nothing was measured, {note} Options of a job set its processes.'
    if any(isinstance(program, Missing) for program in found):
        return found, [], 'Nothing was measured, because programs are missing: each job gets one thread.'
    programs = [program for program in found if isinstance(program, Program) and program.name in measure.MEASURED]
    say('Measuring the programs, which takes a minute or two.', err=True)
    shell = partial(local_shell, limit=LONGEST_MEASUREMENT) if shell is local_shell else shell
    try:
        return found, measure.measure(programs, threads, mpirun_of(computer), shell), ''
    except measure.MeasurementError as error:
        return found, [], f'{error} Each job gets one thread.'


def keep_ways(code: InstalledCode, cores: int, measured: list[measure.Row]) -> None:
    """Store what was measured for a program with its code, or remove what was stored before.

    :param code: the code, with the name of the program.
    :param cores: that it may use.
    :param measured: rows of the measurement of all programs.
    """
    rows = [row for row in measured if row['program'] == code.label]
    if rows:
        code.base.extras.set(WAYS_EXTRA, {'cores': cores, 'ways': measure.choose(rows)[code.label], 'measured': rows})
    elif code.base.extras.get(WAYS_EXTRA, None):
        code.base.extras.delete(WAYS_EXTRA)


def has_scheduler(computer: Computer) -> bool:
    """Whether jobs wait in a queue: what the transport reaches is then not the machine that runs them."""
    return computer.scheduler_type != 'core.direct'


def mpirun_of(computer: Computer) -> str:
    """Return the command of a computer that starts ``processes`` of MPI."""
    words: list[str] = computer.get_mpirun_command()
    return ' '.join(words).replace('{tot_num_mpiprocs}', '{processes}')


def threads_of(name: str, threads: int, ways: measure.Ways, queued: bool) -> int:
    """Return the threads in the text before a program.

    A job of `dp` or `lmp` sets its own if these were measured, because they depend on the model.

    :param name: name of the program.
    :param threads: cores that a program may use.
    :param ways: that were measured, by program.
    :param queued: whether the computer has a scheduler, so that nothing is measured.
    """
    if queued or name not in measure.MEASURED:
        return threads
    return max((way['threads'] for way in ways.get(name, {}).values()), default=1) if name == 'python' else 1


def _find(prefix: str, shell: Shell) -> list[Program | Missing]:
    """Return the programs of an environment, and torchrun and CP2K if they are available."""
    optional = (find_torchrun(prefix, shell), find_cp2k(shell))
    return [*find_programs(prefix, shell), *(program for program in optional if program)]


def local_computer(label: str) -> tuple[Computer, bool]:
    """Return the computer with the given label, which is created for this machine if it does not exist.

    The shell of a local computer is not a login shell: reading the user's profile before every job stalls jobs for
    minutes.

    :param label: label of the computer.
    :return: the computer, and whether it was created.
    """
    from aiida.manage import get_manager
    from aiida.manage.configuration import get_config

    builder = QueryBuilder().append(Computer, filters={'label': label})
    created = builder.count() == 0
    if created:
        profile = get_manager().get_profile()
        assert profile is not None
        computer = Computer(
            label=label,
            hostname='localhost',
            description='This machine, registered by aiida-dpasse setup',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(Path(get_config().dirpath) / 'scratch' / profile.name),
        ).store()
        computer.set_default_mpiprocs_per_machine(1)
    else:
        computer = builder.one()[0]
    if computer.transport_type == 'core.local':
        configuration = computer.get_configuration() if computer.is_configured else {}
        if configuration.get('use_login_shell', True):
            computer.configure(**{**configuration, 'use_login_shell': False, 'safe_interval': 0.0})
        if computer.get_minimum_job_poll_interval() > LOCAL_POLL_INTERVAL:
            computer.set_minimum_job_poll_interval(LOCAL_POLL_INTERVAL)
    return computer, created


def register(program: Program, computer: Computer, threads: int = 1) -> tuple[InstalledCode, str]:
    """Register a program as a code of a computer.

    :param program: the program.
    :param computer: the computer.
    :param threads: threads of a job.
    :return: the code, and 'created', 'kept' or 'replaced'.
    """
    text = prepend_text(program, threads)
    existing = QueryBuilder().append(Computer, filters={'id': computer.pk}, tag='computer')
    existing.append(InstalledCode, with_computer='computer', filters={'label': program.name}).order_by(
        {InstalledCode: {'id': 'desc'}}
    )
    old = existing.first(flat=True)
    state = 'created' if old is None else 'replaced'
    if old is not None and str(old.filepath_executable) == program.path and old.prepend_text == text:
        code, state = old, 'kept'
    else:
        if old is not None:
            # Stored codes are immutable: earlier calculations keep the code that they used, under a new label.
            old.label = f'{program.name}-{old.pk}'
            old.is_hidden = True
        code = InstalledCode(
            label=program.name,
            computer=computer,
            filepath_executable=program.path,
            prepend_text=text,
            description=f'{program.name} {program.version}, registered by aiida-dpasse setup',
        ).store()
    code.base.extras.set_many({VERSION_EXTRA: program.versions.get('deepmd-kit', ''), VERSIONS: program.versions})
    return code, state


def transport_shell(transport: object) -> Shell:
    """Return a shell that runs commands on another computer.

    :param transport: open transport to the computer.
    """

    def shell(command: str) -> tuple[int, str, str]:
        status, output, error = transport.exec_command_wait(command)  # type: ignore[attr-defined]
        return status, output, error

    return shell


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=('program', 'code', 'state', 'version and path'), tablefmt='simple')
