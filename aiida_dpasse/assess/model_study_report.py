"""Report of a model study: errors, diffusion and activation energies (figures 1 to 3 of the perspective)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aiida_dpasse import quoting
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import GREY, INK, frames_axis, note, palette, picture, plain_ticks
from aiida_dpasse.reports.tables import Table

#: D is drawn in units of 1e-6 cm2/s.
MICRO = 1e6

Row = Mapping[str, Any]
Rows = Sequence[Row]


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the sufficient number of frames for each model.

    :param process: a `dpasse.model_study`.
    """
    return [f'{row["model"]}: {row["reason"]}' for row in output_dict(process, 'model_study').get('enough', [])]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the means over the repeats, the diffusion coefficients by temperature, and the sufficient numbers of
    frames.

    :param process: a `dpasse.model_study`.
    """
    found = output_dict(process, 'model_study')
    summary = found.get('summary', [])
    names = {
        'model': 'model',
        'data': 'data',
        'frames': 'frames',
        'repeats': 'trainings',
        'energy_rmse_meV_atom': 'E RMSE (meV/atom)',
        'energy_rmse_meV_atom_error': '+-',
        'force_rmse_meV_A': 'F RMSE (meV/Å)',
        'force_rmse_meV_A_error': '+- ',
        'activation_energy_eV': 'Ea (eV)',
        'activation_energy_error_eV': '+-  ',
    }
    diffusion = [
        (
            *(row[name] for name in ('model', 'data', 'frames')),
            entry['temperature_K'],
            f'{entry["determined"]} of {row["repeats"]}',
            entry['diffusivity_cm2_s'],
            entry['diffusivity_error_cm2_s'],
            entry['diffusivity_spread_cm2_s'],
        )
        for row in summary
        for entry in row['diffusivities']
    ]
    columns = ('model', 'data', 'frames', 'T (K)', 'determined', 'D (cm2/s)', '+-', 'potentials differ by')
    verdicts = {'model': 'model', 'data': 'data', 'frames': 'frames', 'reason': 'reason'}
    return [
        Table.of('Models', names, summary),
        Table('Diffusion', columns, diffusion),
        Table.of('Sufficient number of frames', verdicts, found.get('enough', [])),
    ]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the results against the number of frames, or side by side, and the Arrhenius plot.

    :param process: a `dpasse.model_study`.
    :param directory: folder of the pictures.
    """
    summary = output_dict(process, 'model_study').get('summary', [])
    if not summary:
        return []
    paths = [directory / 'models.png']
    plot_models(paths[0], summary)
    if any(row['diffusivities'] for row in summary):
        paths.append(directory / 'arrhenius.png')
        plot_lines(paths[1], summary)
    return paths


def series(summary: Rows) -> dict[str, list[Row]]:
    """Return the rows by name, each sorted by number of frames; the name includes the data set if there are several.

    :param summary: rows of the summary.
    """
    several = len({row['data'] for row in summary if row['data'] is not None}) > 1
    found: dict[str, list[Row]] = {}
    for row in summary:
        name = f'{row["model"]}, {row["data"]}' if several and row['data'] is not None else row['model']
        found.setdefault(name, []).append(row)
    return {name: sorted(rows, key=lambda row: row['frames'] or 0) for name, rows in found.items()}


def shown_temperature(summary: Rows) -> float | None:
    """Return the temperature in K at which most rows determine a diffusion coefficient, the lowest of several.

    :param summary: rows of the summary.
    :return: None if there is no diffusion coefficient.
    """
    counts: dict[float, int] = {}
    for row in summary:
        for entry in row['diffusivities']:
            known = entry['diffusivity_cm2_s'] is not None
            counts[entry['temperature_K']] = counts.get(entry['temperature_K'], 0) + known
    return max(sorted(counts), key=lambda kelvin: counts[kelvin]) if any(counts.values()) else None


Value = tuple[float | None, float]


def quantities(summary: Rows) -> dict[str, Callable[[Row], Value]]:
    """Return the quantities to draw by axis label, each as a function from a row to value and error.

    :param summary: rows of the summary.
    """
    kelvin = shown_temperature(summary)

    def error(name: str) -> Callable[[Row], Value]:
        return lambda row: (row[name], row[f'{name}_error'] or 0.0)

    def diffusion(row: Row) -> Value:
        for entry in row['diffusivities']:
            if entry['temperature_K'] == kelvin and entry['diffusivity_cm2_s'] is not None:
                return MICRO * entry['diffusivity_cm2_s'], MICRO * (entry['diffusivity_error_cm2_s'] or 0.0)
        return None, 0.0

    drawn: dict[str, Callable[[Row], Value]] = {
        'RMSE of energy  (meV atom$^{-1}$)': error('energy_rmse_meV_atom'),
        'RMSE of forces  (meV Å$^{-1}$)': error('force_rmse_meV_A'),
    }
    if kelvin is not None:
        drawn[f'$D$ at {kelvin:g} K  (10$^{{-6}}$ cm$^2$ s$^{{-1}}$)'] = diffusion
    if any(row['activation_energy_eV'] is not None for row in summary):
        drawn['$E_a$  (eV)'] = lambda row: (row['activation_energy_eV'], row['activation_energy_error_eV'] or 0.0)
    return drawn


