"""Plots of the report card of one or several potentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.reports.style import GREY, INK, PALETTE, note, palette, picture

#: Largest number of formulas that remain legible; those with the largest errors are shown.
MOST = 16
MARKERS = 'osD^vP'


@dataclass
class Card:
    """Data of the plots.

    :param potentials: labels in their order.
    :param parity: arrays (n, 2) of reference and prediction, by potential and quantity; eV/atom and eV/A.
    :param by_formula: MAE of the forces in meV/A by formula and potential.
    :param by_element: the same by element and potential.
    :param by_temperature: rows of each potential and test set.
    :param by_crystal: volume change in % by crystal and potential.
    :param plane: points (n, 2) of the descriptor map, by test set.
    :param learnt: points (n, 2) of the training data in the map.
    :param explained: fraction of the variance along the axes of the map.
    """

    potentials: list[str]
    parity: dict[tuple[str, str], list[NDArray[np.float64]]] = field(default_factory=dict)
    by_formula: dict[str, dict[str, float]] = field(default_factory=dict)
    by_element: dict[str, dict[str, float]] = field(default_factory=dict)
    by_temperature: dict[tuple[str, str], list[Mapping[str, Any]]] = field(default_factory=dict)
    by_crystal: dict[str, dict[str, float]] = field(default_factory=dict)
    plane: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    learnt: NDArray[np.float64] | None = None
    explained: NDArray[np.float64] | None = None

    @property
    def colours(self) -> dict[str, str]:
        """Colour of each potential."""
        return dict(zip(self.potentials, palette(len(self.potentials)), strict=True))


def plot_report_card(path: Path, card: Card) -> None:
    """Draw parity plots, errors by formula, element and temperature, volume changes, and the map, as far as available.

    :param path: path of the picture.
    :param card: data of the plots.
    """
    panels: list[Callable[[Axes, Card], None]] = [draw_energies, draw_forces]
    if card.by_formula:
        panels += [draw_formulas, draw_elements]
    if card.by_temperature:
        panels += [draw_heating_energies, draw_heating_forces]
    if card.by_crystal:
        panels.append(draw_crystals)
    if card.plane:
        panels.append(draw_plane)
    rows = (len(panels) + 1) // 2
    with picture(path, width=9.6, height=3.8 * rows) as figure:
        if not card.potentials:
            note(figure.subplots(), 'nothing was predicted')
            return
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            panel(axes, card)
        # No corner of the map is guaranteed to be empty: its legend is placed outside if there is room.
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        if card.plane:
            handles = grid[len(panels) - 1].get_legend_handles_labels()
            style = {'frameon': True, 'framealpha': 0.85, 'edgecolor': 'none', 'markerscale': 1.4}
            grid[-1].legend(*handles, loc='upper left' if len(panels) < len(grid) else 'best', **style)


def _parity(axes: Axes, card: Card, quantity: str) -> None:
    low, high = np.inf, -np.inf
    for name, colour in card.colours.items():
        points = np.concatenate(card.parity.get((name, quantity), [np.empty((0, 2))]))
        if not len(points):
            continue
        reference, predicted = points.T
        offset, label = float((predicted - reference).mean()), quoting.plot(name)
        if quantity == 'energy' and abs(offset) > max(np.ptp(reference), 0.1):
            # Energies of a different functional; drawn at their own position they would dominate the plot.
            predicted, label = predicted - offset, f'{label}, moved by {-offset:+.2f}'
        low, high = min(low, reference.min(), predicted.min()), max(high, reference.max(), predicted.max())
        axes.scatter(reference, predicted, s=7, color=colour, alpha=0.45, lw=0, label=label, rasterized=True)
    if low < high:
        axes.plot([low, high], [low, high], color=INK, lw=0.9, zorder=0.5)
    # Tick labels of energies have many digits and would overlap.
    axes.locator_params(axis='x', nbins=4)
    legend = axes.legend(loc='upper left', markerscale=2, handletextpad=0.2)
    for handle in legend.legend_handles:
        handle.set_alpha(1)


def draw_energies(axes: Axes, card: Card) -> None:
    """Draw predicted against reference energies."""
    _parity(axes, card, 'energy')
    axes.set(xlabel='reference energy  (eV atom$^{-1}$)', ylabel='predicted energy  (eV atom$^{-1}$)', title='Energies')


def draw_forces(axes: Axes, card: Card) -> None:
    """Draw predicted against reference force components."""
    _parity(axes, card, 'force')
    axes.set(xlabel='reference force  (eV Å$^{-1}$)', ylabel='predicted force  (eV Å$^{-1}$)', title='Forces')


def _dots(axes: Axes, card: Card, table: Mapping[str, Mapping[str, float]], title: str) -> None:
    worst = sorted(table, key=lambda label: -max(table[label].values()))[:MOST]
    labels = [label for label in table if label in worst][::-1]
    for index, (name, colour) in enumerate(card.colours.items()):
        mine = [(place, table[label][name]) for place, label in enumerate(labels) if name in table[label]]
        style = {'marker': MARKERS[index % len(MARKERS)], 'color': colour, 's': 32, 'label': quoting.plot(name)}
        axes.scatter([value for _, value in mine], [place for place, _ in mine], **style)
    shown = f', the {len(labels)} largest of {len(table)}' if len(labels) < len(table) else ''
    axes.set_yticks(range(len(labels)), [quoting.plot(label) for label in labels])
    axes.set(xlabel='MAE of forces  (meV Å$^{-1}$)', title=f'{title}{shown}', ylim=(-0.6, len(labels) - 0.4))
    largest = max((max(row.values()) for row in table.values()), default=1.0)
    axes.set_xlim(-0.03 * largest, 1.1 * largest)


def draw_formulas(axes: Axes, card: Card) -> None:
    """Draw a dot for each formula and potential."""
    _dots(axes, card, card.by_formula, 'By formula')


def draw_elements(axes: Axes, card: Card) -> None:
    """Draw a dot for each element and potential."""
    _dots(axes, card, card.by_element, 'By element')


def draw_crystals(axes: Axes, card: Card) -> None:
    """Draw the volume change of each crystal upon relaxation."""
    labels = list(card.by_crystal)[:MOST][::-1]
    for index, (name, colour) in enumerate(card.colours.items()):
        rows = [card.by_crystal[label] for label in labels]
        mine = [(place, row[name]) for place, row in enumerate(rows) if name in row]
        style = {'marker': MARKERS[index % len(MARKERS)], 'color': colour, 's': 32, 'label': quoting.plot(name)}
        axes.scatter([value for _, value in mine], [place for place, _ in mine], **style)
    shown = f', {len(labels)} of {len(card.by_crystal)}' if len(labels) < len(card.by_crystal) else ''
    axes.axvline(0, color=INK, lw=0.9, zorder=0.5)
    axes.set_yticks(range(len(labels)), [quoting.plot(label) for label in labels])
    axes.set(xlabel='change of volume  (%)', title=f'Relaxed crystals{shown}', ylim=(-0.6, len(labels) - 0.4))


def _heating(axes: Axes, card: Card, name: str, error: str | None, label: str, title: str) -> None:
    sets = sorted({where for _, where in card.by_temperature})
    for (potential, where), rows in sorted(card.by_temperature.items()):
        place = sets.index(where)
        text = potential if len(sets) == 1 else f'{potential}, {where}'
        style = {'color': card.colours[potential], 'ls': ('-', '--', ':', '-.')[place % 4]}
        bars = [(row.get(error) or 0.0) if error else 0.0 for row in rows]
        x, y = [row['temperature_K'] for row in rows], [row[name] for row in rows]
        axes.errorbar(x, y, yerr=bars, marker=MARKERS[place % len(MARKERS)], ms=5, label=quoting.plot(text), **style)
    axes.set(xlabel='temperature  (K)', ylabel=label, title=title)


def draw_heating_energies(axes: Axes, card: Card) -> None:
    """Draw the mean signed error of the energy against temperature, relative to the coldest frames.

    It decreases where energies away from equilibrium are underestimated; a constant offset between two functionals
    cancels.
    """
    title, name = 'Energy along the heating, from the coldest', 'energy_mean_meV_atom'
    moved: dict[tuple[str, str], list[Mapping[str, Any]]] = {
        key: [{**row, name: row[name] - rows[0][name]} for row in rows] for key, rows in card.by_temperature.items()
    }
    _heating(axes, replace(card, by_temperature=moved), name, None, 'mean error of energy  (meV atom$^{-1}$)', title)
    axes.axhline(0, color=INK, lw=0.9, zorder=0.5)


def draw_heating_forces(axes: Axes, card: Card) -> None:
    """Draw the MAE of the forces against temperature, with its standard error."""
    title = 'Forces along the heating'
    _heating(axes, card, 'force_mae_meV_A', 'force_mae_error_meV_A', 'MAE of forces  (meV Å$^{-1}$)', title)
    axes.set_ylim(bottom=0)
    axes.legend(loc='best')


def draw_plane(axes: Axes, card: Card) -> None:
    """Draw the descriptor map; the training data is drawn below in grey."""
    explained = card.explained
    sets: Sequence[str] = sorted(card.plane)
    if card.learnt is not None:
        axes.scatter(*card.learnt.T, s=14, color=GREY, alpha=0.5, lw=0, label='training')
    for index, label in enumerate(sets):
        style = {'color': PALETTE[(index + 2) % len(PALETTE)], 'marker': MARKERS[index % len(MARKERS)]}
        axes.scatter(*card.plane[label].T, s=18, alpha=0.8, lw=0, label=quoting.plot(label), **style)
    if explained is None:
        axes.set(xlabel='t-SNE 1', ylabel='t-SNE 2')
        axes.set(xticks=[], yticks=[])
    else:
        axes.locator_params(nbins=5)
        axes.set(xlabel=f'PC 1  ({100 * explained[0]:.0f} %)', ylabel=f'PC 2  ({100 * explained[1]:.0f} %)')
    axes.set_title('Descriptors of the frames')
