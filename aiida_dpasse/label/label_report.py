"""Report of labelling: the account of every batch, and the energies and forces of the labelled frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.reports.accounting import batches
from aiida_dpasse.reports.broken import drawn, tables_of
from aiida_dpasse.reports.chain import pretty
from aiida_dpasse.reports.graph import output, output_dict
from aiida_dpasse.reports.style import note, palette, picture
from aiida_dpasse.reports.tables import Table, accounts_table, refused_table


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the numbers of requested, labelled, rejected and failed frames.

    :param process: process with the output `account`.
    """
    account = output_dict(process, 'account')
    if not account:
        return []
    line = f'{account["admitted"]} of {account["requested"]} frames labelled'
    parts = [f'{len(account[key])} {key}' for key in ('rejected', 'failed') if account[key]]
    return [', '.join([line, *parts])]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the accounts, and the reasons for frames without labels.

    :param process: process with the output `account`.
    """
    return tables_of(
        process,
        lambda: [accounts_table(batches(process))],
        lambda: [refused_table(output_dict(process, 'account'))],
    )


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the energies and forces of the labelled frames.

    :param process: process with the output `frames`.
    :param directory: folder of the picture.
    """
    frames = output(process, 'frames')
    if not isinstance(frames, FramesData) or not frames.labelled:
        return []
    path = directory / 'frames.png'
    drawn(path, plot_frames, frames.sets, lambda: {formula: pretty(formula) for formula in frames.formulas})
    return [path]


def plot_frames(path: Path, sets: Sequence[FrameSet], names: Mapping[str, str] | None = None) -> None:
    """Draw the distributions of energies and forces of labelled frames, by formula.

    :param path: path of the picture.
    :param sets: frames; those without labels are left out.
    :param names: displayed name of each formula.
    """
    groups: dict[str, list[FrameSet]] = {}
    for item in sets:
        groups.setdefault((names or {}).get(item.formula, item.formula), []).append(item)
    labelled = {name: [s for s in members if s.labelled] for name, members in groups.items()}
    labelled = {name: members for name, members in labelled.items() if members}
    with picture(path, width=8.6, height=3.8) as figure:
        left, right = figure.subplots(1, 2)
        for (name, members), colour in zip(labelled.items(), palette(len(labelled)), strict=True):
            energies = np.concatenate([np.asarray(item.energies) / item.natoms for item in members])
            forces = np.concatenate([np.linalg.norm(np.asarray(item.forces), axis=-1).ravel() for item in members])
            label = f'{quoting.plot(name)}, {len(energies)} frames'
            style: dict[str, Any] = {'histtype': 'stepfilled', 'color': colour, 'alpha': 0.35, 'edgecolor': colour}
            left.hist(1e3 * (energies - energies.min()), bins=_bins(len(energies)), label=label, lw=1.4, **style)
            right.hist(forces, bins=_bins(len(forces)), label=label, lw=1.4, **style)
        left.set(xlabel='energy above the lowest frame  (meV atom$^{-1}$)', ylabel='frames')
        right.set(xlabel='force on an atom  (eV Å$^{-1}$)', ylabel='atoms', yscale='log')
        for axes in (left, right):
            axes.grid(visible=False, axis='x')
            if not labelled:
                note(axes, 'no labelled frames')
        if labelled:
            right.legend(loc='upper right')


def _bins(count: int) -> int:
    return int(np.clip(2 * np.cbrt(count), 8, 60))
