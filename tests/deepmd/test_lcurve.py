"""Learning curves: whole, restarted, cut short, diverged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiida_dpasse.deepmd.lcurve import LearningCurve, join_curves, parse_lcurve

HEADER = '# step       rmse_trn    rmse_e_trn    rmse_f_trn   lr\n'
NOTE = '# If there is no available reference data, rmse_*_{val,trn} will print nan\n'
FIRST = HEADER + NOTE + '  1  4.0e+01  1.0e-01  1.3e+00  1.0e-03\n 10  2.0e+01  2.0e-01  1.2e+00  3.2e-04\n'


def test_whole():
    """Columns by the header's names."""
    curve = parse_lcurve(FIRST)
    assert curve.steps.tolist() == [1, 10]
    assert list(curve.columns) == ['step', 'rmse_trn', 'rmse_e_trn', 'rmse_f_trn', 'lr']
    assert curve.last == {'step': 10, 'rmse_trn': 20.0, 'rmse_e_trn': 0.2, 'rmse_f_trn': 1.2, 'lr': 3.2e-4}
    assert not curve.diverged


def test_restart_merges():
    """A second header and a repeated step: the later row wins, a column that is new is nan before."""
    second = (
        HEADER.replace('rmse_trn', 'rmse_val  rmse_trn') + '10 9.0 1.9e+01 0.3 1.1 3e-4\n20 8.0 1.8e+01 0.2 1.0 1e-4\n'
    )
    curve = parse_lcurve(FIRST + second)
    assert curve.steps.tolist() == [1, 10, 20]
    assert curve.columns['rmse_trn'].tolist() == [40.0, 19.0, 18.0]
    assert math.isnan(curve.columns['rmse_val'][0])
    assert curve.columns['rmse_val'][1:].tolist() == [9.0, 8.0]


@pytest.mark.parametrize(
    'end', ['  20  1.0e+0', '  20  1.0e+01  2.0e-01  1.2e+00  3.2e-04', '  20  1.0e+01  x 1 1\n', '  nan 1 1 1 1\n']
)
def test_cut_short(end):
    """A line that was cut short, or is not a row, is left out; even a whole number may have lost digits at the end."""
    assert parse_lcurve(FIRST + end).steps.tolist() == [1, 10]


def test_diverged():
    """The loss ends as nan: the first such step is named; a column that was never a number is a missing label."""
    curve = parse_lcurve(FIRST + ' 20 nan nan 1.1e+00 1e-4\n 30 nan nan nan 1e-4\n')
    assert curve.diverged
    assert curve.first_not_finite == 20
    assert 'rmse_trn' not in curve.last
    unlabelled = FIRST.replace('1.3e+00', 'nan').replace('1.2e+00', 'nan')
    assert not parse_lcurve(unlabelled).diverged
    assert parse_lcurve(HEADER + '1 nan nan nan 1\n').first_not_finite == 1


def test_recovered():
    """A nan that is followed by finite losses is not a divergence."""
    assert not parse_lcurve(FIRST + ' 20 nan nan nan 1e-4\n 30 1 1 1 1e-4\n').diverged


def test_empty_and_foreign():
    """A header alone gives no rows; a file without one is refused."""
    curve = parse_lcurve(HEADER)
    assert len(curve.steps) == 0
    assert curve.last == {}
    assert not curve.diverged
    with pytest.raises(ValueError, match='`# step'):
        parse_lcurve('1 2 3\n')


def test_types():
    """Steps are integers."""
    assert parse_lcurve(FIRST).steps.dtype == np.int64


def test_exploded():
    """Force errors a hundred times those of the first rows for three rows are a divergence, one such row is not."""
    calm = HEADER + ''.join(f'{step} 1 0.1 {force} 1e-3\n' for step, force in enumerate((0.5, 1.0, 0.3, 0.2, 0.1)))
    wild = ''.join(f'{step} 1 0.1 {force} 1e-3\n' for step, force in ((10, 120.0), (11, 1e4), (12, 1e6)))
    assert not parse_lcurve(calm + '10 1 0.1 120.0 1e-3\n').diverged
    assert not parse_lcurve(calm + wild + '13 1 0.1 1.0 1e-3\n').diverged
    curve = parse_lcurve(calm + wild)
    assert curve.first_diverged == 10
    # The row of step 4 was computed with the weights of step 3.
    assert curve.last_good_step == 3


def test_last_good_step():
    """The last finite row vouches for the step before it."""
    assert parse_lcurve(FIRST + '20 nan nan 1.1 1e-4\n').last_good_step == 9
    assert parse_lcurve(HEADER + '1 nan nan nan 1\n').last_good_step == 0


def test_join():
    """A later run replaces what it did again, from its first step on, also where it got less far."""
    first = parse_lcurve(FIRST + '20 1 1 1 1\n30 1 1 1 1\n')
    second = parse_lcurve(HEADER + '20 2 2 2 2\n')
    nothing = parse_lcurve(HEADER)
    joined = join_curves([first, second, nothing])
    assert joined.steps.tolist() == [1, 10, 20]
    assert joined.columns['rmse_f_trn'].tolist() == [1.3, 1.2, 2.0]
    anew = parse_lcurve(HEADER + '1 5 5 5 5\n')
    assert join_curves([first, second, anew]).columns['lr'].tolist() == [5.0]


def test_goes_back_before_the_first_lost_row():
    """A divergence that comes down for a row: no checkpoint after the first lost row is good."""
    forces = [1.0, 1.2, 0.9, 0.8, 500.0, 20.0, 600.0, 700.0, 800.0]
    curve = LearningCurve({'step': np.arange(0.0, 90.0, 10.0), 'rmse_f_trn': np.array(forces)})
    assert (curve.first_diverged, curve.last_good_step) == (60, 29)
    # One early batch with close atoms is not a divergence.
    calm = LearningCurve({'step': np.arange(0.0, 90.0, 10.0), 'rmse_f_trn': np.array([*forces[:6], 0.7, 0.6, 0.5])})
    assert (calm.first_diverged, calm.last_good_step) == (None, 79)
