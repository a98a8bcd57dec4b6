"""Report of a passport: errors and slopes of a label source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.assessment.passport import shown
from aiida_dpasse.assessment.report_card import match
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.passport import quality
from aiida_dpasse.reports.broken import tables_of
from aiida_dpasse.reports.graph import call_tree, inputs, last_child, output, output_dict
from aiida_dpasse.reports.style import GREY, palette, picture
from aiida_dpasse.reports.tables import Table, refused_table


def lines(process: orm.ProcessNode) -> list[str]:
    """Return slope and verdict, and the reason.

    :param process: a `dpasse.passport`.
    """
    passport = output_dict(process, 'passport')
    return [quality(passport), passport['reason']] if passport else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the slopes and the errors, and the frames without a label.

    :param process: a `dpasse.passport`.
    """
    passport = output_dict(process, 'passport')
    makers = (slopes_table, errors_table, refused_table) if passport else ()
    return tables_of(process, *(partial(_alone, maker, passport) for maker in makers))


def _alone(maker: Callable[[Mapping[str, Any]], Table], passport: Mapping[str, Any]) -> list[Table]:
    return [maker(passport)]


def slopes_table(passport: Mapping[str, Any]) -> Table:
    """Return the slopes of forces and virials with their intervals, and the verdicts.

    :param passport: content of the passport.
    """
    rows = [('forces', 'all atoms', passport['forces'], passport['errors']['force_rmse_meV_A'])]
    rows += [('forces', name, row, row['force_rmse_meV_A']) for name, row in passport['per_element'].items()]
    lines = [
        (what, where, row['frames'], shown(row['slope'], row['interval']), row['reverse_slope'], rmse, row['verdict'])
        for what, where, row, rmse in rows
    ]
    for part in ('deviatoric', 'isotropic') if passport['virial'] else ():
        row = passport['virial'][part]
        lines.append(
            ('virial', part, row['frames'], shown(row['slope'], row['interval']), None, None, f'{row["sign"]} sign')
        )
    title = f'Slopes against the reference (limit {passport["slope_limit"]:g})'
    return Table(title, ('of', 'on', 'frames', 'slope (68 %)', 'reverse', 'RMSE (meV/Å)', 'verdict'), lines)


def errors_table(passport: Mapping[str, Any]) -> Table:
    """Return the errors of energies, forces and virials.

    :param passport: content of the passport.
    """
    errors = passport['errors']
    names = {
        'energy, constants per element removed': ('energy', 'meV_atom', 'meV/atom'),
        'forces': ('force', 'meV_A', 'meV/Å'),
        'virial': ('virial', 'meV_atom', 'meV/atom'),
    }
    rows = [
        (name, errors[f'{key}_mae_{unit}'], errors[f'{key}_rmse_{unit}'], text)
        for name, (key, unit, text) in names.items()
        if f'{key}_mae_{unit}' in errors
    ]
    return Table('Errors', ('quantity', 'MAE', 'RMSE', 'unit'), rows)


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the forces of the source against those of the reference, by element.

    :param process: a `dpasse.passport`.
    :param directory: folder of the picture.
    """
    labels, passport = output(process, 'labels'), output_dict(process, 'passport')
    labelled = last_child(call_tree(process.pk), 'label')
    given = dict(inputs(labelled)).get('frames') if labelled is not None else None
    if not isinstance(labels, FramesData) or not isinstance(given, FramesData):
        return []
    pairs, _ = match(given.sets(), labels.sets())
    elements = list(passport['per_element'])
    path = directory / 'passport.png'
    with picture(path, width=2.9 * len(elements), height=3.2) as figure:
        panels = figure.subplots(1, len(elements), squeeze=False)[0]
        for axes, element, colour in zip(panels, elements, palette(len(elements)), strict=True):
            mine = [
                (np.array(item.symbols) == element, item, found) for item, found in pairs if element in item.symbols
            ]
            x = np.concatenate([np.ravel(np.asarray(item.forces)[:, mask]) for mask, item, _ in mine])
            y = np.concatenate([np.ravel(found.forces[:, mask]) for mask, _, found in mine])
            most = float(np.abs([x, y]).max())
            axes.plot(x, y, '.', ms=2.5, color=colour, alpha=0.5, mew=0, rasterized=True)
            axes.axline((0, 0), slope=1, color=GREY, lw=1.0, ls=(0, (4, 2)))
            row = passport['per_element'][element]
            axes.axline((0, 0), slope=row['slope'] or 0.0, color=colour, lw=1.4)
            axes.set(xlim=(-most, most), ylim=(-most, most), aspect='equal', xlabel='reference  (eV Å$^{-1}$)')
            axes.set_title(quoting.plot(f'{element}: {shown(row["slope"], row["interval"])}'))
        panels[0].set_ylabel(f'{quoting.plot(passport["source"]["name"])}  (eV Å$^{{-1}}$)')
    return [path]
