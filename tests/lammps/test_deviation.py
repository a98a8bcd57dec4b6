"""The committee's deviation: cut lines, nan, repeated steps."""

from __future__ import annotations

import numpy as np

from aiida_dpasse.lammps.deviation import COLUMNS, deviation_at, left_trust, parse_deviation

TEXT = (
    '#       step         max_devi_v         min_devi_v         avg_devi_v         max_devi_f\n'
    '           0       1.0e-02       1.0e-04       4.0e-03       1.0e-01       8.0e-03       3.0e-02\n'
    '          10       1.0e-02       1.0e-04       4.0e-03       2.0e-01       8.0e-03       3.0e-02\n'
    '          10       1.0e-02       1.0e-04       4.0e-03       2.5e-01       8.0e-03       3.0e-02\n'
    '          20       nan           nan           nan           nan           nan           nan\n'
    '          30       1.0e-02       1.0e-04       4.0e-03       4.0e-01       8.0e-03       3.5e-02\n'
)


def test_table():
    table = parse_deviation(TEXT)
    assert tuple(table) == ('step', *COLUMNS)
    assert table['step'].tolist() == [0, 10, 20, 30]
    np.testing.assert_array_equal(table['max_devi_f'], [0.1, 0.25, np.nan, 0.4])
    assert table['avg_devi_f'][-1] == 0.035


def test_a_cut_line_is_left_out():
    last = TEXT.rindex('          30')
    for length in range(last, len(TEXT)):
        assert parse_deviation(TEXT[:length])['step'].tolist() == [0, 10, 20]
    assert parse_deviation('')['step'].tolist() == []
    assert parse_deviation('0 1 2 3 4 5 6\nzero 1 2 3 4 5 6\n1 2\n')['step'].tolist() == [0]


def test_the_deviation_of_a_frame():
    found = deviation_at(parse_deviation(TEXT), np.array([30, 0, 5, 20]))
    np.testing.assert_array_equal(found, [0.4, 0.1, np.nan, np.nan])


def test_trust_is_left_when_several_rows_in_a_row_are_above_the_limit():
    values = [9.0, 9.0, 9.0, 0.1, 0.5, 0.1, 0.5, np.nan, 0.6, 0.1]
    table = {'step': 10.0 * np.arange(len(values)), 'max_devi_f': np.array(values)}
    # The first three rows belong to the equilibration.
    assert left_trust(table, 0.3, 3, 30) == 60
    assert left_trust(table, 0.3, 4, 30) is None
    assert left_trust(table, 0.3, 1, 30) == 40
    assert left_trust(table, 0.3, 3, 0) == 0
    assert left_trust(table, 10.0, 1, 0) == 70
    assert left_trust({name: column[:2] for name, column in table.items()}, 0.3, 3, 0) is None
