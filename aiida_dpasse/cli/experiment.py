"""`aiida-dpasse experiment FORMULA`: measured conductivities of a composition, without AiiDA."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse.cli.output import OUTPUT, say, write_json, writes_files
from aiida_dpasse.cli.refusal import Refusal

if TYPE_CHECKING:
    from aiida_dpasse.experiment.measured import Measured


@click.command()
@click.argument('formula')
@click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
@writes_files
def experiment(formula: str, json_path: Path | None) -> None:
    """Ionic conductivities measured on FORMULA at room temperature, with their sources.

    FORMULA is a composition, such as Li6PS5Cl, Li24P4S20Cl4 or Li5.9PS4.9Cl1.1. If it was not measured, similar
    compositions of the same elements are listed, and otherwise the nearest ones. No AiiDA profile is needed.
    """
    from aiida_dpasse.experiment.measured import find, nearest

    try:
        found = find(formula)
        others = [] if found.samples else nearest(formula)
    except ValueError as error:
        raise Refusal(str(error)) from error
    write_json(json_path, describe(found, others))
    say(show(found, others))


def describe(found: Measured, others: Sequence[tuple[Measured, float]]) -> dict[str, Any]:
    """Return the content of the JSON file.

    :param found: the samples.
    :param others: what was measured on the nearest compositions, and their distances, if there are no samples.
    """
    from aiida_dpasse.experiment.measured import SOURCE

    return {
        'formula': found.formula,
        **found.to_dict(),
        'samples': [asdict(sample) for sample in found.samples],
        'nearest': [
            {'formula': other.formula, 'distance': distance, **other.to_dict()['measured_mS_cm']}
            for other, distance in others
        ],
        'source': SOURCE,
    }


def show(found: Measured, others: Sequence[tuple[Measured, float]]) -> str:
    """Return the text shown on the terminal.

    :param found: the samples.
    :param others: what was measured on the nearest compositions, and their distances, if there are no samples.
    """
    from aiida_dpasse.experiment.measured import COLUMNS, SOURCE, TOLERANCE

    if found.samples:
        head = found.sentence
        if not found.exact:
            head += f'\nThe compositions differ by at most {TOLERANCE:.0%} of the atoms.'
        rows, columns = [tuple(cell or '-' for cell in row) for row in found.rows], COLUMNS
    else:
        head = f'No measurement of {found.formula} in the table. The nearest compositions:'
        rows = [
            (f'{distance:.1%}', other.formula, other.range_text, str(len(other.samples))) for other, distance in others
        ]
        columns = ('atoms that differ', 'composition', 'σ', 'samples')
    return '\n'.join([head, '', *_aligned([columns, *rows]), '', f'Source: {SOURCE}.'])


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield '  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
