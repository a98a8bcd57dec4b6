"""Pictures of one trajectory: density of the ions, van Hove functions, radial distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, TwoSlopeNorm
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.reports.style import BLUE, GREY, INK, PALETTE, note, picture, plain_ticks
from aiida_dpasse.reports.van_hove_plot import draw_map

Array = NDArray[np.float64]

#: Columns of panels in a picture of radial distributions.
COLUMNS = 4


def plot_density(
    path: Path,
    density: Array,
    cell: Array,
    ion: str,
    symbols: Sequence[str],
    sites: Array,
    marks: tuple[Array, Array] | None = None,
) -> None:
    """Draw the density projected along each lattice vector onto the face of the other two.

    :param path: path of the picture.
    :param density: A^-3, (nx, ny, nz).
    :param cell: lattice vectors as rows, (3, 3) A.
    :param ion: name of the ions.
    :param symbols: (n,), elements of the framework.
    :param sites: fractional coordinates of its atoms, (n, 3).
    :param marks: fractional coordinates (m, 3) and occupancies (m,) of the ions' sites.
    """
    colours = {symbol: PALETTE[i % len(PALETTE)] for i, symbol in enumerate(sorted(set(symbols)))}
    projections = [_project(density, cell, axis) for axis in range(3)]
    highest = max(float(np.quantile(values[values > 0], 0.995)) for _, _, values in projections)
    with picture(path, width=12.0, height=4.6) as figure:
        panels = figure.subplots(1, 3)
        for axis, (axes, (x, y, values)) in enumerate(zip(panels, projections, strict=True)):
            drawn = axes.pcolormesh(
                x, y, values, cmap='Greys', norm=PowerNorm(0.5, 0, highest), shading='flat', rasterized=True
            )
            first, second = _others(axis)
            frame = _flat(np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]), cell, axis)
            axes.plot(*frame.T, color=INK, lw=0.8)
            for symbol, colour in colours.items():
                chosen = np.array([each == symbol for each in symbols])
                points = _flat(np.asarray(sites)[chosen][:, [first, second]], cell, axis)
                axes.plot(*points.T, 'o', ms=3.5, mfc='none', mec=colour, mew=1.2, label=quoting.plot(symbol))
            if marks is not None:
                points = _flat(marks[0][:, [first, second]], cell, axis)
                dots = axes.scatter(*points.T, c=marks[1], s=16, marker='s', cmap='plasma', vmin=0, vmax=1, lw=0)
            axes.set(aspect='equal', title=f'along {"abc"[axis]}', xlabel='(Å)')
            axes.grid(False)
        panels[0].set_ylabel('(Å)')
        if colours:
            figure.legend(
                *panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=len(colours), fontsize=10
            )
        if marks is not None:
            figure.colorbar(dots, ax=list(panels), label='occupancy of the site', pad=0.01, shrink=0.8)
        figure.colorbar(
            drawn, ax=list(panels), label=f'{quoting.plot(ion)} per area  (Å$^{{-2}}$)', pad=0.01, shrink=0.8
        )


def _others(axis: int) -> tuple[int, int]:
    first, second = (index for index in range(3) if index != axis)
    return first, second


def _flat(points: Array, cell: Array, axis: int) -> Array:
    """Return Cartesian coordinates (n, 2) in the face of the two other lattice vectors, the first of which is
    horizontal.
    """
    first, second = (cell[index] for index in _others(axis))
    length = np.linalg.norm(first)
    along = float(second @ first / length)
    across = float(np.sqrt(max(second @ second - along**2, 0.0)))
    return np.asarray(points, dtype=float) @ np.array([[length, 0.0], [along, across]])


def _project(density: Array, cell: Array, axis: int) -> tuple[Array, Array, Array]:
    """Return the corners of the pixels and the number of ions per area in A^-2."""
    first, second = _others(axis)
    n, m = density.shape[first], density.shape[second]
    voxel = abs(np.linalg.det(cell)) / density.size
    area = float(np.linalg.norm(np.cross(cell[first], cell[second]))) / (n * m)
    # Voxels are centred on the grid points.
    u, v = (np.arange(n + 1) - 0.5) / n, (np.arange(m + 1) - 0.5) / m
    corners = _flat(np.stack(np.meshgrid(u, v, indexing='ij'), axis=-1).reshape(-1, 2), cell, axis)
    corners = corners.reshape(n + 1, m + 1, 2)
    return corners[..., 0], corners[..., 1], density.sum(axis=axis) * voxel / area


def plot_van_hove_functions(path: Path, maps: Mapping[str, Array]) -> None:
    """Draw 4 pi r^2 G_s and G_d against distance and time, and alpha_2 against time.

    :param path: path of the picture.
    :param maps: as `transport.maps.van_hove_maps` returns them.
    """
    lags = maps['map_lag_ps']
    with picture(path, width=12.0, height=4.0) as figure:
        left, middle, right = figure.subplots(1, 3)
        highest = float(np.quantile(maps['self_per_A'], 0.995))
        above = draw_map(left, maps['self_r_A'], lags, maps['self_per_A'], 'viridis', PowerNorm(0.5, 0, highest))
        left.set(xlabel='$r$  (Å)', ylabel='lag time  (ps)', xlim=(0, maps['self_r_A'].max()))
        figure.colorbar(above, ax=left, label=r'$4\pi r^2 G_\mathrm{s}$  (Å$^{-1}$)', pad=0.01)
        if 'distinct' in maps:
            norm = TwoSlopeNorm(1.0, 0.0, max(float(np.quantile(maps['distinct'], 0.995)), 1.5))
            below = draw_map(middle, maps['distinct_r_A'], lags, maps['distinct'], 'RdBu_r', norm)
            middle.set(xlabel='$r$  (Å)', xlim=(0, maps['distinct_r_A'].max()))
            figure.colorbar(below, ax=middle, label=r'$G_\mathrm{d}$', pad=0.01)
        else:
            note(middle, 'one ion, or the cell is too small')
        right.set(xscale='log', xlabel='lag time  (ps)', ylabel=r'non-Gaussian parameter $\alpha_2$')
        right.axhline(0, color=GREY, lw=0.8)
        right.plot(lags, maps['non_gaussian'], 'o-', color=BLUE, ms=3.5)
        plain_ticks(right.xaxis)


def plot_radial(path: Path, distances: Array, curves: Mapping[str, tuple[Array, Array]]) -> None:
    """Draw g(r) of each pair of elements, with the number of neighbours on a second axis.

    :param path: path of the picture.
    :param distances: (bins,) A.
    :param curves: g(r) and the number of neighbours within r, (bins,) each, by name of the pair.
    """
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    with picture(path, width=3.1 * columns + 0.6, height=2.4 * rows + 0.6) as figure:
        panels: Any = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, (name, (g, neighbours)) in zip(panels.flat, curves.items(), strict=False):
            _draw_radial(axes, name, distances, g, neighbours)
        for axes in panels.flat[len(curves) :]:
            axes.set_axis_off()
        for index in range(len(curves)):
            if index + columns >= len(curves):
                panels.flat[index].set_xlabel('$r$  (Å)')
                panels.flat[index].tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel('$g(r)$')
        figure.supylabel('neighbours within $r$ (dashed)', x=1.0, color=GREY, fontsize=11)


def _draw_radial(axes: Axes, name: str, distances: Array, g: Array, neighbours: Array) -> None:
    axes.plot(distances, g, color=BLUE, lw=1.4)
    axes.axhline(1, color=GREY, lw=0.8, ls=':')
    axes.set(title=quoting.plot(name), xlim=(0, distances[-1]))
    axes.set_ylim(0, max(1.2, 1.08 * float(g.max())))
    other = axes.twinx()
    other.plot(distances, neighbours, color=GREY, lw=1.0, ls='--')
    # The first shells matter; the number grows with the third power of the distance.
    other.set_ylim(0, 16)
    other.set_yticks([0, 4, 8, 12, 16])
    other.tick_params(colors=GREY)
    other.grid(False)
