"""Mean square displacement against time for each temperature, with its error and that of a reference structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.reports.style import GREY, INK, note, picture, plain_ticks, temperature_colours


@dataclass(frozen=True)
class Curve:
    """Mean square displacement (MSD) of one run.

    :param temperature: temperature in K.
    :param lag: lag times in ps, (n,).
    :param msd: MSD in A^2, (n,).
    :param error: standard deviation of the MSD in A^2, (n,).
    :param window: range of the fit in ps.
    :param line: fitted line, its offset in A^2 and its slope in A^2/ps.
    """

    temperature: float
    lag: NDArray[np.float64]
    msd: NDArray[np.float64]
    error: NDArray[np.float64] | None = None
    window: tuple[float, float] | None = None
    line: tuple[float, float] | None = None


def plot_msd(
    path: Path, curves: list[Curve], reference: list[Curve] | None = None, reference_name: str = 'ordered'
) -> None:
    """Draw the curves on linear and on logarithmic axes, the latter with the slope of diffusive motion.

    :param path: path of the picture.
    :param curves: curves of the structure whose conductivity is reported, drawn solid.
    :param reference: curves of the reference structure, drawn dashed.
    :param reference_name: name of the reference structure in the legend.
    """
    reference = reference or []
    colours = temperature_colours([curve.temperature for curve in (*curves, *reference)])
    with picture(path, width=9.2, height=4.2) as figure:
        linear, logarithmic = figure.subplots(1, 2, width_ratios=(1.15, 1))
        logarithmic.set(xscale='log', yscale='log')
        for axes in (linear, logarithmic):
            for curve in curves:
                _draw(axes, curve, colours[curve.temperature], '-', f'{curve.temperature:.0f} K')
            for curve in reference:
                _draw(
                    axes,
                    curve,
                    colours[curve.temperature],
                    '--',
                    f'{curve.temperature:.0f} K, {quoting.plot(reference_name)}',
                )
            axes.set_xlabel('lag time  (ps)')
        linear.set_ylabel('MSD of the mobile ion  (Å$^2$)')
        logarithmic.set_ylabel('MSD  (Å$^2$)')
        if not curves and not reference:
            note(linear, 'no displacement was computed')
            return
        linear.set_xlim(left=0)
        linear.set_ylim(bottom=0)
        linear.legend(loc='upper left')
        _slope_guide(logarithmic, [*curves, *reference])
        plain_ticks(logarithmic.xaxis, logarithmic.yaxis)


def _draw(axes: Axes, curve: Curve, colour: Any, dashes: str, label: str) -> None:
    positive = (curve.lag > 0) & (curve.msd > 0)
    lag, msd = curve.lag[positive], curve.msd[positive]
    axes.plot(lag, msd, dashes, color=colour, label=label)
    if curve.error is not None:
        error = curve.error[positive]
        axes.fill_between(lag, np.maximum(msd - error, 0.1 * msd), msd + error, color=colour, alpha=0.18, lw=0)
    if curve.window is not None:
        inside = (lag >= curve.window[0]) & (lag <= curve.window[1])
        if inside.any():  # the ends of the fitted window
            ends = [np.flatnonzero(inside)[0], np.flatnonzero(inside)[-1]]
            axes.plot(lag[ends], msd[ends], '|', color=colour, ms=11, mew=2)
            if curve.line is not None:
                fitted = curve.line[0] + curve.line[1] * lag[inside]
                axes.plot(
                    lag[inside], fitted, ':', color=INK, lw=1.4, label='fit' if axes.get_xscale() == 'linear' else ''
                )


def _slope_guide(axes: Axes, curves: list[Curve]) -> None:
    """Draw a line proportional to time above the curves, over the last decade."""
    longest = max(curve.lag.max() for curve in curves)
    lag = np.array([longest / 12, longest / 1.6])
    highest = max(np.interp(lag[0], curve.lag, curve.msd) / lag[0] for curve in curves)
    guide = 1.4 * highest * lag
    axes.plot(lag, guide, color=GREY, lw=1.2, ls=(0, (1, 1.5)))
    middle = np.sqrt(lag.prod())
    axes.annotate(
        r'$\propto t$',
        (middle, 1.4 * highest * middle),
        xytext=(-6, 6),
        textcoords='offset points',
        color=INK,
        ha='right',
        fontsize=10,
    )
