"""Report of active learning: the classification of the sampled frames, trust levels and errors by iteration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.label import label_report
from aiida_dpasse.label.passport import quality_of
from aiida_dpasse.reports.broken import drawn, lines_of, tables_of
from aiida_dpasse.reports.graph import call_tree, output_dict
from aiida_dpasse.reports.read import latest_iterations
from aiida_dpasse.reports.style import BLUE, GREEN, GREY, ORANGE, RED, picture
from aiida_dpasse.reports.tables import Table, iterations_table
from aiida_dpasse.train import train_report

CLASSES = {'accurate': GREEN, 'candidate': ORANGE, 'failed': RED}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the number of iterations, the verdict, the labels and what they are worth.

    :param process: a `dpasse.active_learning`.
    """
    table = output_dict(process, 'iterations')
    if not table:
        return []
    count = len(table['iterations'])
    state = 'converged' if table['converged'] else 'not converged'
    found = [f'{count} iteration{"s" if count != 1 else ""}, {state}']
    return [*found, *lines_of(process, lambda: label_report.lines(process), lambda: [quality_of(process)])]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the iterations, the accounts, and the reasons for frames without labels.

    :param process: a `dpasse.active_learning`.
    """
    return tables_of(
        process,
        lambda: [iterations_table(latest_iterations(call_tree(process.pk)))],
        lambda: label_report.tables(process),
    )


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the iterations, the learning curves and the labelled frames.

    :param process: a `dpasse.active_learning`.
    :param directory: folder of the pictures.
    """
    path = directory / 'iterations.png'
    drawn(path, plot_iterations, latest_iterations(call_tree(process.pk)).get('iterations', []))
    return [path, *train_report.plots(process, directory), *label_report.plots(process, directory)]


def plot_iterations(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the classification of the sampled frames, the trust levels, and the error on held-out frames by iteration.

    :param path: path of the picture.
    :param rows: rows of the iteration table of `dpasse.active_learning`.
    """
    with picture(path, width=10.2, height=3.6) as figure:
        judged, trust, errors = figure.subplots(1, 3)
        _draw_judgement(judged, [row for row in rows if row.get('sampled')])
        levels = [row for row in rows if row.get('trust_low') is not None]
        numbers = [row['iteration'] for row in levels]
        low = np.array([row['trust_low'] for row in levels])
        high = np.array([row['trust_high'] for row in levels])
        trust.fill_between(numbers, low, high, color=ORANGE, alpha=0.25, lw=0, label='candidates')
        trust.plot(numbers, low, 'o-', color=GREEN, label='trust low')
        trust.plot(numbers, high, 'o-', color=RED, label='trust high')
        trust.set(ylabel='deviation of forces  (eV Å$^{-1}$)', ylim=(0, None))
        if levels:
            trust.legend(loc='best')
        known = [row for row in rows if row.get('force_mae_meV_A') is not None]
        errors.plot([row['iteration'] for row in known], [row['force_mae_meV_A'] for row in known], 'o-', color=BLUE)
        errors.set(ylabel='MAE of forces, held out  (meV Å$^{-1}$)', ylim=(0, None))
        for axes in (judged, trust, errors):
            axes.set(xlabel='iteration', xticks=[row['iteration'] for row in rows])
            axes.grid(visible=False, axis='x')


def _draw_judgement(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    numbers = [row['iteration'] for row in rows]
    bottom = np.zeros(len(rows))
    for name, colour in CLASSES.items():
        share = np.array([100 * row[name] / row['sampled'] for row in rows])
        axes.bar(numbers, share, bottom=bottom, color=colour, width=0.6, label=name)
        bottom += share
    axes.set(ylabel='sampled frames  (%)', ylim=(0, 100))
    for row in rows:
        axes.text(
            row['iteration'],
            101,
            quoting.plot(f'of {row["sampled"]}'),
            ha='center',
            va='bottom',
            fontsize=8,
            color=GREY,
        )
    axes.legend(
        loc='lower center', bbox_to_anchor=(0.45, 1.05), ncols=3, fontsize=8, handlelength=1.2, columnspacing=1.0
    )
