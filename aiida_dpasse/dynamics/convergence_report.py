"""Report of a convergence study: mean and spread of the diffusion coefficient by cell size and run length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import GREEN, note, palette, picture
from aiida_dpasse.reports.tables import Table


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the recommended size and length, or the reason why no size is recommended.

    :param process: a `dpasse.convergence`.
    """
    found = output_dict(process, 'convergence')
    return [found['reason']] if found.get('reason') else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return one row for each size and length, with the recommendation as title.

    :param process: a `dpasse.convergence`.
    """
    found = output_dict(process, 'convergence')
    names = {
        'ions': 'ions',
        'duration_ps': 'length (ps)',
        'runs': 'runs',
        'diffusive': 'diffusive',
        'diffusivity_cm2_s': 'D (cm2/s)',
        'spread_cm2_s': 'spread of a run',
        'error_cm2_s': 'error of the mean',
    }
    return [Table.of(f'Convergence. {found.get("reason", "")}'.strip(), names, found.get('points', []))]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the diffusion coefficient against the run length, one line for each size.

    :param process: a `dpasse.convergence`.
    :param directory: folder of the picture.
    """
    found = output_dict(process, 'convergence')
    path = directory / 'convergence.png'
    plot_convergence(path, found.get('points', []), found.get('recommended'))
    return [path]


def plot_convergence(path: Path, points: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any] | None) -> None:
    """Draw mean and spread of the diffusion coefficient D.

    :param path: path of the picture.
    :param points: rows with ``ions``, ``duration_ps``, ``diffusivity_cm2_s`` and ``spread_cm2_s``; those without D are
        left out.
    :param chosen: the recommended row, which is circled.
    """
    known = [point for point in points if point['diffusivity_cm2_s'] is not None]
    with picture(path, width=6.4, height=4.2) as figure:
        axes = figure.subplots()
        sizes = sorted({point['ions'] for point in known})
        for index, (ions, colour) in enumerate(zip(sizes, palette(len(sizes)), strict=True)):
            rows = sorted((point for point in known if point['ions'] == ions), key=lambda point: point['duration_ps'])
            # Shifted horizontally, so that the error bars of several sizes do not overlap.
            shift = 1 + 0.03 * (index - 0.5 * (len(sizes) - 1))
            axes.errorbar(
                [shift * row['duration_ps'] for row in rows],
                [row['diffusivity_cm2_s'] for row in rows],
                yerr=[row['spread_cm2_s'] or 0.0 for row in rows],
                fmt='o-',
                color=colour,
                label=f'{quoting.plot(ions)} ions',
            )
        if chosen is not None:
            place = (chosen['duration_ps'], chosen['diffusivity_cm2_s'])
            axes.plot(*place, 'o', ms=16, mfc='none', mec=GREEN, mew=1.6, label='sufficient')
        if not known:
            note(axes, 'no diffusion coefficient was determined')
            return
        axes.set(xscale='log', xlabel='length of the run  (ps)', ylabel='$D$  (cm$^2$ s$^{-1}$)', ylim=(0, None))
        axes.legend(loc='best')
