"""`aiida-dpasse import potential`: model files of DeePMD-kit into potentials of the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.describe_potential import MODEL, describe_file, describe_node, freezing, table
from aiida_dpasse.cli.importing import import_options, store
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.refusal import Refusal


@click.command()
@click.argument('paths', metavar='FILE...', nargs=-1, required=True, type=MODEL)
@click.option('--written-by', metavar='VERSION', help='Release of DeePMD-kit that wrote it; not stored in the file.')
@click.option(
    '--name',
    metavar='NAME',
    help="Name in DeePMD-kit's registry of pretrained models, for example DPA-3.1-3M: the SHA-256 of the file is "
    'compared and the name is stored. Nothing is downloaded.',
)
@import_options
def potential(
    paths: tuple[Path, ...],
    written_by: str | None,
    name: str | None,
    group: str | None,
    label: str | None,
    dry_run: bool,
) -> None:
    """Store model files as potentials.

    FILE is a .pt, .pth or .pb of DeePMD-kit that gives energies and forces. Code in the file is never executed. If one
    of several files is refused, none is stored.
    """
    if len(paths) > 1 and (label or name):
        given = '--label' if label else '--name'
        raise Refusal(f'{given} is for one file, and {len(paths)} are given: import them one by one.')
    answers = [describe(path, written_by, name) for path in paths]
    for path, answer in zip(paths, answers, strict=True):
        if dry_run:
            click.echo(f'{table(answer)}\n')
            continue
        node = keep(path, answer, label or path.name, group)
        click.echo(f'{table(describe_node(str(node.pk)))}\n\nstored as {node.pk}')
        if node.needs_migration:
            click.echo(f'next: aiida-dpasse potential migrate {node.pk}', err=True)
        elif node.form == 'checkpoint':
            click.echo(f'next: {freezing(node.pk, node.heads)}', err=True)
    if dry_run:
        click.echo('Nothing was stored (--dry-run).')


def describe(path: Path, written_by: str | None, name: str | None) -> dict[str, Any]:
    """Return the properties of a model file as `describe_file` does, with what the user states about it.

    :param path: the file.
    :param written_by: release of DeePMD-kit that wrote it, or None.
    :param name: name in the registry of pretrained models, or None.
    :raises Refusal: if the file is no potential, or not what the user states.
    """
    from aiida_dpasse.deepmd.compatibility import read_version
    from aiida_dpasse.deepmd.published import check_published

    answer = describe_file(path)
    try:
        if written_by is not None:
            read_version(written_by)
        if name is not None:
            check_published(name, answer['sha256'])
    except ValueError as error:
        raise Refusal(f'`{path.name}`: {error}') from error
    return {**answer, 'deepmd_version': written_by}


@with_profile
def keep(path: Path, answer: dict[str, Any], label: str, group: str | None) -> Any:
    """Store a potential.

    :param path: the file.
    :param answer: its properties, of :func:`describe`.
    :param label: label of the node.
    :param group: name of the group, or None.
    :return: the stored node.
    """
    from aiida_dpasse.data.engine import Potential

    return store(Potential.from_file(path, answer['deepmd_version'], answer['published_as']), label, group)
