"""Report of test sets: completed steps of each run, the account of its frames, and the labels by temperature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from ase.units import kB

from aiida_dpasse import quoting
from aiida_dpasse.assess.test_sets_parameters import PARTS
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.frames.select_candidates import source_of
from aiida_dpasse.label.label_report import lines
from aiida_dpasse.reports.accounting import batches
from aiida_dpasse.reports.graph import output, output_dict
from aiida_dpasse.reports.style import GREY, note, palette, picture
from aiida_dpasse.reports.tables import Table, accounts_table, refused_table

__all__ = ['lines', 'plots', 'tables']

#: Points (n, 3): temperature in K, energy in eV/atom, root mean square force in eV/A.
Points = np.ndarray
MARKERS = {'near_equilibrium': 's', 'heating': 'o'}


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the runs, the accounts, and the reasons for frames without labels.

    :param process: a `dpasse.test_sets`.
    """
    account = output_dict(process, 'account')
    names = {
        'part': 'test set',
        'structure': 'structure',
        'requested': 'frames',
        'sampled': 'sampled',
        'admitted': 'labelled',
        'last_step': 'last step',
        'steps': 'of',
        'verdict': 'verdict',
    }
    runs = Table.of('Runs', names, account.get('runs', []))
    return [runs, accounts_table(batches(process)), refused_table(account)]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the labels by temperature.

    :param process: a `dpasse.test_sets`.
    :param directory: folder of the picture.
    """
    points = read_points(process)
    if not points:
        return []
    path = directory / 'test_sets.png'
    plot_test_sets(path, points)
    return [path]


def read_points(process: orm.ProcessNode) -> dict[tuple[str, str], Points]:
    """Return the points to draw, by structure and test set.

    :param process: a `dpasse.test_sets`.
    """
    account = output_dict(process, 'account')
    structures = {source_of(run['run']): (run['structure'], run['part']) for run in account.get('runs', [])}
    kelvin = {row['id']: row['temperature_K'] for row in account.get('frames', [])}
    points: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for part in PARTS:
        frames = output(process, part)
        if not isinstance(frames, FramesData) or not frames.labelled:
            continue
        for item in frames.sets():
            energies = np.asarray(item.energies) / item.natoms
            forces = np.sqrt(np.square(np.asarray(item.forces)).mean((1, 2)))
            for identity, source, energy, force in zip(item.ids, item.sources, energies, forces, strict=True):
                row = (kelvin[str(identity)], float(energy), float(force))
                points.setdefault(structures[str(source)], []).append(row)
    return {key: np.array(sorted(rows)) for key, rows in sorted(points.items())}


def plot_test_sets(path: Path, points: Mapping[tuple[str, str], Points]) -> None:
    """Draw energies and forces of the labels against the thermostat temperature, by structure.

    Energies are relative to the lowest one of each structure. For comparison, 3/2 kT is the mean potential energy per
    atom of a harmonic crystal.

    :param path: path of the picture.
    :param points: points by structure and test set.
    """
    names = sorted({structure for structure, _ in points})
    colours = dict(zip(names, palette(len(names)), strict=True))
    lowest = {name: min(rows[:, 1].min() for key, rows in points.items() if key[0] == name) for name in names}
    with picture(path, width=8.6, height=3.8) as figure:
        left, right = figure.subplots(1, 2)
        hottest = max((rows[:, 0].max() for rows in points.values()), default=0.0)
        for (name, part), rows in points.items():
            style: dict[str, Any] = {'color': colours[name], 'marker': MARKERS[part], 'ls': '', 'ms': 3.5, 'alpha': 0.7}
            left.plot(rows[:, 0], 1e3 * (rows[:, 1] - lowest[name]), mew=0, **style)
            label = quoting.plot(f'{name}, {part.replace("_", " ")}')
            right.plot(rows[:, 0], rows[:, 2], mew=0, label=label, **style)
        line = np.array([0.0, hottest])
        left.plot(line, 1.5e3 * kB * line, color=GREY, lw=1.0, ls=(0, (4, 2)), label='3/2 $kT$')
        left.set(ylabel='energy above the lowest  (meV atom$^{-1}$)')
        right.set(ylabel='root mean square of forces  (eV Å$^{-1}$)')
        for axes in (left, right):
            axes.set(xlabel='temperature of the thermostat  (K)', xlim=(0, None), ylim=(0, None))
            if not points:
                note(axes, 'no labelled frames')
            else:
                axes.legend(loc='upper left')
