"""A profile on PostgreSQL and RabbitMQ with a SLURM computer behind sshd, all in the box that `box.sh` starts.

Environment: `BOX`, the scratch folder of the box. Everything that is made here lies below it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
BOX = Path(os.environ['BOX']).resolve()
PORT = int(os.environ.get('BOX_PORT', '25400'))
PROFILE = 'box'
WORKERS = int(os.environ.get('BOX_WORKERS', '2'))
#: The faults that jobs inject into themselves: see `hook`.
HOOKS = BOX / 'hooks'
#: A job's memory; a program that is to run out of it takes more than that.
MEMORY_KB = 2_500_000
OPTIONS = {
    'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
    'withmpi': False,
    'max_wallclock_seconds': 1800,
    'max_memory_kb': MEMORY_KB,
    'import_sys_environment': False,
}
#: Sourced by every job before and after its program: does once what the first order says whose condition holds.
HOOK = """
for order in "{hooks}/$1"/*; do
  [ -e "$order" ] && eval "$(head -n 1 "$order")" || continue
  mv "$order" "{hooks}/done/${{order##*/}}" 2>/dev/null || continue
  echo "$SLURM_JOB_ID" > "{hooks}/done/${{order##*/}}.job"
  . <(tail -n +2 "{hooks}/done/${{order##*/}}")
  break
done
"""


def use_box() -> None:
    """Point AiiDA, ssh and SLURM of this process and its children to the box."""
    (BOX / 'home').mkdir(exist_ok=True)
    path = [str(REPOSITORY), *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
    os.environ |= {
        'HOME': str(BOX / 'home'),
        'AIIDA_PATH': str(BOX / 'aiida'),
        'SLURM_CONF': str(BOX / 'etc' / 'slurm.conf'),
        'PYTHONPATH': os.pathsep.join(dict.fromkeys(path)),
    }
    sys.path.insert(0, str(REPOSITORY))
    (BOX / 'aiida').mkdir(exist_ok=True)


def box(*arguments: str, timeout: float = 180.0) -> str:
    """Run a command of `box.sh` and return what it prints."""
    # Its daemons inherit pipes: a file ends when the command does.
    with open(BOX / 'log' / 'commands', 'a+') as log:
        place = log.seek(0, os.SEEK_END)
        command = ['bash', str(HERE / 'box.sh'), *arguments]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=timeout)
        log.seek(place)
        return log.read()


def shell(*command: str, timeout: float = 120.0) -> str:
    """Run a command of this environment or of SLURM and return its output."""
    found = Path(sys.executable).parent / command[0]
    program = str(found) if found.exists() else command[0]
    done = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)}: {(done.stdout + done.stderr).strip()[-2000:]}')
    return done.stdout


def make_profile() -> None:
    """Make the profile if it is not there, with PostgreSQL for its nodes and RabbitMQ for its tasks."""
    if (BOX / 'aiida' / '.aiida' / 'config.json').exists() and PROFILE in shell('verdi', 'profile', 'list'):
        return
    os.environ['PGPASSWORD'] = 'box'
    sql = "CREATE DATABASE aiida OWNER box TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
    shell('psql', '-q', '-h', '127.0.0.1', '-p', str(PORT), '-U', 'box', '-d', 'postgres', '-c', sql)
    person = '--email box@localhost --first-name Box --last-name Box --institution Box'
    server = f'--database-hostname 127.0.0.1 --database-port {PORT} --database-username box --database-password box'
    rest = f'--database-name aiida --repository-uri file://{BOX}/repository'
    setup = f'profile setup core.psql_dos -n -p {PROFILE} --set-as-default --broker none {person} {server} {rest}'
    shell('verdi', *setup.split())
    broker = '--broker-protocol amqp --broker-username guest --broker-password guest --broker-host 127.0.0.1'
    broker += f' --broker-port {PORT + 1}'
    command = f'profile configure-broker core.rabbitmq {PROFILE} -f -n {broker}'
    shell('verdi', *command.split(), '--broker-virtual-host', '')
    shell('verdi', 'config', 'set', 'warnings.rabbitmq_version', 'False')
    shell('verdi', 'config', 'set', 'daemon.default_workers', str(WORKERS))


def make_codes() -> dict[str, Any]:
    """Return the programs of this environment as codes of the SLURM computer, made at the first call."""
    from aiida import orm

    from aiida_dpasse.cli.programs import Program, find_programs, prepend_text

    names = ('dp', 'lmp', 'python')
    if orm.QueryBuilder().append(orm.Computer, filters={'label': 'slurm'}).count():
        return {name: orm.load_code(f'{name}@slurm') for name in names}
    computer = orm.Computer(
        label='slurm',
        hostname='box',
        workdir=str(BOX / 'work'),
        transport_type='core.ssh_async',
        scheduler_type='core.slurm',
    )
    computer.set_shebang('#!/bin/bash')
    computer.set_default_mpiprocs_per_machine(1)
    computer.store()
    # With AiiDA's own 10 s and 15 s one job takes a minute.
    computer.set_minimum_job_poll_interval(1.0)
    computer.configure(host='box', safe_interval=0.0, use_login_shell=False)
    for folder in ('before', 'after', 'done'):
        (HOOKS / folder).mkdir(parents=True, exist_ok=True)
    (HOOKS / 'hook.sh').write_text(HOOK.format(hooks=HOOKS))
    codes = {}
    for program in find_programs(sys.prefix):
        if not isinstance(program, Program):
            raise RuntimeError(f'{program.name}: {program.reason}')
        codes[program.name] = orm.InstalledCode(
            label=program.name,
            computer=computer,
            filepath_executable=program.path,
            prepend_text=f'{prepend_text(program, 1)}\n. {HOOKS}/hook.sh before',
            append_text=f'. {HOOKS}/hook.sh after',
        ).store()
    return codes


def hook(name: str, when: str, condition: str, command: str) -> Path:
    """Have the next job in whose folder ``condition`` holds run ``command``; return the file that is there once it has.

    :param when: `before` or `after` its program.
    """
    for old in HOOKS.glob(f'done/{name}*'):
        old.unlink()
    partial = HOOKS / f'{name}.partial'
    partial.write_text('\n'.join([condition, command, '']))
    partial.rename(HOOKS / when / name)
    return HOOKS / 'done' / name


def clear_hooks() -> None:
    """Take back what no job has done."""
    for path in (*HOOKS.glob('before/*'), *HOOKS.glob('after/*')):
        path.unlink(missing_ok=True)


def served(kind: str = 'daemon') -> Iterator[psutil.Process]:
    """Yield the processes of the profile's daemon: `worker`, or all, the supervisor first."""
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            # AiiDA sets it to the folder below.
            mine = process.environ().get('AIIDA_PATH', '').startswith(os.environ['AIIDA_PATH'])
            statistics = kind == 'daemon' and any('circus' in part for part in command)
            if mine and (statistics or (PROFILE in command and 'daemon' in command and kind in command)):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def start_daemon() -> None:
    """Start the daemon if it is not running; one that was killed leaves a stale file behind, which AiiDA removes."""
    if not any(served('start-circus')):
        shell('verdi', 'daemon', 'start', str(WORKERS))


