"""Picture of a landscape: the surface of its level map, and how the free volume grows with the level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.landscape.descriptors import THRESHOLD
from aiida_dpasse.landscape.isosurface import triangles
from aiida_dpasse.reports.style import BLUE, GREY, INK, ORANGE, PALETTE, note, picture

Array = NDArray[np.float64]

#: Colour of the surface, that of the paper.
SURFACE = '#c23b22'
#: Direction of the light, somewhat above that of the view.
LIGHT = np.array([0.2, -0.75, 0.63])
#: Most triangles that are drawn: more take minutes.
MOST_TRIANGLES = 300_000


@dataclass(frozen=True)
class Landscape:
    """The landscape of a scan, with the crystal.

    :param level: level map in eV, (n_1, n_2, n_3).
    :param energy: energy above the lowest in eV, (n_1, n_2, n_3).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param origin: fractional position of the first voxel.
    :param symbols: (n,), elements.
    :param positions: (n, 3) A.
    :param results: of the scan.
    """

    level: Array
    energy: Array
    cell: Array
    origin: Array
    symbols: Sequence[str]
    positions: Array
    results: Mapping[str, Any]


def plot_landscape(path: Path, found: Landscape) -> None:
    """Draw the surface of the level map at the threshold of Xi, and the free volumes against the level.

    :param path: path of the picture.
    :param found: the landscape.
    """
    with picture(path, width=11.0, height=5.0) as figure:
        left: Any = figure.add_subplot(1, 2, 1, projection='3d')
        right = figure.add_subplot(1, 2, 2)
        _draw_surface(left, found)
        _draw_volumes(right, found)
        title = f'Level map of {found.results["ion"]} at {THRESHOLD:g} eV'
        figure.suptitle(quoting.plot(title), x=0.02, ha='left', fontsize=11)


def _draw_surface(axes: Any, found: Landscape) -> None:
    level, cell, origin = found.level, found.cell, found.origin
    corners = triangles(level, THRESHOLD)
    if len(corners) > MOST_TRIANGLES:
        corners = triangles(level[::2, ::2, ::2], THRESHOLD)
    corners = (corners + origin) @ cell
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    # The direction of a normal follows from the order of the corners, which has no meaning: both sides are lit.
    shade = 0.5 + 0.5 * np.abs(normals @ LIGHT) / np.where(lengths > 0, lengths, 1)
    red = np.array([int(SURFACE[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    colours = np.concatenate([shade[:, None] * red, np.ones((len(shade), 1))], axis=1)
    axes.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.2))
    for first, second in product(product((0, 1), repeat=3), repeat=2):
        if sum(abs(a - b) for a, b in zip(first, second, strict=True)) == 1 and first < second:
            axes.plot(*((np.array([first, second]) + origin) @ cell).T, color=INK, lw=0.7)
    fractional = (found.positions @ np.linalg.inv(cell) - origin) % 1.0 + origin
    for index, symbol in enumerate(sorted(set(found.symbols) - {found.results['ion']})):
        chosen = fractional[np.array([each == symbol for each in found.symbols])] @ cell
        axes.scatter(*chosen.T, s=26, color=[BLUE, ORANGE, *PALETTE[2:]][index % 6], label=quoting.plot(symbol))
    ends = (np.array(list(product((0, 1), repeat=3))) + origin) @ cell
    low, high = ends.min(axis=0), ends.max(axis=0)
    for name, start, end in zip('xyz', low, high, strict=True):
        getattr(axes, f'set_{name}lim')(start, end)
    axes.set_box_aspect(high - low)
    axes.view_init(elev=18, azim=-62)
    axes.set_axis_off()
    axes.legend(loc='upper left')


def _draw_volumes(axes: Axes, found: Landscape) -> None:
    results = found.results
    highest = results['highest_level_eV'] or 2.0
    steps = np.linspace(0, highest, 200)
    for values, colour, label in (
        (found.energy, GREY, 'FV$_\\mathrm{disc}$: below the energy'),
        (found.level, SURFACE, 'FV$_\\mathrm{conn}$: reached below it'),
    ):
        finite = np.sort(values[np.isfinite(values)])
        fractions = np.searchsorted(finite, steps) / values.size
        axes.plot(steps[fractions > 0], fractions[fractions > 0], color=colour, label=label)
    drawn = []
    for rank, style in ((1, ':'), (2, '--'), (3, '-')):
        value = results[f'percolation_{rank}d_eV']
        if value is not None:
            axes.axvline(value, color=BLUE, lw=1.0, ls=style, label=f'percolation in {rank:d}D, {value:.2f} eV')
            drawn.append(value)
    if not drawn:
        note(axes, f'no percolation below {highest:g} eV', y=0.06)
    axes.set(yscale='log', xlabel='energy above the lowest  (eV)', ylabel='fraction of the cell', xlim=(0, highest))
    axes.legend(loc='lower right')
