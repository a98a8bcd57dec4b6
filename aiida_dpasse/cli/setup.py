"""`aiida-dpasse setup`: find and start the programs of an environment, and register them as codes of a computer.

Each code carries two extras: `dpasse_version`, the DeePMD-kit version of its environment, which validators compare with
model files, and `dpasse_versions`, the versions of all relevant packages. A repeated call leaves correct codes
unchanged, and replaces those whose path or environment has changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from aiida.orm import Computer, InstalledCode, QueryBuilder

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
from aiida_dpasse.data.engine import VERSION_EXTRA

VERSIONS = 'dpasse_versions'
#: Polling interval of the local process table in s: at 0.5 s, recording the polls used a tenth of a core.
LOCAL_POLL_INTERVAL = 1.0


@click.command('setup')
@click.option(
    '--computer',
    'label',
    default='localhost',
    show_default=True,
    help='Computer; a new one is this machine.',
)
@click.option('--threads', default=1, show_default=True, type=click.IntRange(min=1), help='Threads of each job.')
@click.option('--prefix', help='Environment with the programs, on that computer.  [default: the running environment]')
@with_profile
def setup(label: str, threads: int, prefix: str | None) -> None:
    """Find dp, lmp and python on a computer, and torchrun and CP2K if available, and register them as codes."""
    computer, created = local_computer(label)
    if computer.transport_type == 'core.local':
        found = _find(prefix or sys.prefix, local_shell)
    elif prefix is None:
        raise click.UsageError(f'--prefix is needed: where is the environment with the programs on `{label}`?')
    else:
        with computer.get_transport() as transport:
            found = _find(prefix, transport_shell(transport))

    rows = [('computer', label, 'created' if created else 'kept', computer.transport_type)]
    missing = [program for program in found if isinstance(program, Missing)]
    for program in found:
        if isinstance(program, Program):
            code, state = register(program, computer, threads)
            rows.append((program.name, code.full_label, state, f'{program.version}  {program.path}'))
        else:
            rows.append((program.name, '', 'missing', program.reason))
    say(_table(rows))
    for command in dict.fromkeys(program.remedy for program in missing):
        say(f'\nTo install them, run this on `{label}` and repeat `setup`:\n  {command}')
    if missing:
        raise SystemExit(1)


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
