"""One look for all pictures: colours that the colour-blind tell apart, readable sizes, no ornament."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Okabe and Ito's palette, without its yellow, which is too pale for lines on white.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = '#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9'
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
INK, GREY, PALE = '#262626', '#7a7a7a', '#dedede'
DPI = 200

STYLE: dict[str, Any] = {
    'axes.axisbelow': True,
    'axes.edgecolor': INK,
    'axes.grid': True,
    'axes.labelcolor': INK,
    'axes.labelsize': 11,
    'axes.linewidth': 0.8,
    'axes.prop_cycle': mpl.cycler(color=PALETTE),
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlelocation': 'left',
    'axes.titlesize': 11,
    'axes.titleweight': 'bold',
    'errorbar.capsize': 3,
    'figure.constrained_layout.h_pad': 0.08,
    'figure.constrained_layout.w_pad': 0.08,
    'figure.facecolor': 'white',
    'font.family': 'DejaVu Sans',
    'font.size': 10,
    'grid.color': PALE,
    'grid.linewidth': 0.6,
    'legend.fontsize': 9,
    'legend.frameon': False,
    'legend.title_fontsize': 10,
    'lines.linewidth': 1.8,
    'mathtext.fontset': 'dejavusans',
    'savefig.dpi': DPI,
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
}


@contextmanager
def picture(path: Path, width: float = 6.4, height: float = 4.6) -> Iterator[Figure]:
    """Give a figure of ``width`` x ``height`` inches in our style and save it at ``path``.

    The figure belongs to no window system, and neither the style nor the figure outlives the block.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout='constrained')
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        # The version of the plotting library in the file would make equal pictures differ.
        figure.savefig(path, metadata={'Software': None})


def temperature_colours(temperatures: list[float]) -> dict[float, Any]:
    """Return a colour for each temperature in K: from dark blue, cold, to orange, hot, told apart also in grey."""
    ordered = sorted(set(temperatures))
    span = max(len(ordered) - 1, 1)
    return {value: mpl.colormaps['plasma'](0.05 + 0.72 * index / span) for index, value in enumerate(ordered)}


def note(axes: Axes, text: str, x: float = 0.5, y: float = 0.5) -> None:
    """Write ``text`` in the middle of axes that have nothing else to show."""
    axes.text(x, y, text, transform=axes.transAxes, ha='center', va='center', color=GREY, wrap=True)
