"""`aiida-dpasse report PK`: tables and plots of a process."""

from __future__ import annotations

from pathlib import Path

import click
from aiida.cmdline.params.arguments import PROCESS
from aiida.cmdline.utils.decorators import with_dbenv

from aiida_dpasse.cli.nodes import ProcessType
from aiida_dpasse.cli.output import check_folder, filling, say
from aiida_dpasse.cli.refusal import Refusal


@click.command()
@PROCESS(type=ProcessType())
@click.option(
    '-d',
    '--directory',
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder for the plots, the diagram of the work chain and, for a complete study, summary.json.',
)
@click.option('--force', is_flag=True, help='Overwrite the files that exist.')
@with_dbenv()
def report(process, directory: Path | None, force: bool) -> None:  # type: ignore[no-untyped-def]
    """Write the tables of PROCESS (PK, UUID or label) and, with --directory, its plots; nothing is run."""
    from aiida_dpasse.reports.report import REPORT, report_text, write_report

    if directory is not None:
        check_folder(directory)
        if (directory / REPORT).exists() and not force:
            raise Refusal(f'{directory / REPORT} exists: name another folder, or overwrite it with --force.')
    say(report_text(process))
    if directory is not None:
        with filling(directory, force) as partial:
            written = write_report(process, partial)
        for path in written:
            say(f'wrote {directory / path.name}')
