"""`aiida-dpasse dpgen`: conversion of DP-GEN input and export of data sets for DP-GEN."""

from __future__ import annotations

from pathlib import Path

import click
from aiida.cmdline.params.arguments import NODE
from aiida.cmdline.utils.decorators import with_dbenv

from aiida_dpasse.cli.nodes import NodeType
from aiida_dpasse.cli.output import OUTPUT, check_folder, filling, say, write_text, writes_files
from aiida_dpasse.cli.refusal import EXISTING, Refusal


@click.group()
def dpgen() -> None:
    """Convert DP-GEN's input, and export frames as its datasets."""


@dpgen.command()
@click.argument('param', type=EXISTING)
@click.argument('machine', type=EXISTING, required=False)
@click.option('-o', '--output', type=OUTPUT, help='Script to write.')
@click.option(
    '--protocol', default='balanced', show_default=True, help='Protocol of the settings that DP-GEN does not have.'
)
@writes_files
def convert(param: Path, machine: Path | None, output: Path | None, protocol: str) -> None:
    """Write the script that runs what PARAM describes, on machines as in MACHINE, and list what has no counterpart.

    PARAM and MACHINE are the files of `dpgen run`, in JSON or YAML; PARAM may be that of `dpgen simplify` for labelled
    data. Without --output the script goes to the standard output and the list to the standard error.
    """
    from aiida_dpasse import quoting
    from aiida_dpasse.dpgen.param import describe, read_dpgen
    from aiida_dpasse.dpgen.script import script
    from aiida_dpasse.explore.from_dpgen import objection

    if output is not None and output.exists() and any(output.samefile(path) for path in (param, machine or param)):
        raise Refusal(f'{output} is an input, which is never overwritten: name another file.')
    try:
        conversion = read_dpgen(param, machine)
        message = objection(conversion, protocol)
        text = script(conversion, param.name, protocol)
    except ValueError as error:
        raise Refusal(quoting.lines(error)) from error
    if output is None:
        say(text)
    else:
        # Its options have shell lines, which nobody else needs to read.
        write_text(output, text, mode=0o600)
        say(f'wrote {output}')
    say(describe(conversion.unmatched), err=output is None)
    if conversion.to_do:
        say('\nThe script stops until this is done:', err=output is None)
        for sentence in conversion.to_do.values():
            say(f'  {sentence}', err=output is None)
    if message:
        say(f'\nTo be corrected before it can run: {quoting.lines(message)}', err=True)


@dpgen.command()
@NODE(type=NodeType())
@click.argument('directory', type=click.Path(file_okay=False, path_type=Path))
@click.option('-t', '--type-map', metavar='ELEMENTS', help='Elements in the order of the atom types, as "Li P S Cl".')
@with_dbenv()
def collect(node, directory: Path, type_map: str | None) -> None:  # type: ignore[no-untyped-def]
    """Write the labelled frames of NODE, frames or a process that has them as output, to DIRECTORY, as `dpgen collect
    --merge` does."""
    from aiida import orm

    from aiida_dpasse.data.frames import FramesData
    from aiida_dpasse.dpgen.collect import collect as write

    if isinstance(node, orm.ProcessNode) and 'frames' in node.outputs:
        node = node.outputs.frames
    if not isinstance(node, FramesData):
        raise Refusal(f'{node} has no frames: give a FramesData, or a process with the output `frames`.')
    check_folder(directory)
    with filling(directory) as partial:
        try:
            written = write(node.sets(), partial, type_map.split() if type_map else None)
        except ValueError as error:
            raise Refusal(str(error)) from error
    for path in written:
        say(f'wrote {directory / path.name}')