def stop_daemon() -> None:
    """Stop the daemon, and what is left of one that was killed."""
    subprocess.run([str(Path(sys.executable).parent / 'verdi'), 'daemon', 'stop'], capture_output=True, check=False)
    for process in served():
        process.kill()


def persist(ask: Callable[[], Any], patience: float = 120.0) -> Any:
    """Return the answer of ``ask``, which reads the database, also where that is away for a while."""
    from aiida.manage import get_manager
    from sqlalchemy.exc import SQLAlchemyError

    deadline = time.monotonic() + patience
    while True:
        try:
            return ask()
        except SQLAlchemyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
            try:
                get_manager().get_profile_storage().get_session().rollback()
            except SQLAlchemyError:
                continue


def load_anew() -> None:
    """Load the profile anew: a session that outlived its database has lost its nodes and its user."""
    from aiida import load_profile
    from aiida.manage import get_manager

    get_manager().unload_profile()
    load_profile(PROFILE)
    # Each connection that a restart of RabbitMQ cuts leaves a traceback otherwise.
    for name in ('aio_pika', 'aiormq'):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def cluster() -> Iterator[Callable[[], dict[str, Any]]]:
    """Yield what gives the codes of the running box, with a daemon at work that is stopped at the end.

    :raises RuntimeError: if another script uses the box.
    """
    use_box()
    from aiida_dpasse.cli.study import sole_watcher

    with sole_watcher(BOX):
        make_profile()
        load_anew()
        make_codes()
        clear_hooks()
        start_daemon()
        try:
            yield make_codes
        finally:
            stop_daemon()
