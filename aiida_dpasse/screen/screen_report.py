"""Report of a screening: the ranking, the conductivities of the best, and the free volumes as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.landscape.descriptors import ranking_descriptor
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import note, picture
from aiida_dpasse.reports.tables import Table, text
from aiida_dpasse.screen.scan_report import level_text

RANKING = {
    'rank': 'rank',
    'structure': 'structure',
    'formula': 'formula',
    'xi': 'Xi',
    'fv_conn': 'FV_conn',
    'fv_disc': 'FV_disc',
    'mpe_eV': 'MPE (eV)',
    'percolation_1d_eV': '1D (eV)',
    'percolation_3d_eV': '3D (eV)',
    'scanned_ions': 'scanned',
    'unrelated_ions': 'of ions',
    'energies': 'energies',
    'cpu_s': 'CPU-s',
}
CONDUCTIVITIES = {
    'rank': 'rank',
    'structure': 'structure',
    'formula': 'formula',
    'activation_energy_eV': 'Ea (eV)',
    'conductivity_mS_cm': 'σ (mS/cm)',
    'reason': 'reason',
}
#: Structures that are named in the picture.
NAMED = 12


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the best structures, and the number of those without a scan.

    :param process: a `dpasse.screen`.
    """
    found = output_dict(process, 'ranking')
    best = [
        f'{row["rank"]}. {row["structure"]} ({row["formula"]}): Xi = {text(row["xi"])}, 3D {level_text(row)}'
        for row in found.get('rows', [])[:3]
    ]
    failed = len(found.get('failed', []))
    return [*best, *([f'{failed} structures have no scan'] if failed else [])]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the ranking, the conductivities, and the structures that failed.

    :param process: a `dpasse.screen`.
    """
    found = output_dict(process, 'ranking')
    failed = {'structure': 'structure', 'formula': 'formula', 'reason': 'reason'}
    return [
        Table.of('Ranking', RANKING, found.get('rows', [])),
        Table.of('Conductivities', CONDUCTIVITIES, output_dict(process, 'conductivities').get('rows', [])),
        Table.of('Not scanned', failed, found.get('failed', [])),
    ]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the free volumes of all structures.

    :param process: a `dpasse.screen`.
    :param directory: folder of the picture.
    """
    path = directory / 'ranking.png'
    plot_ranking(path, output_dict(process, 'ranking').get('rows', []))
    return [path]


def plot_ranking(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the connected against the whole free volume, over the values of Xi.

    :param path: path of the picture.
    :param rows: of the ranking.
    """
    with picture(path, width=6.8, height=5.0) as figure:
        axes = figure.subplots()
        axes.set(
            xlabel=r'FV$_\mathrm{disc}$ (0.5 eV)', ylabel=r'FV$_\mathrm{conn}$ (0.5 eV)', xscale='log', yscale='log'
        )
        known = [row for row in rows if row['fv_conn'] > 0]
        if not known:
            note(axes, 'no structure has a free volume')
            return
        x, y = (np.array([row[name] for row in known]) for name in ('fv_disc', 'fv_conn'))
        limits = (min(y.min() / 2, 1e-3), max(2 * x.max(), 0.2))
        ends = np.geomspace(*limits, 120)
        values = np.array([[ranking_descriptor(conn, disc) for disc in ends] for conn in ends])
        drawn = axes.pcolormesh(ends, ends, values, cmap='viridis', vmin=0, vmax=1, shading='gouraud', rasterized=True)
        axes.plot(x, y, 'o', mfc='white', mec='black', ms=5)
        for number, row in enumerate(known[:NAMED]):
            # On both sides in turn, since free volumes of neighbours in the ranking are close.
            right = number % 2 == 0
            axes.annotate(
                quoting.plot(row['formula']),
                (row['fv_disc'], row['fv_conn']),
                xytext=(6, -8) if right else (-6, 4),
                ha='left' if right else 'right',
                textcoords='offset points',
                fontsize=8,
                color='white',
            )
        axes.set(xlim=limits, ylim=limits)
        axes.grid(False)
        figure.colorbar(drawn, ax=axes, label=r'$\Xi$')
