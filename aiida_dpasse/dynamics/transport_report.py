"""Report of the displacement statistics of one trajectory."""

from __future__ import annotations

from pathlib import Path

from aiida import orm

from aiida_dpasse.dynamics.van_hove import read_maps
from aiida_dpasse.reports.graph import output, output_dict
from aiida_dpasse.reports.van_hove_plot import plot_van_hove


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the numbers of ions and frames.

    :param process: a `dpasse.transport`, or the work chain that restarts it.
    """
    results = output_dict(process, 'results')
    return [f'{results["ions"]} ions, {results["frames"]} frames'] if 'ions' in results else []


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the van Hove maps, if they were computed.

    :param process: a `dpasse.transport`, or the work chain that restarts it.
    :param directory: folder of the picture.
    """
    statistics = output(process, 'statistics')
    maps = read_maps(statistics, [None], suffix='') if isinstance(statistics, orm.ArrayData) else []
    if not maps:
        return []
    path = directory / 'van_hove.png'
    plot_van_hove(path, maps)
    return [path]
