"""`aiida-dpasse report PK`: tables and plots of a process."""

from __future__ import annotations

from pathlib import Path

import click
from aiida.cmdline.params.arguments import PROCESS
from aiida.cmdline.utils.decorators import with_dbenv


@click.command()
@PROCESS()
@click.option(
    '-d',
    '--directory',
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder for the plots, the diagram of the work chain and, for a complete study, summary.json.',
)
@with_dbenv()
def report(process, directory: Path | None) -> None:  # type: ignore[no-untyped-def]
    """Write the tables of PROCESS (PK, UUID or label) and, with --directory, its plots; nothing is run."""
    from aiida_dpasse.reports.report import report_text, write_report

    click.echo(report_text(process))
    for path in write_report(process, directory) if directory is not None else []:
        click.echo(f'wrote {path}')
