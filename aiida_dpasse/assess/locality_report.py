"""Report of a locality test: the spread of the force against 2 R_cut (perspective paper, figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from matplotlib.axes import Axes

from aiida_dpasse.reports.accounting import batches
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import BLUE, GREEN, GREY, ORANGE, note, picture
from aiida_dpasse.reports.tables import Table, accounts_table, refused_table

#: Spreads below this, in meV/A, are numerical noise and would dominate a logarithmic axis.
ROUNDING = 1e-6
SPREAD = 'force on the centre'


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the verdict on the cutoff.

    :param process: a `dpasse.locality`.
    """
    found = output_dict(process, 'locality')
    return [found['verdict']] if found else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return one row for each distance and one for each run, and the account of the labels.

    :param process: a `dpasse.locality`.
    """
    found = output_dict(process, 'locality')
    names = {
        'distance_A': '2 R_cut (Å)',
        'force_spread_meV_A': 'force spread (meV/Å)',
        'force_spread_error_meV_A': '+-',
        'frames': 'frames',
        'independent_frames': 'independent',
        'centres': 'centres',
        'held_atoms': 'held',
        'mobile_atoms': 'mobile',
    }
    single = {'run': 'run', 'distance_A': '2 R_cut (Å)', 'element': 'centre', 'centre': 'site'}
    single |= {'force_spread_meV_A': 'force spread (meV/Å)', 'requested': 'requested', 'labelled': 'labelled'}
    lists = {'rejected': 'rejected', 'failed': 'failed'}
    runs = [
        (*(run.get(name) for name in single), *(len(run[name]) for name in lists), run['not_sampled'])
        for run in found.get('runs', [])
    ]
    columns = (*single.values(), *lists.values(), 'not sampled')
    return [
        Table.of('Spread of the force on a centre whose surroundings are held', names, found.get('rows', [])),
        Table('Runs', columns, runs),
        accounts_table(batches(process)),
        refused_table(output_dict(process, 'account')),
    ]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the spread against the distance.

    :param process: a `dpasse.locality`.
    :param directory: folder of the picture.
    """
    found = output_dict(process, 'locality')
    path = directory / 'locality.png'
    plot_locality(
        path, found.get('rows', []), found.get('runs', []), found.get('force_tolerance_meV_A'), found.get('r_cut_A')
    )
    return [path]


def plot_locality(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    tolerance: float | None,
    radius: float | None,
) -> None:
    """Draw the spread of the force, the force tolerance, and the smallest sufficient cutoff.

    :param path: path of the picture.
    :param rows: with ``distance_A``, ``force_spread_meV_A`` and its error; those without a spread are left out.
    :param runs: the same for each centre, drawn in grey if there are several.
    :param tolerance: force tolerance in meV/A.
    :param radius: the cutoff in A, which is circled.
    """
    known = [row for row in rows if row['force_spread_meV_A'] is not None]
    with picture(path, width=6.4, height=4.2) as figure:
        axes = figure.subplots()
        axes.set(xlabel=r'$2 R_\mathrm{cut}$  (Å)', ylabel='spread of the force  (meV Å$^{-1}$)')
        if not known:
            note(axes, 'no spread was determined')
            return
        if len(runs) > len(rows):
            single = [run for run in runs if run['force_spread_meV_A'] is not None]
            axes.plot(*_points(single), 'o', color=GREY, ms=4, alpha=0.6, label='one centre')
        errors = [row['force_spread_error_meV_A'] for row in known]
        axes.errorbar(*_points(known), yerr=errors, fmt='o-', color=BLUE, label=SPREAD, zorder=3)
        if tolerance is not None:
            axes.axhline(
                tolerance, color=ORANGE, ls=(0, (4, 2)), label=f'force tolerance, {tolerance:g} meV Å$^{{-1}}$'
            )
        chosen = [row for row in known if radius is not None and row['distance_A'] == 2 * radius]
        if chosen:
            label = rf'$R_\mathrm{{cut}}$ = {radius:g} Å can be sufficient'
            axes.plot(*_points(chosen), 'o', ms=13, mfc='none', mec=GREEN, mew=1.6, label=label, zorder=4)
        _scale(axes, [row['force_spread_meV_A'] for row in known], tolerance)
        handles, labels = axes.get_legend_handles_labels()
        # Matplotlib lists error bars last, but they are the main data.
        order = sorted(range(len(labels)), key=lambda index: labels[index] != SPREAD)
        axes.legend([handles[index] for index in order], [labels[index] for index in order], loc='best')


def _points(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    return [row['distance_A'] for row in rows], [row['force_spread_meV_A'] for row in rows]


def _scale(axes: Axes, spreads: Sequence[float], tolerance: float | None) -> None:
    """Use a logarithmic axis if spreads differ by more than a factor of ten and none is numerical noise."""
    seen = [*spreads, *([tolerance] if tolerance is not None else [])]
    if min(spreads) > ROUNDING and max(spreads) > 10 * min(spreads):
        axes.set_yscale('log')
        axes.set_ylim(0.4 * min(seen), 2.5 * max(seen))
    else:
        # A spread of zero lies on the axis; its marker should be fully visible.
        axes.set_ylim(-0.03 * max(seen), None)
