"""`aiida-dpasse import potential`: model files of DeePMD-kit into potentials of the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.describe_potential import MODEL, describe_file, freezing, table
from aiida_dpasse.cli.importing import import_options, store
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.refusal import Refusal

#: Most characters of a label in AiiDA's database.
LONGEST_LABEL = 255


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
    # Everything that can fail comes before the first node is stored.
    answers = [describe(path, written_by, name) for path in paths]
    tables = [table(answer) for answer in answers]
    labels = [checked(label or path.name, '--label') for path in paths]
    group = None if group is None else checked(group, '--group')
    if dry_run:
        say(''.join(f'{text}\n\n' for text in tables) + 'Nothing was stored (--dry-run).')
        return
    nodes = build(paths, answers)
    for node, own, text in zip(nodes, labels, tables, strict=True):
        store(node, own, group)
        say(f'{text}\n\nstored as {node.pk}')
        if node.needs_migration:
            say(f'next: aiida-dpasse potential migrate {node.pk}', err=True)
        elif node.form == 'checkpoint':
            say(f'next: {freezing(node.pk, node.heads)}', err=True)


def checked(text: str, option: str) -> str:
    """Return the label of a node or of a group, which the database stores as Unicode.

    :param text: the label.
    :param option: the option that gives it.
    :raises Refusal: if it is too long, or not Unicode, such as the name of a file of another encoding.
    """
    try:
        text.encode('utf8')
    except UnicodeEncodeError as error:
        shown = quoting.line(text)
        raise Refusal(f'`{shown}` is not Unicode and cannot be a label: give another `{option}`.') from error
    if not text or len(text) > LONGEST_LABEL:
        raise Refusal(f'A label has 1 to {LONGEST_LABEL} characters, not {len(text)}: give another `{option}`.')
    return text


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
        raise Refusal(quoting.line(f'`{path.name}`: {error}')) from error
    return {**answer, 'deepmd_version': written_by}


@with_profile
def build(paths: tuple[Path, ...], answers: list[dict[str, Any]]) -> list[Any]:
    """Return the potentials of all files, none of them stored.

    :param paths: the files.
    :param answers: their properties, of :func:`describe`.
    :raises Refusal: if a file was changed since it was described.
    """
    from aiida_dpasse.data.engine import Potential

    try:
        return [
            Potential.from_file(path, answer['deepmd_version'], answer['published_as'])
            for path, answer in zip(paths, answers, strict=True)
        ]
    except ValueError as error:
        raise Refusal(str(error)) from error
