"""`aiida-dpasse status [PK]`: the state of a process, and what prevents its progress."""

from __future__ import annotations

import click
from aiida.cmdline.params.arguments import PROCESS
from aiida.cmdline.utils.decorators import with_dbenv

from aiida_dpasse.cli.nodes import ProcessType
from aiida_dpasse.cli.output import say


@click.command()
@PROCESS(required=False, type=ProcessType())
@click.option('--repair', is_flag=True, help='Start or restart the daemon and send lost tasks again, as needed.')
@with_dbenv()
def status(process, repair: bool) -> None:  # type: ignore[no-untyped-def]
    """Show phase, iterations and jobs of PROCESS (PK, UUID or label), also while it runs.

    Without PROCESS, one line for each running process. If the daemon, a lost task or a pause blocks a process, the
    command that resolves it is shown.
    """
    from aiida_dpasse.cli import daemon
    from aiida_dpasse.reports.graph import call_tree
    from aiida_dpasse.reports.status import running_text, status_text

    pks = None if process is None else [call.pk for call in call_tree(process.pk) if not call.terminated]
    if repair:
        done = daemon.repair(pks)
        say('\n'.join(done or ['Nothing to repair: daemon and tasks are in order.']) + '\n')
    say(running_text() if process is None else status_text(process))
    for sentence in daemon.standstill(pks).sentences(None if process is None else process.pk):
        say(f'\n{sentence}')
