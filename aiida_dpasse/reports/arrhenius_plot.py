"""The Arrhenius plot: conductivity times temperature, or diffusivity, against inverse temperature."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.markers import CARETDOWNBASE
from numpy.typing import NDArray

from aiida_dpasse import quoting
from aiida_dpasse.reports.style import BLUE, GREY, INK, ORANGE, RED, note, picture

LEFT_OUT = 'not diffusive, left out'


@dataclass(frozen=True)
class Axis:
    """The vertical axis: name and unit of the value, label, factor to the unit drawn, and whether T multiplies it."""

    name: str
    unit: str
    label: str
    factor: float
    times_temperature: bool

    def height(self, temperature: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the factor from a value to its height in the plot.

        :param temperature: temperatures in K, (n,) or one.
        """
        return self.factor * np.asarray(temperature) ** int(self.times_temperature)


CONDUCTIVITY = Axis('conductivity', 'mS/cm', r'$\sigma T$  (S K cm$^{-1}$)', 1e-3, True)
DIFFUSIVITY = Axis('diffusivity', 'cm²/s', r'$D$  (cm$^2$ s$^{-1}$)', 1.0, False)


@dataclass(frozen=True)
class Point:
    """One temperature in K: conductivity in mS/cm or diffusivity in cm^2/s, its standard deviation (0 if unknown), and
    whether the motion is diffusive.
    """

    temperature: float
    value: float
    error: float
    diffusive: bool = True


