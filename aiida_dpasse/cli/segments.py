"""Trajectories of the profile: the folders of molecular dynamics, by the PK of a node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.lammps.script import DEFAULTS
from aiida_dpasse.quoting import line as quoted

#: Process types whose dumps have the atom types and the time step of their inputs.
DYNAMICS = ('aiida.calculations:dpasse.md', 'aiida.calculations:dpasse.md.ase')


@dataclass(frozen=True)
class Segments:
    """Where the trajectory of a node is.

    :param folders: the folders with the dumps, in order.
    :param timestep: MD time step in fs, if the dynamics are those of `dpasse.md`.
    :param elements: elements of the atom types, likewise.
    """

    folders: tuple[Path, ...]
    timestep: float | None = None
    elements: tuple[str, ...] = ()


@with_profile
def find_segments(pk: int, context: click.Context) -> Segments:
    """Return the folders of one run.

    :param pk: PK of a `dpasse.md` calculation, of its work chain, or of a `RemoteData` or `FolderData`.
    :param context: context of the command, at whose end temporary copies are deleted.
    :raises Refusal: if there is no such node, it has no trajectory, or the trajectory is not on this machine.
    """
    from aiida import orm

    node = find_node(pk, f'{pk} is neither a file nor the PK of a node of the profile.')
    if isinstance(node, orm.FolderData):
        # The names of an imported archive may be paths.
        if any(
            part in ('.', '..') or '/' in part
            for root, *names in node.base.repository.walk()
            for part in (*root.parts, *names[0], *names[1])
        ):
            raise Refusal(f'The files of {pk} have names that lead out of its folder: do not use it.')
        return Segments((context.with_resource(node.base.repository.as_path()),))
    found: list[Any] = []
    if isinstance(node, orm.RemoteData):
        found = [node]
    elif isinstance(node, orm.CalcJobNode):
        found = [node.outputs.remote_folder] if 'remote_folder' in node.outputs else []
    elif isinstance(node, orm.WorkChainNode) and 'trajectories' in node.outputs:
        found = [remote for _, remote in sorted(node.outputs.trajectories.items())]
    if not found:
        raise Refusal(f'{pk} has no trajectory: give the PK of dpasse.md, its base chain, a RemoteData or FolderData.')
    for remote in found:
        if remote.computer.transport_type != 'core.local':
            raise Refusal(
                f'The trajectory of {pk} is on {remote.computer.label}, in {remote.get_remote_path()}: copy it here, '
                'or run dpasse.transport there.'
            )
        if not Path(remote.get_remote_path()).is_dir():
            raise Refusal(f'The working directory of {pk} was deleted: {remote.get_remote_path()}.')
    folders = tuple(Path(remote.get_remote_path()) for remote in found)
    creator = found[0].creator
    if creator is None or creator.process_type not in DYNAMICS:
        return Segments(folders)
    structure, parameters = creator.inputs.structure, creator.inputs.parameters.get_dict()
    timestep = parameters.get('timestep', DEFAULTS['timestep'])
    if not isinstance(timestep, int | float) or not 0 < timestep < 1e9:
        raise Refusal(f'The timestep of {pk} is {quoted(timestep)[:40]}, not a positive number: do not use it.')
    used = {site.kind_name for site in structure.sites}
    kinds = sorted((kind.symbol, kind.name) for kind in structure.kinds if kind.name in used)
    return Segments(folders, float(timestep), tuple(symbol for symbol, _ in kinds))
