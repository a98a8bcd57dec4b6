"""Runs at several temperatures, listed in a table, analysed one by one and fitted together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.arrhenius import report
from aiida_dpasse.cli.columns import Measurements, listed, read_cells, recognise
from aiida_dpasse.cli.digits import with_error
from aiida_dpasse.cli.output import check_output, say, write_json
from aiida_dpasse.cli.refusal import HOTTEST, Refusal
from aiida_dpasse.cli.trajectory import Source
from aiida_dpasse.quoting import line as quoted

#: Smallest number of temperatures for a fit.
FEWEST = 3
#: Longest time between frames in fs.
LONGEST_STEP = 1e9


def run_table(
    path: Path,
    source: Source,
    charges: dict[str, float],
    extrapolate: float = 300.0,
    json_path: Path | None = None,
    plot_path: Path | None = None,
) -> None:
    """Analyse every run in a table, print the coefficients, and fit and plot them against temperature.

    :param path: a table with the columns `file` (relative to the table) and `temperature_K` and, optionally,
        `timestep_fs`, which replaces that of ``source``, and `replica`. Each run is one value of the fit.
    :param source: options of the trajectories; its path is not used.
    :param charges: charge in e of each mobile element.
    :param extrapolate: temperature of the extrapolation in K.
    :param json_path: path of the JSON file, or None; it contains all numbers of each run under ``runs``.
    :param plot_path: path of the Arrhenius plot, or None.
    :raises Refusal: if the table or a trajectory cannot be used, or fewer than three temperatures have a coefficient.
    """
    rows = read_runs(path)
    files = [path.parent / row['file'] for row in rows]
    for output in (json_path, plot_path):
        if output is not None:
            check_output(output, files, force=True)
    runs = []
    with click.progressbar(rows, label='Runs', file=click.get_text_stream('stderr')) as bar:
        for row in bar:
            runs.append({**row, **_analyse(row, path.parent, source, charges)})
    say(show(path.name, runs))
    try:
        table = measurements(path.name, runs)
    except Refusal:
        # The runs that were analysed are not lost.
        write_json(json_path, {'runs': runs})
        raise
    report(table, path.name, extrapolate, json_path=json_path, plot_path=plot_path, extra={'runs': runs})


def _analyse(row: dict[str, Any], folder: Path, source: Source, charges: dict[str, float]) -> dict[str, Any]:
    from aiida_dpasse.cli.transport import analyse_file

    file = folder / row['file']
    try:
        there = file.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        raise Refusal(f'Line {row["line"]}: {quoted(file)[:200]} does not exist: give the path relative to the table.')
    given: dict[str, Any] = {} if row['timestep_fs'] is None else {'timestep': row['timestep_fs'], 'interval': None}
    numbers, _ = analyse_file(replace(source, paths=(file,), **given), charges, row['temperature_K'])
    return numbers


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table of runs: line, file, temperature_K, timestep_fs and replica.

    :param path: the table.
    :raises Refusal: if a column is missing, or a number is not positive.
    """
    cells = read_cells(path)
    places: dict[str, int] = {}
    for index, header in enumerate(cells.header):
        column = recognise(header)
        name = header.strip().lower()
        if column is not None and column.kind == 'temperature' and not column.celsius:
            places.setdefault('temperature_K', index)
        elif name in ('file', 'timestep_fs', 'replica'):
            places.setdefault(name, index)
        else:
            raise Refusal(
                f'{cells.name} has the columns {listed(cells.header)}: name them file, temperature_K and, if '
                'needed, timestep_fs and replica.'
            )
    missing = [name for name in ('file', 'temperature_K') if name not in places]
    if missing:
        raise Refusal(f'{cells.name} lacks the column {missing[0]}: it has {listed(cells.header)}.')

    def positive(line: int, entries: list[str], name: str) -> float | None:
        if name not in places or not (entry := entries[places[name]]):
            return None
        try:
            value = float(entry)
        except ValueError:
            value = 0.0
        if not 0 < value <= (HOTTEST if name == 'temperature_K' else LONGEST_STEP):
            raise Refusal(
                f'Line {line} of {cells.name}: {name} is {quoted(entry)[:40]!r} and should be a positive number'
                f'{f" of at most {HOTTEST:g}" if name == "temperature_K" else ""}.'
            )
        return value

    rows: list[dict[str, Any]] = []
    for line, entries in cells.rows:
        temperature = positive(line, entries, 'temperature_K')
        if temperature is None:
            raise Refusal(f'Line {line} of {cells.name} has no temperature_K: give it.')
        rows.append(
            {
                'line': line,
                'file': entries[places['file']],
                'temperature_K': temperature,
                'timestep_fs': positive(line, entries, 'timestep_fs'),
                'replica': entries[places['replica']] if 'replica' in places else None,
            }
        )
    return rows


def measurements(name: str, runs: list[dict[str, Any]]) -> Measurements:
    """Return D* and the conductivity of each run; the latter is that of Nernst and Einstein if fewer than three
    temperatures have the other.

    :param name: name of the table.
    :param runs: numbers of each run.
    :raises Refusal: if fewer than three temperatures have a tracer diffusivity.
    """
    import numpy as np

    def column(key: str) -> Any:
        return np.array([np.nan if run[key] is None else run[key] for run in runs], dtype=float)

    temperatures = column('temperature_K')
    keys = {'diffusivity': 'tracer_diffusivity_cm2_s', 'conductivity': 'conductivity_mS_cm'}

    def determined(key: str) -> int:
        return len(np.unique(temperatures[np.isfinite(column(key))]))

    if (count := determined(keys['diffusivity'])) < FEWEST:
        raise Refusal(
            f'{count} temperatures of {name} have a diffusivity, and a fit needs {FEWEST}: run longer, or add some.'
        )
    if determined(keys['conductivity']) < FEWEST:
        keys['conductivity'] = 'nernst_einstein_conductivity_mS_cm'
    return Measurements(
        temperatures,
        {kind: column(key) for kind, key in keys.items()},
        {kind: column(f'{key}_error') for kind, key in keys.items()},
        columns=keys,
        skipped=[
            {'line': run['line'], 'quantity': kind, 'undetermined': kind}
            for run in runs
            for kind, key in keys.items()
            if run[key] is None
        ],
    )


def show(name: str, runs: list[dict[str, Any]]) -> str:
    """Return the coefficients of each run as shown on the terminal.

    :param name: name of the table.
    :param runs: numbers of each run.
    """

    def entry(run: dict[str, Any], key: str) -> str:
        return 'undetermined' if run[key] is None else with_error(run[key], run[f'{key}_error'])

    lines = [
        f'{quoting.line(name)}: {len(runs)} runs',
        '',
        f'  {"T (K)":>7s}  {"D* (cm²/s)":24s}  {"σ (mS/cm)":20s}  file',
    ]
    for run in runs:
        d, sigma = entry(run, 'tracer_diffusivity_cm2_s'), entry(run, 'conductivity_mS_cm')
        lines.append(f'  {run["temperature_K"]:7g}  {d:24s}  {sigma:20s}  {quoting.line(run["file"])}')
    lines += [
        quoting.line(f'  {run["file"]} is not diffusive: {run["reason"]}') for run in runs if not run['diffusive']
    ]
    return '\n'.join(lines) + '\n'
