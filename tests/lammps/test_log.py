"""Logs of one and several runs, cut short, with nan, with errors."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.lammps.log import join_tables, parse_log, production_means

HEAD = '   Step          Temp          PotEng         Press    \n'
LOG = (
    'LAMMPS (22 Jul 2025 - Update 2)\nSetting up Verlet run ...\n  Current step  : 0\n'
    + HEAD
    + '         0   300            -12.5         1000\n'
    + 'WARNING: Inconsistent image flags (src/domain.cpp:1051)\n'
    + '        10   310.5          -12.25       -2500\n'
    + 'Loop time of 0.5 on 1 procs for 10 steps with 12 atoms\n\n'
    + 'Setting up Verlet run ...\n  Current step  : 10\n'
    + HEAD
    + '        10   310.5          -12           500\n'
    + '        20   290            -12.75        0\n'
    + 'Loop time of 1.5 on 1 procs for 15 steps with 12 atoms\nTotal wall time: 1:02:03\n'
)


def test_two_runs_make_one_table():
    log = parse_log(LOG)
    np.testing.assert_array_equal(log.thermo['step'], [0, 10, 20])
    np.testing.assert_array_equal(log.thermo['potential_energy_eV'], [-12.5, -12, -12.75])
    np.testing.assert_allclose(log.thermo['pressure_GPa'], [0.1, 0.05, 0])
    assert (log.steps, log.atom_steps, log.loop_time_s) == (25, 300, 2.0)
    assert log.katom_steps_per_s == pytest.approx(0.15)
    assert log.wall_time_s == 3723
    # The second run ended between two rows.
    assert log.last_step == 25
    assert (log.error, log.exploded, log.timed_out) == (None, False, False)


def test_a_log_cut_anywhere_is_read():
    for length in range(len(LOG)):
        log = parse_log(LOG[:length])
        steps = log.thermo['step'].tolist()
        assert steps == [0, 10, 20][: len(steps)]
        assert all(len(values) == len(steps) for values in log.thermo.values())
        # No number is read half.
        assert set(log.thermo['temperature_K']) <= {300, 310.5, 290}
        assert not log.exploded


@pytest.mark.parametrize(
    ('line', 'error', 'exploded'),
    [
        ('ERROR: Lost atoms: original 52 current 51 (src/thermo.cpp:494)', 'Lost atoms: original 52 current 51', True),
        (
            'ERROR on proc 0: Non-numeric atom coords - simulation unstable (src/domain.cpp:589)',
            'Non-numeric atom coords - simulation unstable',
            True,
        ),
        ('ERROR: Unknown pair style deepmd (src/force.cpp:275)', 'Unknown pair style deepmd', False),
        ('ERROR: No restart file found', 'No restart file found', False),
    ],
)
def test_the_error_is_reported(line, error, exploded):
    log = parse_log(LOG + line + '\nLast input line: run 100\n')
    assert log.error == error
    assert log.exploded is exploded


def test_nan_is_an_explosion():
    log = parse_log(HEAD + '0 300 -1 0\n10 nan -nan inf\n')
    assert log.exploded
    assert np.isnan(log.thermo['temperature_K'][1])
    assert parse_log('').last_step is None
    assert parse_log('').katom_steps_per_s is None


def test_the_clock():
    assert parse_log(LOG + 'WARNING: Wall time limit reached (src/timer.cpp:201)\n').timed_out


def test_segments_are_joined_where_the_later_begins():
    first = {'step': np.array([0.0, 10, 20]), 'value': np.array([1.0, 1, 1]), 'only': np.zeros(3)}
    second = {'step': np.array([20.0, 30, 40]), 'value': np.array([2.0, 2, 2])}
    third = {'step': np.array([35.0]), 'value': np.array([3.0])}
    joined = join_tables([first, {}, second, third])
    assert set(joined) == {'step', 'value'}
    assert joined['step'].tolist() == [0, 10, 20, 30, 35]
    assert joined['value'].tolist() == [1, 1, 2, 2, 3]
    assert join_tables([{}]) == {}


def test_means_of_the_production():
    means = production_means(parse_log(LOG).thermo, start=0)
    assert means['temperature_mean_K'] == pytest.approx(300.25)
    assert means['temperature_spread_K'] == pytest.approx(10.25)
    assert means['pressure_mean_GPa'] == pytest.approx(0.025)
    assert 'volume_mean_A3' not in means
    assert production_means(parse_log(LOG).thermo, start=20) == {}
    assert production_means({}, start=0) == {}
