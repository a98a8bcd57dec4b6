"""`aiida-dpasse export frames`: a node of frames as a file or dataset."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_dpasse.cli.output import OUTPUT, replacing, say, writes_files
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal


@click.command()
@click.argument('node', metavar='PK')
@click.argument('path', metavar='FILE', type=OUTPUT)
@click.option(
    '--format',
    'fmt',
    type=click.Choice(('extxyz', 'npy', 'mixed', 'ase-db')),
    help='Format.  [default: extxyz or ase-db by the suffix, else npy]',
)
@click.option('-t', '--type-map', metavar='ELEMENTS', help='Elements of the format mixed in the order of their types.')
@with_profile
@writes_files
def frames(node: str, path: Path, fmt: str | None, type_map: str | None) -> None:
    """Write frames with their labels and origin to FILE, a folder for npy and mixed.

    PK is a node of frames (PK, UUID or label), or a process with the output `frames`. All digits are written: importing
    the file gives the same numbers. In extxyz and ASE databases the virial (eV) is written beside the stress (eV/Å^3).
    """
    from aiida import orm

    from aiida_dpasse.data.frames import FramesData

    found = find_node(node, f'There is no node `{node}`, or several: give a PK or a UUID.')
    if isinstance(found, orm.ProcessNode) and 'frames' in found.outputs:
        found = found.outputs.frames
    if not isinstance(found, FramesData):
        raise Refusal(f'The node {node} is a {type(found).__name__}, not frames: give a FramesData.')
    with replacing(path) as partial:
        try:
            found.to_file(partial, fmt, type_map.replace(',', ' ').split() if type_map else None)
        except ValueError as error:
            raise Refusal(str(error).replace(str(partial), str(path))) from error
    say(f'wrote {found.frames} frames to {path}')
