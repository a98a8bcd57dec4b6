"""Common style of all plots: colours that are distinguishable for colour-blind readers, legible sizes, no ornament."""

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
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from aiida_dpasse import quoting

#: Palette of Okabe and Ito without its yellow, which is too pale for lines on white.
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
    """Provide a figure in the common style and save it.

    The figure is independent of any window system, and the style does not persist beyond the block.

    :param path: path of the picture; its folder is created if necessary.
    :param width: width in inches.
    :param height: height in inches.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout='constrained')
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        for text in figure.findobj(Text):
            if (shown := quoting.lines(text.get_text())) != text.get_text():
                text.set_text(shown)
        # The version of matplotlib and the date in the metadata would make identical pictures differ.
        key = {'.png': 'Software', '.svg': 'Date', '.pdf': 'CreationDate'}.get(path.suffix.lower())
        try:
            figure.savefig(path, metadata={key: None} if key else None)
        except ValueError:
            # A formula that cannot be read, which no text of others should be: rather none than no picture.
            for text in figure.findobj(Text):
                text.set_parse_math(False)
            figure.savefig(path, metadata={key: None} if key else None)


def temperature_colours(temperatures: list[float]) -> dict[float, Any]:
    """Return a colour for each temperature in K, from dark blue (cold) to orange (hot), distinguishable in greyscale.

    :param temperatures: temperatures in K; duplicates are allowed.
    """
    ordered = sorted(set(temperatures))
    span = max(len(ordered) - 1, 1)
    return {value: mpl.colormaps['plasma'](0.05 + 0.72 * index / span) for index, value in enumerate(ordered)}


def palette(count: int) -> list[str]:
    """Return a colour for each of ``count`` lines; the colours repeat if there are more lines than colours."""
    return [PALETTE[index % len(PALETTE)] for index in range(count)]


def note(axes: Axes, text: str, x: float = 0.5, y: float = 0.5) -> None:
    """Write ``text`` in the centre of otherwise empty axes."""
    axes.text(x, y, text, transform=axes.transAxes, ha='center', va='center', color=GREY, wrap=True)


#: Plain numbers, also along logarithmic axes.
PLAIN = FuncFormatter(lambda value, _: f'{value:g}')


def plain_ticks(*axes: Axis) -> None:
    """Label logarithmic axes with plain numbers; call it after drawing.

    The ticks are at powers of ten, for less than two decades also at two and five times these, and for less than a
    factor of four at evenly spaced round numbers.

    :param axes: the axes.
    """
    for axis in axes:
        low, high = axis.get_view_interval()
        if high < 4 * low:
            axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        else:
            axis.set_major_locator(LogLocator(subs=[1.0, 2.0, 5.0] if high < 100 * low else [1.0]))
        axis.set_major_formatter(PLAIN)
        axis.set_minor_formatter(NullFormatter())


def frames_axis(axes: Axes, sizes: Sequence[int], label: str) -> None:
    """Make the horizontal axis a logarithmic axis of frame numbers.

    :param axes: the axes.
    :param sizes: numbers of frames, each of which gets a tick.
    :param label: label of the axis.
    """
    axes.set(xscale='log', xlabel=label)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