def plot_models(path: Path, summary: Rows) -> None:
    """Draw errors, diffusion coefficients and activation energies against the number of frames, or side by side.

    :param path: path of the picture.
    :param summary: rows of the summary; with a single number of frames the models are drawn side by side.
    """
    lines, drawn = series(summary), quantities(summary)
    sizes = sorted({row['frames'] for row in summary if row['frames'] is not None})
    if len(sizes) > 1:
        with picture(path, width=9.0, height=3.6 * ((len(drawn) + 1) // 2)) as figure:
            for axes, (label, read) in zip(_grid(figure, len(drawn)), drawn.items(), strict=True):
                _against_frames(axes, lines, read, sizes)
                axes.set_ylabel(label)
                if label.startswith('RMSE'):
                    axes.set_yscale('log')
                    plain_ticks(axes.yaxis)
            figure.axes[0].legend(loc='best')
        return
    with picture(path, width=2.6 * len(drawn) + 1.2, height=1.3 + 0.42 * len(summary)) as figure:
        for number, (axes, (label, read)) in enumerate(
            zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True)
        ):
            _side_by_side(axes, lines, read, named=number == 0)
            axes.set_xlabel(label)


def _grid(figure: Figure, count: int) -> list[Axes]:
    grid = list(figure.subplots((count + 1) // 2, 2, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_axis_off()
    return grid[:count]


def _against_frames(axes: Axes, lines: Mapping[str, list[Row]], read: Callable[[Row], Value], sizes: list[int]) -> None:
    values = {name: [(row['frames'], *read(row)) for row in rows] for name, rows in lines.items()}
    trained = [value for points in values.values() for frames, value, _ in points if frames and value is not None]
    for number, ((name, points), colour) in enumerate(zip(values.items(), palette(len(lines)), strict=True)):
        frames, value, _ = points[0]
        if frames is None:
            # The labelling method itself has no error; on a logarithmic axis it would obscure everything else.
            if value is not None and value > 0.01 * min(trained, default=0.0):
                axes.axhline(value, color=colour, ls=(0, (4, 2)), label=quoting.plot(name))
            continue
        known = [point for point in points if point[1] is not None]
        x, y, e = zip(*known, strict=True) if known else ([], [], [])
        # Shifted horizontally, so that the error bars of several models do not overlap.
        axes.errorbar([(1 + 0.03 * number) * n for n in x], y, yerr=e, fmt='o-', color=colour, label=quoting.plot(name))
    frames_axis(axes, sizes, 'frames')


def _side_by_side(axes: Axes, lines: Mapping[str, list[Row]], read: Callable[[Row], Value], named: bool) -> None:
    names = list(lines)
    for place, (name, colour) in enumerate(zip(names, palette(len(names)), strict=True)):
        value, error = read(lines[name][-1])
        if value is None:
            axes.text(0, place, ' undetermined', color=GREY, va='center', fontsize=9)
            continue
        axes.barh(place, value, xerr=error or None, color=colour, height=0.6, ecolor=INK)
    axes.set_yticks(range(len(names)), [quoting.plot(name) if named else '' for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis='y', visible=False)
    axes.locator_params(axis='x', nbins=4)


def plot_lines(path: Path, summary: Rows) -> None:
    """Draw the diffusion coefficients of every model, trained on the most frames, against inverse temperature.

    :param path: path of the picture.
    :param summary: rows of the summary.
    """
    lines = series(summary)
    with picture(path, width=6.4, height=4.6) as figure:
        axes = figure.subplots()
        drawn = 0
        for (name, rows), colour in zip(lines.items(), palette(len(lines)), strict=True):
            row = rows[-1]
            known = [entry for entry in row['diffusivities'] if entry['diffusivity_cm2_s'] is not None]
            if not known:
                continue
            drawn += 1
            energy = row['activation_energy_eV']
            fit = '' if energy is None else f': {energy:.2f} ± {row["activation_energy_error_eV"]:.2f} eV'
            axes.errorbar(
                [1000 / entry['temperature_K'] for entry in known],
                [entry['diffusivity_cm2_s'] for entry in known],
                yerr=[entry['diffusivity_error_cm2_s'] for entry in known],
                fmt='o-' if len(known) > 1 else 'o',
                color=colour,
                label=f'{quoting.plot(name)}{fit}',
            )
        if not drawn:
            axes.set_axis_off()
            note(axes, 'No model gave a diffusion coefficient.')
            return
        axes.set(yscale='log', xlabel=r'$1000\,/\,T$  (K$^{-1}$)', ylabel='$D$  (cm$^2$ s$^{-1}$)')
        axes.legend(loc='best')
