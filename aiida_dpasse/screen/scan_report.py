"""Report of a scan: descriptors, the scans of the ions, and the surface of the level map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.tables import Table, text, values_table
from aiida_dpasse.screen.landscape_plot import Landscape, plot_landscape

SCANS = {
    'atom': 'atom',
    'equivalent': 'equivalent',
    'lowest_eV': 'lowest energy (eV)',
    'mpe_eV': 'MPE (eV)',
    'percolation_1d_eV': '1D (eV)',
    'percolation_2d_eV': '2D (eV)',
    'percolation_3d_eV': '3D (eV)',
    'energies': 'energies',
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the descriptor and the level of percolation.

    :param process: a `dpasse.scan`.
    """
    found = output_dict(process, 'results')
    if not found:
        return []
    return [f'Xi = {text(found["xi"])}, percolation in three dimensions {level_text(found)}']


def level_text(found: Mapping[str, Any], name: str = 'percolation_3d_eV') -> str:
    """Return a level in eV as text; a level that is not known is above the highest one.

    :param found: results of a scan, or a row of a ranking.
    :param name: name of the level.
    """
    if found[name] is not None:
        return f'at {text(found[name])} eV'
    return 'never' if found['highest_level_eV'] is None else f'above {text(found["highest_level_eV"])} eV'


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the values, the free volumes by threshold, and the scans.

    :param process: a `dpasse.scan`.
    """
    found = output_dict(process, 'results')
    single = {key: value for key, value in found.items() if not isinstance(value, list)}
    volumes = {'threshold_eV': 'threshold (eV)', 'fv_conn': 'FV_conn', 'fv_disc': 'FV_disc'}
    return [
        values_table('Landscape', single),
        Table.of('Free volumes', volumes, found.get('free_volumes', [])),
        Table.of('Scans', SCANS, found.get('scans', [])),
    ]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the surface of the level map, and the free volumes.

    :param process: a `dpasse.scan`.
    :param directory: folder of the picture.
    """
    if 'landscape' not in process.outputs:
        return []
    path = directory / 'landscape.png'
    plot_landscape(path, read_landscape(process))
    return [path]


def read_landscape(process: orm.ProcessNode) -> Landscape:
    """Return the landscape of a scan.

    :param process: a `dpasse.scan` with outputs, or the chain that restarts it.
    """
    structure = (process.inputs.job if 'job' in process.inputs else process.inputs).structure
    names = ('level_eV', 'energy_eV', 'cell_A', 'origin')
    level, energy, cell, origin = (process.outputs.landscape.get_array(name) for name in names)
    symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
    positions = np.array([site.position for site in structure.sites])
    return Landscape(level, energy, cell, origin, symbols, positions, output_dict(process, 'results'))
