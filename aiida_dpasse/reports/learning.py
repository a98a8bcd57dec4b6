"""Learning curves of trainings, and errors on held-out frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.reports.style import BLUE, GREEN, GREY, ORANGE, PURPLE, note, picture


@dataclass(frozen=True)
class Training:
    """Learning curve of one training.

    :param name: name of the training.
    :param step: steps, (n,).
    :param training: RMSE of the forces on training frames in meV/A, (n,).
    :param validation: the same on validation frames, if there are any.
    """

    name: str
    step: NDArray[np.float64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Errors:
    """Mean absolute errors on held-out frames: ``energy`` in meV/atom, ``force`` in meV/A."""

    name: str
    energy: float
    force: float


#: Colour of a potential in curves and bars, by a part of its name.
COLOURS = {'student': GREEN, 'fine-tun': PURPLE, 'zero-shot': GREY, 'teacher': ORANGE, 'pre-train': ORANGE}


def plot_learning(path: Path, panels: dict[str, list[Training]], errors: list[Errors]) -> None:
    """Draw one panel of learning curves per phase and, below, bars of the errors.

    :param path: path of the picture.
    :param panels: trainings by the title of their panel; empty panels are left out.
    :param errors: errors on held-out frames.
    """
    panels = {title: curves for title, curves in panels.items() if curves}
    with picture(path, width=max(2.9 * len(panels), 6.4), height=6.0 if errors and panels else 3.4) as figure:
        if panels and errors:
            upper, lower = figure.subfigures(2, 1, height_ratios=(1.15, 1), hspace=0.06)
        else:
            upper = lower = figure
        if panels:
            axes = upper.subplots(1, len(panels), sharey=True, squeeze=False)[0]
            for index, (title, curves) in enumerate(panels.items()):
                _draw_curves(axes[index], title, curves, _colour(title))
            axes[0].set_ylabel('RMSE of forces  (meV Å$^{-1}$)')
            _legend(axes, list(panels.values()))
        if errors:
            left, right = lower.subplots(1, 2)
            _draw_bars(left, errors, [error.energy for error in errors], 'MAE of energy  (meV atom$^{-1}$)')
            _draw_bars(right, errors, [error.force for error in errors], 'MAE of forces  (meV Å$^{-1}$)')
        if not panels and not errors:
            note(figure.subplots(), 'nothing was trained')


def _draw_curves(axes: Axes, title: str, curves: list[Training], colour: str) -> None:
    axes.set_yscale('log')
    for index, curve in enumerate(curves):
        alpha = 1.0 if len(curves) == 1 else 0.45 + 0.55 * (index + 1) / len(curves)
        axes.plot(curve.step, curve.training, color=colour, lw=0.9, alpha=0.35 * alpha)
        axes.plot(curve.step, _smooth(curve.training), color=colour, alpha=alpha, lw=1.7)
        if curve.validation is not None:
            axes.plot(curve.step, _smooth(curve.validation), color=colour, alpha=alpha, lw=1.5, ls=(0, (3, 1.5)))
    count = f'  ({len(curves)} trainings)' if len(curves) > 1 else ''
    axes.set_title(f'{quoting.plot(title)}{count}', fontsize=10)
    axes.set_xlabel('step')
    axes.set_xlim(left=0)
    axes.locator_params(axis='x', nbins=4)


def _colour(name: str) -> str:
    return next((colour for key, colour in COLOURS.items() if key in name.lower()), BLUE)


def _legend(panels: Sequence[Axes], curves: Sequence[list[Training]]) -> None:
    """Add one legend of the line styles, in the last panel with both."""
    watched = [axes for axes, group in zip(panels, curves, strict=True) if any(c.validation is not None for c in group)]
    if watched:
        watched[-1].plot([], [], color=GREY, label='training')
        watched[-1].plot([], [], color=GREY, ls=(0, (3, 1.5)), label='validation')
        watched[-1].legend(loc='upper right', handlelength=1.8)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the logarithm over neighbouring points: the scatter of single batches is far larger than the trend."""
    width = max(len(values) // 15, 1)
    logarithm = np.log(np.maximum(values, 1e-12))
    padded = np.pad(logarithm, (width, width), mode='edge')
    return np.exp(np.convolve(padded, np.full(2 * width + 1, 1 / (2 * width + 1)), mode='valid'))


def _draw_bars(axes: Axes, errors: list[Errors], values: list[float], label: str) -> None:
    positions = np.arange(len(errors))[::-1]
    axes.barh(positions, values, color=[_colour(error.name) for error in errors], height=0.62)
    axes.set_yticks(positions, [quoting.plot(error.name) for error in errors])
    axes.set_xlabel(label)
    axes.grid(visible=False, axis='y')
    axes.set_xlim(0, 1.22 * max([*values, 1e-9]))
    for position, value in zip(positions, values, strict=True):
        end = (value, position)
        axes.annotate(f'{value:.3g}', end, xytext=(4, 0), textcoords='offset points', va='center', fontsize=9)
