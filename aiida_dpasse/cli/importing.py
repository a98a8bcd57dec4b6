"""`aiida-dpasse import` and `aiida-dpasse export`: files into nodes of the profile, and nodes into files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import click

from aiida_dpasse.cli.lazy import LazyGroup
from aiida_dpasse.cli.profile import with_profile


class Imports(LazyGroup):
    """One command for each kind of node."""

    COMMANDS: ClassVar[dict[str, tuple[str, str]]] = {
        'structure': (
            'aiida_dpasse.cli.import_structure:structure',
            'Crystal structures: CIF, POSCAR, and what ASE reads.',
        ),
        'frames': (
            'aiida_dpasse.cli.import_frames:frames',
            'Labelled frames: DeePMD-kit, extxyz, ASE, output of DFT programs.',
        ),
        'potential': ('aiida_dpasse.cli.import_potential:potential', 'Model files of DeePMD-kit.'),
    }


class Exports(LazyGroup):
    """One command for each kind of node."""

    COMMANDS: ClassVar[dict[str, tuple[str, str]]] = {
        'structure': ('aiida_dpasse.cli.export_structure:structure', 'A structure as CIF, POSCAR or extxyz.'),
        'frames': (
            'aiida_dpasse.cli.export_frames:frames',
            'Frames as extxyz, DeePMD-kit npy or mixed, or ASE database.',
        ),
    }


@click.group('import', cls=Imports)
def import_() -> None:
    """Store structures, frames or potentials from files."""


@click.group(cls=Exports)
def export() -> None:
    """Write stored structures or frames to files."""


def import_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every import has: `--group`, `--label`, `--dry-run`.

    :param command: the function of the command, with parameters `group`, `label` and `dry_run`.
    """
    for option in (
        click.option(
            '-n', '--dry-run', is_flag=True, help='Print what the files contain and what is dropped; store nothing.'
        ),
        click.option('--label', help='Label of the node.  [default: the name of the file]'),
        click.option('--group', metavar='NAME', help='Group to which the nodes are added; made if it does not exist.'),
    ):
        command = option(command)
    return command


@with_profile
def store(node: Any, label: str, group: str | None) -> Any:
    """Store a node and add it to a group.

    :param node: an unstored node.
    :param label: its label.
    :param group: name of the group, or None.
    :return: the stored node.
    """
    node.label = label
    node.store()
    add_to_group(node, group)
    return node


def add_to_group(node: Any, group: str | None) -> None:
    """Add a stored node to a group, which is made if it does not exist.

    :param node: the node.
    :param group: name of the group; None adds it to no group.
    """
    from aiida import orm

    if group is not None:
        orm.Group.collection.get_or_create(group)[0].add_nodes(node)
