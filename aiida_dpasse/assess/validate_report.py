"""Report of a validation: the report card of each potential, as tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from pymatgen.core import Composition

from aiida_dpasse.assess.report_card_plot import Card, plot_report_card
from aiida_dpasse.assess.sample_map import LEARNT, array_of
from aiida_dpasse.reports.chain import pretty
from aiida_dpasse.reports.graph import output, output_dict
from aiida_dpasse.reports.read import error_lines
from aiida_dpasse.reports.tables import Table

Tests = Sequence[Mapping[str, Any]]
#: Columns of the tables by their names in the node; a standard error follows its value.
ENERGY = {'energy_mae_meV_atom': 'E MAE (meV/atom)'}
FORCE = {'force_mae_meV_A': 'F MAE (meV/Å)'}
SIGNED = {'energy_mean_meV_atom': 'E mean'}
SLOPE = {'force_slope': 'F slope'}
OVERALL = {
    'frames': 'frames',
    **ENERGY,
    'energy_mae_error_meV_atom': '+-',
    'energy_rmse_meV_atom': 'E RMSE',
    **SIGNED,
    'energy_mae_aligned_meV_atom': 'E MAE aligned',
    **FORCE,
    'force_mae_error_meV_A': '+- ',
    'force_rmse_meV_A': 'F RMSE',
    'virial_mae_meV_atom': 'virial MAE (meV/atom)',
    **SLOPE,
}
ATOMS = {'atoms': 'atoms', **FORCE, 'force_rmse_meV_A': 'F RMSE', **SLOPE}
BRIEF = {'frames': 'frames', **ENERGY, **SIGNED, **FORCE, **SLOPE}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each potential on each test set.

    :param process: a `dpasse.validate`.
    """
    return [
        line
        for test in output_dict(process, 'report_card').get('tests', [])
        for name in [f'{test["potential"]} on {test["set"]}']
        for line in (error_lines([(name, test)]) if test['admitted'] else [f'{name}: no frame was predicted'])
    ]


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors overall, by formula, element and temperature, and the account of the frames.

    :param process: a `dpasse.validate`.
    """
    tests = output_dict(process, 'report_card').get('tests', [])
    heat = [(test, row) for test in tests for row in test.get('per_temperature', [])]
    lost = [
        (test['potential'], test['set'], entry['id'], state, entry['reason'])
        for test in tests
        for state in ('rejected', 'failed')
        for entry in test[state]
    ]
    counts = [
        (t['potential'], t['set'], t['requested'], t['admitted'], len(t['rejected']), len(t['failed'])) for t in tests
    ]
    who = ('potential', 'test set')
    return [
        _table('Errors on the test sets', '', OVERALL, [(test, test) for test in tests if test['admitted']]),
        _table('By formula', 'formula', BRIEF, list(_parts(tests, 'per_formula'))),
        _table('By element', 'element', ATOMS, list(_parts(tests, 'per_element'))),
        _table('By temperature', '', {'temperature_K': 'T (K)', **BRIEF}, heat),
        structures_table(output_dict(process, 'structures').get('rows', [])),
        Table('Frames', (*who, 'requested', 'accepted', 'rejected', 'failed'), counts),
        Table('Frames without a prediction', (*who, 'frame', 'state', 'reason'), lost),
    ]


def structures_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return lattice, volume and stability of each crystal, with those of the input structure.

    :param rows: rows of the output `structures`.
    """
    columns = ('potential', 'crystal', 'a (Å)', 'b', 'c', 'given a', 'b ', 'c ', 'volume change (%)')
    energies = ('decomposition (meV/atom)', 'given')
    lines = [
        (
            row['potential'],
            row['structure'],
            *(row.get('lengths_A') or [None] * 3),
            *(row.get('given_lengths_A') or [None] * 3),
            row.get('volume_change_percent'),
            row.get('decomposition_meV_atom'),
            row.get('given_decomposition_meV_atom'),
            row.get('reason', ''),
        )
        for row in rows
    ]
    return Table('Crystals, relaxed', (*columns, *energies, ''), lines)


def _parts(tests: Tests, name: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for test in tests:
        for label, row in test.get(name, {}).items():
            yield test, {'label': label, **row}


def _table(title: str, label: str, names: Mapping[str, str], rows: list[Any]) -> Table:
    extra = {'label': label} if label else {}
    columns = {**extra, **names}
    lines = [(test['potential'], test['set'], *(row.get(name) for name in columns)) for test, row in rows]
    return Table(title, ('potential', 'test set', *columns.values()), lines)


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the report card.

    :param process: a `dpasse.validate`.
    :param directory: folder of the picture.
    """
    path = directory / 'report_card.png'
    plot_report_card(path, read_card(process))
    return [path]


def formula_names(found: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return a displayed name for each pair of test set and formula.

    Names are in chemical notation, with the number of atoms and the test set only where they are needed to distinguish.

    :param found: pairs of test set and formula.

    >>> formula_names({('hot', 'Cl4Li4'), ('hot', 'Cl8Li8')})['hot', 'Cl8Li8']
    'LiCl, 16 atoms'
    """
    names = {}
    for where, formula in sorted(found):
        alike = [(other, name) for other, name in found if pretty(name) == pretty(formula)]
        parts = [pretty(formula)]
        parts += [f'{Composition(formula).num_atoms:.0f} atoms'] if any(name != formula for _, name in alike) else []
        parts += [where] if any(other != where for other, _ in alike) else []
        names[where, formula] = ', '.join(parts)
    return names


def read_card(process: orm.ProcessNode) -> Card:
    """Return the data of the report card plots.

    :param process: a `dpasse.validate`.
    """
    tests = output_dict(process, 'report_card').get('tests', [])
    parity, plane = output(process, 'parity'), output(process, 'descriptor_map')
    names = sorted({test['potential'] for test in tests if test['admitted']})
    names_of = formula_names({(test['set'], formula) for test in tests for formula in test.get('per_formula', {})})
    card = Card(names)
    for test in tests:
        if not test['admitted'] or not isinstance(parity, orm.ArrayData):
            continue
        name = test['potential']
        for quantity in ('energy', 'force'):
            card.parity.setdefault((name, quantity), []).append(parity.get_array(f'{test["key"]}_{quantity}'))
        for formula, row in test['per_formula'].items():
            card.by_formula.setdefault(names_of[test['set'], formula], {})[name] = row['force_mae_meV_A']
        if rows := test.get('per_temperature'):
            card.by_temperature[name, test['set']] = rows
    for element in sorted({element for test in tests for element in test.get('per_element', {})}):
        for name in names:
            mine = [t['per_element'][element] for t in tests if t['potential'] == name and element in t['per_element']]
            if atoms := sum(row['atoms'] for row in mine):
                mean = sum(row['atoms'] * row['force_mae_meV_A'] for row in mine) / atoms
                card.by_element.setdefault(element, {})[name] = mean
    for row in output_dict(process, 'structures').get('rows', []):
        if row['relaxed'] and row['potential'] in names:
            card.by_crystal.setdefault(row['structure'], {})[row['potential']] = row['volume_change_percent']
    if isinstance(plane, orm.ArrayData):
        arrays = {name: np.asarray(plane.get_array(name)) for name in plane.get_arraynames()}
        card.plane.update({name: arrays[array_of(name)] for name in sorted({test['set'] for test in tests})})
        card.learnt, card.explained = arrays.get(LEARNT), arrays.get('explained_variance')
    return card
