"""Report of molecular dynamics: completed steps and speed, and the thermodynamic quantities against the step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_dpasse.reports.graph import output, output_dict
from aiida_dpasse.reports.style import INK, note, palette, picture
from aiida_dpasse.reports.tables import text

#: Quantities to draw: array and axis label by output.
THERMO = {
    'thermo': {
        'temperature_k': '$T$  (K)',
        'potential_energy_ev': 'energy  (eV)',
        'pressure_gpa': '$p$  (GPa)',
        'volume_a3': '$V$  (Å$^3$)',
        'framework_displacement_a': 'framework  (Å)',
    },
    'deviation': {'max_devi_f': 'deviation  (eV Å$^{-1}$)'},
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the completed steps, the speed, and the number of sampled frames.

    :param process: a `dpasse.md` or `dpasse.md.ase`, or the work chain that restarts it.
    """
    results = output_dict(process, 'results')
    frames = output(process, 'frames')
    found = []
    if 'step' in results:
        speed = results.get('katom_steps_per_s')
        pace = f', {text(float(speed))} katom-step/s' if speed else ''
        found.append(f'{results["step"]} of {results["steps"]} steps{pace}')
    if frames is not None:
        found.append(f'{frames.base.attributes.get("frames")} frames sampled')
    return found


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the thermodynamic quantities and the deviation of a committee against the step.

    :param process: a `dpasse.md` or `dpasse.md.ase`, or the work chain that restarts it.
    :param directory: folder of the picture.
    """
    series: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for label, names in THERMO.items():
        data = output(process, label)
        if not isinstance(data, orm.ArrayData):
            continue
        arrays = {name.lower(): np.asarray(data.get_array(name), dtype=float) for name in data.get_arraynames()}
        for name, title in names.items():
            steps = arrays.get('steps', arrays.get('step'))
            if name in arrays and steps is not None:
                series[title] = (steps, arrays[name])
    path = directory / 'dynamics.png'
    plot_dynamics(path, series, 'step')
    return [path]


def plot_dynamics(
    path: Path,
    series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    x_label: str = 'time  (ps)',
) -> None:
    """Draw the time series of several quantities in panels above each other.

    :param path: path of the picture.
    :param series: values of x and y by the label of the y axis, units included.
    :param x_label: label of the x axis.
    """
    count = max(len(series), 1)
    with picture(path, width=6.6, height=1.4 + 1.5 * count) as figure:
        panels = np.atleast_1d(figure.subplots(count, 1, sharex=True))
        for axes, (label, (x, y)), colour in zip(panels, series.items(), palette(len(series)), strict=False):
            axes.plot(x, y, color=colour, lw=1.2)
            if len(y):
                axes.axhline(float(np.nanmean(y)), color=INK, lw=0.8, ls=(0, (4, 2)))
            axes.set_ylabel(label)
        if not series:
            note(panels[0], 'no output of the dynamics')
        panels[-1].set_xlabel(x_label)
        figure.align_ylabels()
