"""`aiida-dpasse status PK`: where a process stands."""

from __future__ import annotations

import click
from aiida.cmdline.params.arguments import PROCESS
from aiida.cmdline.utils.decorators import with_dbenv


@click.command()
@PROCESS()
@with_dbenv()
def status(process) -> None:  # type: ignore[no-untyped-def]
    """Show phase, iterations and jobs of PROCESS (PK, UUID or label), also while it runs."""
    from aiida_dpasse.reports.status import status_text

    click.echo(status_text(process))
