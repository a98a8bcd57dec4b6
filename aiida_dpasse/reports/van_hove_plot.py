"""Plot of van Hove maps: self and distinct correlations against distance and time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, TwoSlopeNorm
from numpy.typing import NDArray

from aiida_dpasse.reports.style import PLAIN, note, picture, plain_ticks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VanHove:
    """Van Hove maps at one temperature.

    :param temperature: temperature in K.
    :param lag: lag times in ps, (m,).
    :param own_r: distances of the self part in A, (k,).
    :param own: self part in 1/A, (m, k).
    :param distinct_r: distances of the distinct part in A, (l,).
    :param distinct: distinct part, (m, l).
    """

    temperature: float | None
    lag: Array
    own_r: Array
    own: Array
    distinct_r: Array | None = None
    distinct: Array | None = None


def plot_van_hove(path: Path, maps: list[VanHove]) -> None:
    """Draw 4 pi r^2 G_s above and G_d below, one column per temperature, against distance and logarithmic time.

    :param path: path of the picture.
    :param maps: maps by temperature.
    """
    count = max(len(maps), 1)
    with picture(path, width=1.6 + 2.7 * count, height=5.6) as figure:
        panels = figure.subplots(2, count, squeeze=False, sharex=True, sharey=True)
        if not maps:
            note(panels[0, 0], 'no map was computed')
            return
        # The peak of vibrations at short times would dominate the colour scale.
        highest = max(float(np.quantile(each.own, 0.995)) for each in maps)
        dense = [float(np.quantile(each.distinct, 0.995)) for each in maps if each.distinct is not None]
        for column, each in enumerate(maps):
            upper, lower = panels[:, column]
            above = draw_map(upper, each.own_r, each.lag, each.own, 'viridis', PowerNorm(0.5, 0, highest))
            if each.temperature is not None:
                upper.set_title(f'{each.temperature:.0f} K')
            if each.distinct is not None and each.distinct_r is not None:
                norm = TwoSlopeNorm(1.0, 0.0, max(*dense, 1.5))
                below = draw_map(lower, each.distinct_r, each.lag, each.distinct, 'RdBu_r', norm)
            else:
                note(lower, 'the cell is too small')
            upper.set_xlim(0, each.own_r.max())
            lower.set_xlabel('$r$  (Å)')
        for axes in panels[:, 0]:
            axes.set_ylabel('$t$  (ps)')
        figure.colorbar(above, ax=list(panels[0]), label=r'$4\pi r^2 G_\mathrm{s}$  (Å$^{-1}$)', pad=0.01)
        if dense:
            bar = figure.colorbar(below, ax=list(panels[1]), label=r'$G_\mathrm{d}$', pad=0.01)
            bar.set_ticks([tick for tick in (0, 0.5, 1, 2, 4, 6, 8, 12) if tick <= below.norm.vmax])
            bar.ax.yaxis.set_major_formatter(PLAIN)


def draw_map(axes: Axes, places: Array, lags: Array, values: Array, colours: str, norm: Any) -> Any:
    """Draw values (m, k) against distances (k,) in A and logarithmic lag times (m,) in ps."""
    axes.set(yscale='log', ylim=(lags.min(), lags.max()))
    axes.grid(False)
    plain_ticks(axes.yaxis)
    # The first bin extends to zero.
    places = np.append(0.0, places)
    values = np.hstack([values[:, :1], values])
    return axes.pcolormesh(
        places, lags, values, cmap=colours, norm=norm, shading='gouraud' if len(lags) > 1 else 'auto', rasterized=True
    )