@dataclass(frozen=True)
class Line:
    """Fit of ln(y / T^exponent) against 1/T, with the (2, 2) covariance of intercept and slope.

    y is sigma T in mS K/cm, or D in cm^2/s.
    """

    intercept: float
    slope: float
    covariance: NDArray[np.float64] | None = None
    exponent: float = 0.0

    def at(self, temperature: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ln(y) and its standard deviation.

        :param temperature: temperatures in K, (n,).
        """
        inverse = 1 / temperature
        value = self.intercept + self.slope * inverse + self.exponent * np.log(temperature)
        if self.covariance is None:
            return value, np.zeros_like(value)
        basis = np.stack([np.ones_like(inverse), inverse])
        return value, np.sqrt(np.maximum(np.einsum('it,ij,jt->t', basis, self.covariance, basis), 0))


@dataclass(frozen=True)
class Extrapolation:
    """Conductivity in mS/cm or diffusivity in cm^2/s at a temperature in K, with its 16 % and 84 % quantiles.

    ``name`` states what the interval leaves out.
    """

    temperature: float
    value: float
    low: float
    high: float
    name: str = ''


@dataclass(frozen=True)
class Experiment:
    """Measured conductivities in mS/cm at a temperature in K, upper bounds of those below detection, and their name in
    the legend.
    """

    temperature: float
    values: list[float]
    bounds: list[float]
    label: str = 'measured'


def plot_arrhenius(
    path: Path,
    points: list[Point],
    line: Line | None = None,
    extrapolation: Extrapolation | None = None,
    title: str = '',
    remark: str = '',
    activation_energy: tuple[float, float] | None = None,
    experiment: Experiment | None = None,
    diffusivity: bool = False,
    source: str = 'molecular dynamics',
    vtf: tuple[float, float, float] | None = None,
) -> None:
    """Draw sigma T in S K/cm, or D in cm^2/s, on a logarithmic axis against 1000/T.

    :param path: path of the picture.
    :param points: values by temperature.
    :param line: fit.
    :param extrapolation: extrapolated value.
    :param title: title of the legend.
    :param remark: text below the picture, for example the reason for an undetermined extrapolation.
    :param activation_energy: value and standard deviation in eV.
    :param experiment: measured conductivities; they are not drawn beside diffusivities.
    :param diffusivity: whether the values are diffusivities.
    :param source: name of the points in the legend.
    :param vtf: intercept, B in K and T0 in K of ln(y) = intercept - B / (T - T0).
    """
    axis = DIFFUSIVITY if diffusivity else CONDUCTIVITY
    with picture(path) as figure:
        axes = figure.subplots()
        axes.set_yscale('log')
        if line is not None and points:
            _draw_line(axes, axis, line, points, extrapolation, activation_energy)
        if vtf is not None and points:
            _draw_vtf(axes, axis, vtf, points, extrapolation)
        for diffusive in (True, False):
            chosen = [point for point in points if point.diffusive is diffusive and point.value > 0]
            if chosen:
                _draw_points(axes, axis, chosen, source if diffusive else LEFT_OUT, diffusive)
        if extrapolation is not None:
            _draw_extrapolation(axes, axis, extrapolation)
        if experiment is not None and points and not diffusivity:
            _draw_experiment(axes, axis, experiment)
        if not points:
            axes.set_axis_off()
            note(axes, fill(f'No temperature gave a {axis.name}. {quoting.plot(remark)}', 70))
            return
        axes.set_xlabel(r'$1000\,/\,T$  (K$^{-1}$)')
        axes.set_ylabel(axis.label)
        axes.margins(x=0.06, y=0.12)
        _span_a_decade(axes)
        shown = [point.temperature for point in points]
        shown += [extrapolation.temperature] if extrapolation is not None else []
        if experiment is not None and min(shown) > 1.1 * experiment.temperature:
            shown.append(experiment.temperature)
        _temperature_axis(axes, shown)
        entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
        # The measured values last, although error bars follow lines.
        entries.sort(key=lambda entry: experiment is not None and entry[1] == quoting.plot(experiment.label))
        axes.legend(
            *zip(*entries, strict=True),
            loc='lower left',
            title=quoting.plot(title) or None,
            alignment='left',
            title_fontproperties={'weight': 'bold', 'size': 10},
        )
        if remark:
            figure.supxlabel(fill(quoting.plot(remark), 110), x=0.01, ha='left', color=GREY, fontsize=8)


def _span_a_decade(axes: Axes) -> None:
    """Extend the vertical axis to at least one decade, so that the error bar of a single point does not fill the
    picture.
    """
    low, high = np.log10(axes.get_ylim())
    missing = max(0.0, 1 - (high - low)) / 2
    axes.set_ylim(10 ** (low - missing), 10 ** (high + missing))


def _draw_line(
    axes: Axes,
    axis: Axis,
    line: Line,
    points: list[Point],
    extrapolation: Extrapolation | None,
    activation_energy: tuple[float, float] | None,
) -> None:
    temperatures = [point.temperature for point in points]
    coldest = min([*temperatures, *([extrapolation.temperature] if extrapolation else [])])
    label = 'fit'
    if activation_energy is not None:
        label = rf'fit, $E_\mathrm{{a}}$ = {activation_energy[0]:.3f} $\pm$ {activation_energy[1]:.3f} eV'
    inside = 1 / np.linspace(1 / max(temperatures), 1 / min(temperatures), 60)
    beyond = 1 / np.linspace(1 / min(temperatures), 1 / coldest, 60)
    for grid, dashes, text in ((inside, '-', label), (beyond, '--', None)):
        value, error = line.at(grid)
        axes.plot(1000 / grid, axis.factor * np.exp(value), dashes, color=BLUE, lw=1.6, label=text)
        low, high = axis.factor * np.exp(value - error), axis.factor * np.exp(value + error)
        axes.fill_between(1000 / grid, low, high, color=BLUE, alpha=0.16, lw=0)


def _draw_vtf(
    axes: Axes,
    axis: Axis,
    vtf: tuple[float, float, float],
    points: list[Point],
    extrapolation: Extrapolation | None,
) -> None:
    intercept, b, t0 = vtf
    temperatures = [point.temperature for point in points]
    coldest = min([*temperatures, *([extrapolation.temperature] if extrapolation else [])])
    # The curve falls to zero at T0.
    grid = 1 / np.linspace(1 / max(temperatures), 1 / max(coldest, t0 + 0.05 * b), 120)
    y = axis.factor * np.exp(intercept - b / (grid - t0))
    axes.plot(1000 / grid, y, '-', color=RED, lw=1.4, label=rf'VTF, $T_0$ = {t0:.0f} K')


def _draw_points(axes: Axes, axis: Axis, points: list[Point], label: str, diffusive: bool) -> None:
    temperature = np.array([point.temperature for point in points])
    y = axis.height(temperature) * np.array([point.value for point in points])
    error = axis.height(temperature) * np.array([point.error for point in points])
    # A bar that reaches zero cannot be drawn on a logarithmic axis, so it ends a decade below its point.
    low = np.minimum(error, 0.9 * y)
    axes.errorbar(
        1000 / temperature,
        y,
        yerr=[low, error] if error.any() else None,
        fmt='o',
        ms=7,
        color=INK,
        mfc=INK if diffusive else 'white',
        lw=1.4,
        zorder=3,
        label=quoting.plot(label) or None,
    )


def _draw_extrapolation(axes: Axes, axis: Axis, extrapolation: Extrapolation) -> None:
    scale = float(axis.height(extrapolation.temperature))
    y = scale * extrapolation.value
    bars = [[y - scale * extrapolation.low], [scale * extrapolation.high - y]]
    axes.errorbar(
        [1000 / extrapolation.temperature],
        [y],
        yerr=bars,
        fmt='D',
        ms=7,
        color=ORANGE,
        mec=INK,
        mew=0.8,
        lw=1.6,
        zorder=4,
        label=f'{extrapolation.temperature:.0f} K: {_significant(extrapolation.value)} {axis.unit} '
        f'({_significant(extrapolation.low)} to {_significant(extrapolation.high)})'
        + (f',\n{quoting.plot(extrapolation.name)}' if extrapolation.name else ''),
    )


def _draw_experiment(axes: Axes, axis: Axis, experiment: Experiment) -> None:
    """Draw the samples as short lines on a bar, which stays visible behind a marker at nearly the same temperature."""
    x, scale = 1000 / experiment.temperature, float(axis.height(experiment.temperature))
    y = scale * np.array([*experiment.values, *experiment.bounds])
    below = scale * np.array(experiment.bounds)
    axes.plot([x, x], [y.min(), y.max()], color=GREY, lw=13, alpha=0.25, solid_capstyle='butt', zorder=1.5)
    axes.plot([x] * len(y), y, '_', color=GREY, ms=13, mew=1.4, zorder=1.6, label=quoting.plot(experiment.label))
    axes.plot([x] * len(below), below, marker=CARETDOWNBASE, ls='', color=GREY, ms=7, zorder=1.6)


def _significant(value: float) -> str:
    return f'{value:.2g}' if value < 100 else f'{float(f"{value:.2g}"):.0f}'


def _temperature_axis(axes: Axes, temperatures: list[float]) -> None:
    """Add a second horizontal axis at the top with the temperatures in K."""
    low, high = axes.get_xlim()
    top = axes.secondary_xaxis('top')
    kept: list[float] = []
    for temperature in sorted(set(temperatures)):  # labels that would overlap are left out
        if not kept or 1000 / kept[-1] - 1000 / temperature > 0.07 * (high - low):
            kept.append(temperature)
    top.set_xticks([1000 / temperature for temperature in kept], [f'{temperature:.0f}' for temperature in kept])
    top.minorticks_off()
    top.set_xlabel('$T$  (K)')
    top.spines['top'].set_visible(True)
