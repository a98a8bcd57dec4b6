"""`aiida-dpasse landscape`: the level map of a scan as a file for structure viewers and as a picture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.output import OUTPUT, say, write_file, writes_files
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal


@click.command()
@click.argument('pk', metavar='PK')
@click.option('--cube', 'cube_path', type=OUTPUT, help='Write the level map in eV as a Gaussian cube file.')
@click.option('--energy-cube', type=OUTPUT, help='Write the energy above the lowest in eV as a Gaussian cube file.')
@click.option('--plot', 'plot_path', type=OUTPUT, help='Draw a picture (png, svg, pdf or jpg).')
@with_profile
@writes_files
def landscape(pk: str, cube_path: Path | None, energy_cube: Path | None, plot_path: Path | None) -> None:
    """Landscape of the mobile ions in the scan PK.

    PK is the PK or UUID of a scan, or of the chain that restarts it. In the level map each voxel has the lowest energy
    that a path of an ion to it has to reach; a viewer draws its isosurface at, for example, 0.5 eV.
    """
    from aiida import orm
    from ase.data import atomic_numbers

    from aiida_dpasse.screen.landscape_plot import plot_landscape
    from aiida_dpasse.screen.scan_report import lines, read_landscape

    node = find_node(pk, f'There is no process {pk}: `aiida-dpasse status` lists those of the profile.')
    if not isinstance(node, orm.ProcessNode) or 'landscape' not in node.outputs:
        raise Refusal(f'{pk} has no landscape: give the PK of a finished `dpasse.scan`, see `aiida-dpasse status`.')
    found = read_landscape(node)
    numbers = [atomic_numbers[symbol] for symbol in found.symbols]
    for path, values in ((cube_path, found.level), (energy_cube, found.energy)):
        if path is not None:
            crystal = (found.cell, found.origin, numbers, found.positions)
            write_file(path, partial(_write, values, crystal))
    if plot_path is not None:
        write_file(plot_path, lambda to: plot_landscape(to, found))
    say(quoting.lines('\n'.join(lines(node))))


def _write(values: Any, crystal: tuple[Any, ...], path: Path) -> None:
    from aiida_dpasse.landscape.isosurface import write_cube

    write_cube(path, values, *crystal)
