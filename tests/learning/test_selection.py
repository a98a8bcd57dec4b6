"""Trust levels, classes and choice, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.learning.convergence import judge, next_stage, pending, settled
from aiida_dpasse.learning.selection import (
    choose,
    classify,
    count_classes,
    error_per_deviation,
    first_of_each,
    trust_levels,
)

TRUST = {'mode': 'adaptive', 'low': 0.1, 'high': 0.3, 'quantile': 0.5, 'explosion': 5.0}


def test_fixed_levels_ignore_the_deviations():
    assert trust_levels([9, np.nan], {**TRUST, 'mode': 'fixed'}) == (0.1, 0.3)
    assert trust_levels([], TRUST) == (0.1, 0.3)


def test_adaptive_levels_scale_together():
    low, high = trust_levels([0.2, 0.4, 0.6], TRUST)
    assert low == pytest.approx(0.4)
    assert high == pytest.approx(1.2)


def test_adaptive_levels_never_fall_below_the_goal():
    assert trust_levels([0.01, 0.02, 0.03], TRUST) == (0.1, 0.3)


def test_adaptive_levels_do_not_see_exploded_frames():
    assert trust_levels([0.2, 0.4, 0.6, 50.0, np.nan, np.inf], TRUST) == trust_levels([0.2, 0.4, 0.6], TRUST)
    assert trust_levels([50.0, np.nan], TRUST) == (0.1, 0.3)


def test_no_level_exceeds_the_explosion():
    assert trust_levels([4.0, 4.0], TRUST) == (4.0, 5.0)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match='fixed, adaptive, calibrated'):
        trust_levels([1.0], {**TRUST, 'mode': 'magic'})


def test_calibrated_levels_are_errors():
    calibrated = {**TRUST, 'mode': 'calibrated'}
    spread = np.linspace(0.1, 1.0, 11)
    # The errors are twice the deviations, but for a few that are far off.
    errors = 2 * spread
    errors[[2, 7]] = [9.0, 0.0]
    assert error_per_deviation(spread, errors) == pytest.approx(2.0)
    low, high = trust_levels([7.0], calibrated, (spread, errors))
    assert (low, high) == (pytest.approx(0.05), pytest.approx(0.15))
    assert trust_levels([7.0], calibrated, (spread, 0.01 * spread)) == (5.0, 5.0)  # no level exceeds the explosion
    # With fewer than ten frames nothing is known, nor from frames without deviation or error.
    assert trust_levels([7.0], calibrated, (spread[:9], errors[:9])) == (0.1, 0.3)
    assert error_per_deviation([np.nan, 0.0, *spread[:9]], [1.0, 1.0, *errors[:9]]) is None
    assert trust_levels([7.0], calibrated) == (0.1, 0.3)
    assert trust_levels([7.0], {**TRUST, 'mode': 'fixed'}, (spread, errors)) == (0.1, 0.3)


def test_classes_include_their_lower_bound():
    classes = classify([0.0, 0.0999, 0.1, 0.2999, 0.3, 7.0, np.nan, np.inf], 0.1, 0.3)
    assert classes.tolist() == ['accurate'] * 2 + ['candidate'] * 2 + ['failed'] * 4
    assert count_classes(classes) == {'sampled': 8, 'accurate': 2, 'candidate': 2, 'failed': 4}
    assert count_classes(classify([], 0.1, 0.3))['sampled'] == 0


def test_a_frame_is_new_once():
    assert first_of_each(['a', 'b', 'a', 'c'], {'c'}).tolist() == [True, True, False, False]


def test_choice_is_replayable_and_depends_on_the_seed():
    groups = ['x'] * 100
    first = choose(groups, 1, 10)
    assert len(first) == len(set(first.tolist())) == 10
    assert first.tolist() == sorted(first.tolist()) == choose(groups, 1, 10).tolist()
    assert first.tolist() != choose(groups, 2, 10).tolist()


def test_choice_takes_all_if_there_are_few():
    assert choose(['x', 'y'], 1, 10).tolist() == [0, 1]
    assert choose([], 1, 10).tolist() == []


def test_choice_caps_each_structure():
    groups = np.array(['x'] * 50 + ['y'] * 2)
    chosen = groups[choose(groups, 3, 20, 4)]
    assert np.count_nonzero(chosen == 'x') == 4
    assert np.count_nonzero(chosen == 'y') == 2


def test_choice_is_uniform():
    counts = np.zeros(5)
    for seed in range(2000):
        counts[choose(['x'] * 5, seed, 2)] += 1
    # Each is drawn with probability 2/5: mean 800, standard deviation sqrt(2000 * 0.4 * 0.6) = 21.9.
    assert np.abs(counts - 800).max() < 4 * 21.9


CRITERIA = {
    **{'accurate_fraction': 0.9, 'maximum_force_rmse': 0.1, 'maximum_force_change': None},
    **{'maximum_diffusivity_change': None, 'stable_iterations': 1, 'stages': 1},
}


def row(fraction, error):
    return {'accurate_fraction': fraction, 'force_rmse_meV_A': error}


def test_agreement_alone_does_not_converge():
    assert judge([row(1.0, 99.0)], CRITERIA)[0]
    converged, verdict = judge([row(1.0, 101.0)], CRITERIA)
    assert not converged
    assert '101.0' in verdict


def test_a_low_error_alone_does_not_converge():
    converged, verdict = judge([row(0.89, 10.0)], CRITERIA)
    assert not converged
    assert '0.890 is below 0.900' in verdict
    assert not judge([row(None, 10.0)], CRITERIA)[0]
    assert judge([row(1.0, 10.0), row(None, 500.0)], CRITERIA)[0]
    assert not judge([], CRITERIA)[0]


def test_stability_needs_two_iterations():
    criteria = {**CRITERIA, 'maximum_force_rmse': None, 'maximum_force_change': 0.1}
    assert not judge([row(1.0, 50.0)], criteria)[0]
    assert judge([row(0.5, 100.0), row(1.0, 91.0)], criteria)[0]
    assert judge([row(0.5, 100.0), row(1.0, 109.0)], criteria)[0]
    converged, verdict = judge([row(0.5, 100.0), row(1.0, 80.0)], criteria)
    assert not converged
    assert '20.0%' in verdict


def test_agreement_has_to_last():
    criteria = {**CRITERIA, 'stable_iterations': 3}
    rows = [row(1.0, 50.0), row(0.5, 50.0), row(1.0, 50.0), row(0.95, 50.0)]
    converged, verdict = judge(rows, criteria)
    assert not converged
    assert '2 of 3' in verdict
    assert pending(rows, criteria)
    assert judge([*rows, row(None, None), row(0.9, 50.0)], criteria)[0]
    assert not pending([*rows, row(0.9, 50.0)], criteria)
    assert not pending([row(0.5, 50.0)], criteria)
    assert not pending([], criteria)


def test_stages_follow_each_other_and_the_last_one_converges():
    criteria = {**CRITERIA, 'stages': 2}

    def staged(fraction, stage):
        return {**row(fraction, 50.0), 'stage': stage}

    assert next_stage([], criteria) == 0
    first = [staged(0.4, 0)]
    assert next_stage(first, criteria) == 0
    known = [*first, staged(0.95, 0)]
    assert next_stage(known, criteria) == 1
    assert pending(known, criteria)
    converged, verdict = judge(known, criteria)
    assert not converged
    assert 'Stage 1 of 2' in verdict
    # What was known at one stage says nothing of the next.
    assert next_stage([*known, staged(0.2, 1)], criteria) == 1
    last = [*known, staged(0.95, 1)]
    assert judge(last, criteria)[0]
    assert next_stage(last, criteria) == 1
    assert not judge(last, {**criteria, 'stable_iterations': 2})[0]


def watched(diffusivity, error=0.01, temperature=600.0, diffusive=True):
    """A row of the iteration table in which one structure was watched."""
    row = {'structure': 'crystal', 'temperature_K': temperature, 'diffusive': diffusive}
    return {'transport': [{**row, 'diffusivity_cm2_s': diffusivity, 'error_cm2_s': error}]}


@pytest.mark.parametrize(
    ('rows', 'doubt'),
    [
        ([watched(1.0), watched(1.1)], None),
        ([watched(9.0), watched(1.0), watched(1.1)], None),
        ([watched(1.0), watched(1.3)], 'changed by 30%'),
        ([watched(1.0), watched(1.1, error=0.4)], '40%'),
        ([watched(1.0)], 'no previous value'),
        ([watched(1.0, temperature=300.0), watched(1.0)], 'no previous value'),
        ([{}, watched(1.0)], 'no previous value'),
        ([watched(1.0), watched(None, None, diffusive=False)], '`conductivity`'),
        ([watched(None, None, diffusive=False), watched(1.0)], 'only one of'),
        ([watched(1.0), {}], '`conductivity`'),
    ],
)
def test_diffusion_has_to_settle(rows, doubt):
    answer = settled(rows, 0.2)
    assert answer is None if doubt is None else doubt in answer
    explored = [{'accurate_fraction': 1.0, 'force_rmse_meV_A': 10.0, **row} for row in rows]
    criteria = {**CRITERIA, 'maximum_force_rmse': 1.0}
    assert judge(explored, {**criteria, 'maximum_diffusivity_change': 0.2})[0] == (doubt is None)
    assert judge(explored, criteria)[0]
