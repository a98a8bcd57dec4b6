"""Report of the speed of potentials by number of atoms: tables, and speed and wall time on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from matplotlib.axes import Axes

from aiida_dpasse import quoting
from aiida_dpasse.reports.graph import output_dict
from aiida_dpasse.reports.style import GREY, note, palette, picture, plain_ticks
from aiida_dpasse.reports.tables import Table, text

COLUMNS = {
    'potential': 'potential',
    'backend': 'backend',
    'form': 'form',
    'atoms': 'atoms',
    'seconds': 'seconds',
    'katom_step_s': 'katom-step/s',
    'steps_s': 'steps/s',
    'ns_day': 'ns/day',
    'hours_million_steps': 'h for 10^6 steps',
    'processes': 'processes',
    'cpu_percent': 'CPU %',
}
FIT = {
    'potential': 'potential',
    'exponent': 'b of time ~ atoms^b',
    'exponent_error': '+-',
    'saturated_katom_step_s': 'saturated katom-step/s',
    'saturated_error': '+- ',
    'reason': 'reason',
}
#: Familiar time spans in hours.
SPANS = {1.0: '1 hour', 24.0: '1 day', 720.0: '1 month', 8766.0: '1 year'}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the speed of each potential in the largest successful cell, and the failures.

    :param process: a `dpasse.benchmark`.
    """
    found = output_dict(process, 'speed')
    largest = {row['potential']: row for row in found.get('rows', [])}
    speeds = [f'{label}: {text(row["katom_step_s"])} katom-step/s' for label, row in largest.items()]
    failed = [f'{row["potential"]}: {row["atoms"]} atoms failed' for row in found.get('failed', [])]
    return [*speeds, *failed]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the speeds with the machine as title, the scaling exponents, and the failures.

    :param process: a `dpasse.benchmark`.
    """
    found = output_dict(process, 'speed')
    rows = found.get('rows', [])
    disturbed = sum(bool(row['disturbed']) for row in rows)
    title = f'Speed, on {machine(rows)}' if rows else 'Speed'
    if disturbed:
        title += f'; {disturbed} of {len(rows)} runs shared the processor or waited: these speeds are not reliable'
    lost = [*found.get('failed', []), *found.get('skipped', [])]
    return [
        Table.of(title, COLUMNS, rows),
        Table.of('Scaling', FIT, found.get('fits', [])),
        Table.of('Without a speed', {'potential': 'potential', 'atoms': 'atoms', 'reason': 'reason'}, lost),
    ]


def machine(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the hardware of the runs: GPU if there is one, otherwise processor, and host.

    :param rows: rows of `tabulate_benchmark`.
    """
    kinds = [(row.get('card') or row.get('processor'), row.get('host')) for row in rows]
    names = dict.fromkeys(' of '.join(part for part in kind if part) for kind in kinds)
    return ', '.join(name for name in names if name) or 'an unknown machine'


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw speed and wall time against the number of atoms.

    :param process: a `dpasse.benchmark`.
    :param directory: folder of the picture.
    """
    path = directory / 'speed.png'
    plot_speed(path, output_dict(process, 'speed'))
    return [path]


def plot_speed(path: Path, found: Mapping[str, Any]) -> None:
    """Draw steps per second and the time of a million steps, one line for each potential, all axes logarithmic.

    :param path: path of the picture.
    :param found: ``rows``, ``failed`` and ``fits`` of `tabulate_benchmark`; failed sizes are marked by crosses.
    """
    rows = found.get('rows', [])
    with picture(path, width=9.0, height=3.9) as figure:
        left, right = figure.subplots(1, 2)
        if not rows:
            for axes in (left, right):
                note(axes, 'no run gave a speed')
            return
        exponents = {fit['potential']: fit for fit in found.get('fits', [])}
        for label, colour in zip(exponents, palette(len(exponents)), strict=True):
            known = [row for row in rows if row['potential'] == label]
            atoms = [row['atoms'] for row in known]
            for axes, name in ((left, 'steps_s'), (right, 'hours_million_steps')):
                axes.plot(atoms, [row[name] for row in known], 'o-', color=colour, label=_legend(exponents[label]))
            for row in found.get('failed', []):
                if row['potential'] == label:
                    # At the bottom of the speed axis, and at the top of the time axis.
                    for axes, place in ((left, 0.03), (right, 0.97)):
                        transform = axes.get_xaxis_transform()
                        axes.plot(row['atoms'], place, 'x', color=colour, ms=7, mew=1.8, transform=transform)
        left.set(ylabel='speed  (steps s$^{-1}$)')
        right.set(ylabel='time of 10$^6$ steps  (h)')
        for axes in (left, right):
            axes.set(xscale='log', yscale='log', xlabel='atoms')
            plain_ticks(axes.xaxis, axes.yaxis)
        _mark_spans(right)
        if found.get('failed'):
            left.plot([], [], 'x', color=GREY, ms=7, mew=1.8, label='failed')
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside upper center', ncols=min(3, len(labels)))


def _legend(fit: Mapping[str, Any]) -> str:
    if fit['exponent'] is None:
        return quoting.plot(fit['potential'])
    error = '' if fit['exponent_error'] is None else rf' \pm {fit["exponent_error"]:.2f}'
    return rf'{quoting.plot(fit["potential"])}, time $\propto N^{{{fit["exponent"]:.2f}{error}}}$'


def _mark_spans(axes: Axes) -> None:
    """Draw a line at each time span within the limits of the axes."""
    low, high = axes.get_ylim()
    for hours, name in SPANS.items():
        if low < hours < high:
            axes.axhline(hours, color=GREY, lw=0.8, ls=(0, (4, 2)), zorder=0)
            transform = axes.get_yaxis_transform()
            axes.text(0.985, hours, name, transform=transform, ha='right', va='bottom', color=GREY, fontsize=8)
