"""Report of a fine-tuning study: errors against the number of frames (DPA-SSE, figure 4 c and d)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from matplotlib.axes import Axes

from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import BLUE, GREY, ORANGE, PURPLE, frames_axis, picture, plain_ticks
from aiida_dpasse.reports.tables import Table

#: Colour of each kind of potential, the same as for the learning curves.
COLOURS = {'zero-shot': GREY, 'aligned': ORANGE, 'from scratch': BLUE, 'fine-tuned': PURPLE}
PANELS = {
    'energy_mae_meV_atom': 'MAE of energy  (meV atom$^{-1}$)',
    'force_mae_meV_A': 'MAE of forces  (meV Å$^{-1}$)',
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the number of compared potentials and the frames saved by fine-tuning.

    :param process: a `dpasse.learning_curve`.
    """
    found = output_dict(process, 'sample_efficiency')
    return [f'{len(found["points"])} potentials: {verdict(found)}'] if found.get('points') else []


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return mean errors and their standard errors by kind and number of frames, with the verdict as title.

    :param process: a `dpasse.learning_curve`.
    """
    found = output_dict(process, 'sample_efficiency')
    names = {
        'kind': 'potential',
        'frames': 'frames',
        'repeats': 'trainings',
        'energy_mae_meV_atom': 'E MAE (meV/atom)',
        'energy_mae_meV_atom_error': '+-',
        'force_mae_meV_A': 'F MAE (meV/Å)',
        'force_mae_meV_A_error': '+- ',
    }
    order = list(COLOURS)
    rows = sorted(found.get('summary', []), key=lambda row: (order.index(row['kind']), row['frames']))
    title = f'Sample efficiency: {verdict(found)}' if found else 'Sample efficiency'
    return [Table.of(title, names, rows)]


def verdict(found: Mapping[str, Any]) -> str:
    """Return a sentence that compares fine-tuning with training from scratch.

    :param found: output `sample_efficiency`.
    """
    fewest = found.get('fewest_frames')
    if fewest is None:
        return 'no fine-tuned potential is better than all that were trained from scratch.'
    tuned, scratch = fewest['fine_tuned'], fewest['from_scratch']
    return (
        f'fine-tuned with {tuned["frames"]} frames, {tuned["force_mae_meV_A"]:.0f} meV/Å; from scratch with '
        f'{scratch["frames"]}, {scratch["force_mae_meV_A"]:.0f} meV/Å.'
    )


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the errors against the number of frames.

    :param process: a `dpasse.learning_curve`.
    :param directory: folder of the picture.
    """
    path = directory / 'sample_efficiency.png'
    plot_efficiency(path, output_dict(process, 'sample_efficiency').get('summary', []))
    return [path]


def plot_efficiency(path: Path, summary: Sequence[Mapping[str, Any]]) -> None:
    """Draw one panel for the energies and one for the forces, both axes logarithmic.

    :param path: path of the picture.
    :param summary: rows with ``kind``, ``frames``, the errors and their standard errors.
    """
    with picture(path, width=9.0, height=3.9) as figure:
        for axes, (name, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
            _draw(axes, summary, name)
            axes.set(yscale='log', ylabel=label)
            plain_ticks(axes.yaxis)
        axes.legend(loc='best')


def _draw(axes: Axes, summary: Sequence[Mapping[str, Any]], name: str) -> None:
    sizes = sorted({row['frames'] for row in summary if row['frames']})
    for kind, colour in COLOURS.items():
        rows = sorted((row for row in summary if row['kind'] == kind), key=lambda row: int(row['frames']))
        if not rows:
            continue
        if kind == 'zero-shot':
            axes.axhline(rows[0][name], color=colour, ls=(0, (4, 2)), label=kind)
            continue
        errors = [row[f'{name}_error'] or 0.0 for row in rows]
        x, y = [row['frames'] for row in rows], [row[name] for row in rows]
        axes.errorbar(x, y, yerr=errors, fmt='o-', color=colour, label=kind)
    frames_axis(axes, sizes, 'frames of the compound')
