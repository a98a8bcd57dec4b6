"""Plots of single steps: frames and their labels, iterations of active learning, and molecular dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.reports.style import BLUE, GREEN, GREY, INK, ORANGE, RED, note, palette, picture

CLASSES = {'accurate': GREEN, 'candidate': ORANGE, 'failed': RED}


def plot_frames(path: Path, sets: Sequence[FrameSet], names: Mapping[str, str] | None = None) -> None:
    """Draw the distributions of energies and forces of labelled frames, by formula.

    :param path: path of the picture.
    :param sets: frames; those without labels are left out.
    :param names: displayed name of each formula.
    """
    groups: dict[str, list[FrameSet]] = {}
    for item in sets:
        groups.setdefault((names or {}).get(item.formula, item.formula), []).append(item)
    labelled = {name: [s for s in members if s.labelled] for name, members in groups.items()}
    labelled = {name: members for name, members in labelled.items() if members}
    with picture(path, width=8.6, height=3.8) as figure:
        left, right = figure.subplots(1, 2)
        for (name, members), colour in zip(labelled.items(), palette(len(labelled)), strict=True):
            energies = np.concatenate([np.asarray(item.energies) / item.natoms for item in members])
            forces = np.concatenate([np.linalg.norm(np.asarray(item.forces), axis=-1).ravel() for item in members])
            label = f'{name}, {len(energies)} frames'
            style: dict[str, Any] = {'histtype': 'stepfilled', 'color': colour, 'alpha': 0.35, 'edgecolor': colour}
            left.hist(1e3 * (energies - energies.min()), bins=_bins(len(energies)), label=label, lw=1.4, **style)
            right.hist(forces, bins=_bins(len(forces)), label=label, lw=1.4, **style)
        left.set(xlabel='energy above the lowest frame  (meV atom$^{-1}$)', ylabel='frames')
        right.set(xlabel='force on an atom  (eV Å$^{-1}$)', ylabel='atoms', yscale='log')
        for axes in (left, right):
            axes.grid(visible=False, axis='x')
            if not labelled:
                note(axes, 'no labelled frames')
        if labelled:
            right.legend(loc='upper right')


def _bins(count: int) -> int:
    return int(np.clip(2 * np.cbrt(count), 8, 60))


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
        axes.text(row['iteration'], 101, f'of {row["sampled"]}', ha='center', va='bottom', fontsize=8, color=GREY)
    axes.legend(
        loc='lower center', bbox_to_anchor=(0.45, 1.05), ncols=3, fontsize=8, handlelength=1.2, columnspacing=1.0
    )


def plot_dynamics(
    path: Path,
    series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    x_label: str = 'time  (ps)',
) -> None:
    """Draw the time series of several quantities in panels above each other.

    :param path: path of the picture.
    :param series: values of x and y by the label of the y axis, units included.
    :param x_label: label of the x axis.
    """
    count = max(len(series), 1)
    with picture(path, width=6.6, height=1.4 + 1.5 * count) as figure:
        panels = np.atleast_1d(figure.subplots(count, 1, sharex=True))
        for axes, (label, (x, y)), colour in zip(panels, series.items(), palette(len(series)), strict=False):
            axes.plot(x, y, color=colour, lw=1.2)
            if len(y):
                axes.axhline(float(np.nanmean(y)), color=INK, lw=0.8, ls=(0, (4, 2)))
            axes.set_ylabel(label)
        if not series:
            note(panels[0], 'no output of the dynamics')
        panels[-1].set_xlabel(x_label)
        figure.align_ylabels()
