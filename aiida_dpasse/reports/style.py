"""One look for all pictures: colours that the colour-blind tell apart, readable sizes, no ornament."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

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


def palette(count: int) -> list[str]:
    """Return a colour for each of ``count`` lines, from the start again where the colours are used up."""
    return [PALETTE[index % len(PALETTE)] for index in range(count)]


def note(axes: Axes, text: str, x: float = 0.5, y: float = 0.5) -> None:
    """Write ``text`` in the middle of axes that have nothing else to show."""
    axes.text(x, y, text, transform=axes.transAxes, ha='center', va='center', color=GREY, wrap=True)


#: Numbers as people write them, also along logarithmic axes.
PLAIN = FuncFormatter(lambda value, _: f'{value:g}')


def plain_ticks(*axes: Axis) -> None:
    """Write plain numbers along logarithmic axes that are drawn: powers of ten, within two decades twice and five times
    them too, within half a one round numbers, evenly spaced."""
    for axis in axes:
        low, high = axis.get_view_interval()
        if high < 4 * low:
            axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        else:
            axis.set_major_locator(LogLocator(subs=[1.0, 2.0, 5.0] if high < 100 * low else [1.0]))
        axis.set_major_formatter(PLAIN)
        axis.set_minor_formatter(NullFormatter())


def frames_axis(axes: Axes, sizes: Sequence[int], label: str) -> None:
    """Make the horizontal axis a logarithmic one of the numbers of frames ``sizes``, each of which is written."""
    axes.set(xscale='log', xlabel=label)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
