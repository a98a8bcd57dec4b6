"""Variance components against exact results, and the coverage of the intervals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).parents[1] / 'benchmarks'))
from interval_calibration import Case, coverage

from aiida_dpasse.transport.arrhenius import fit_arrhenius
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV
from aiida_dpasse.transport.ensemble import pool_repeats, split_variance
from aiida_dpasse.transport.ensemble_line import Series, fit_ensemble, leave_out


def scalar(values, thermal, potentials, configurations):
    """Return effects and uncertainty of numbers with one thermal variance."""
    count = len(values)
    effects = split_variance(
        np.reshape(values, (count, 1)), np.full((count, 1, 1), thermal), potentials, configurations
    )
    return effects, effects.uncertainty(effects.thermal, [1.0])


def test_one_factor_is_the_interval_of_student():
    values = [1.0, 2.0, 6.0]
    effects, found = scalar(values, 0.3, 'abc', 'xxx')
    assert effects.mean == pytest.approx(3)
    assert effects.configurational is None
    variance = np.var(values, ddof=1)
    assert found.thermal == pytest.approx(0.1)
    assert found.model == pytest.approx((variance - 0.3) / 3)
    assert found.counts == ['thermal', 'model']
    assert found.degrees_of_freedom == pytest.approx(2)
    assert found.half_width(0.95) == pytest.approx(student.ppf(0.975, 2) * np.sqrt(variance / 3))


def test_potentials_that_agree_by_chance_keep_the_thermal_error():
    _, found = scalar([1.0, 1.001], 0.3, 'ab', 'xx')
    assert (found.model, found.parts['configurational']) == (0, None)
    assert found.half_width(0.95) == pytest.approx(norm.ppf(0.975) * np.sqrt(0.15))


def test_two_factors_are_those_of_the_analysis_of_variance():
    """Balanced data: the mean squares between rows and between columns."""
    table = np.array([[1.0, 2, 4], [3.0, 5, 5]])
    effects, found = scalar(table.ravel(), 0.1, 'aaabbb', 'xyzxyz')
    rows, columns = (3 * np.var(table.mean(axis=1), ddof=1), 2 * np.var(table.mean(axis=0), ddof=1))
    assert found.model == pytest.approx((rows - 0.1) / 6)
    assert found.configurational == pytest.approx((columns - 0.1) / 6)
    assert found.scatter == pytest.approx((rows + columns - 0.1) / 6)
    freedom = (rows + columns - 0.1) ** 2 / (rows**2 + columns**2 / 2)
    assert found.degrees_of_freedom == pytest.approx(freedom)
    assert effects.model.degrees_of_freedom == 1
    assert effects.configurational.degrees_of_freedom == 2


def test_components_of_unbalanced_data_are_not_biased():
    """Four potentials in three configurations, of which five of twelve are missing."""
    rng = np.random.default_rng(4)
    kept = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 2), (3, 1)]
    parts = []
    for _ in range(3000):
        model, configurational = rng.normal(scale=0.6, size=4), rng.normal(scale=0.4, size=3)
        values = [model[p] + configurational[c] + 0.2 * rng.normal() for p, c in kept]
        effects, _ = scalar(values, 0.04, *zip(*kept, strict=True))
        parts.append((effects.model.variance[0, 0], effects.configurational.variance[0, 0], effects.mean[0]))
    model, configurational, mean = np.transpose(parts)
    share = [np.unique([pair[axis] for pair in kept], return_counts=True)[1] / 7 for axis in (0, 1)]
    assert model.mean() == pytest.approx(0.36 * np.sum(share[0] ** 2), rel=0.06)
    assert configurational.mean() == pytest.approx(0.16 * np.sum(share[1] ** 2), rel=0.15)
    assert np.var(mean) == pytest.approx(
        0.36 * np.sum(share[0] ** 2) + 0.16 * np.sum(share[1] ** 2) + 0.04 / 7, rel=0.1
    )


def test_factors_that_cannot_be_told_apart_count_as_one():
    effects, found = scalar([1.0, 2, 4], 0.1, 'abc', 'xyz')
    variance = np.var([1.0, 2, 4], ddof=1)
    assert (effects.model, effects.configurational, found.model, found.configurational) == (None,) * 4
    assert found.joint == pytest.approx((variance - 0.1) / 3)
    assert found.scatter == pytest.approx(variance / 3)
    assert found.counts == ['thermal', 'configurational_and_model']
    assert found.degrees_of_freedom == pytest.approx(2)
    assert effects.covariance(effects.thermal)[0, 0] == pytest.approx(variance / 3)
    alone, found = scalar([1.0], 0.1, 'a', 'x')
    assert (alone.model, alone.configurational, found.counts) == (None, None, ['thermal'])
    for labels in ((), ('a', 'b')):
        with pytest.raises(ValueError, match='groups are given'):
            scalar(np.zeros(len(labels)), 0.1, labels, ('x',) * (len(labels) - 1))


def test_repeats_differ_beyond_their_errors():
    found = pool_repeats([1.0, 3.0], [0.1, 0.1])
    assert found.error == pytest.approx(1)
    assert found.spread == pytest.approx(np.sqrt(2 - 0.01))
    assert pool_repeats([1.0, 1.0], [0.2, 0.2]).error == pytest.approx(0.2 / np.sqrt(2))


KELVINS = np.array([500.0, 600, 800, 1000])


def exact(energy, height=10.0):
    """Return y on a line with this activation energy, exp(``height``) at 700 K."""
    return np.exp(height - energy / BOLTZMANN_EV * (1 / KELVINS - 1 / 700))


def test_the_line_of_several_potentials_is_their_mean():
    energies = {'a': 0.2, 'b': 0.25, 'c': 0.33}
    series = [Series(name, 'x', KELVINS, exact(one), 0.01 * exact(one)) for name, one in energies.items()]
    pooled = np.mean([exact(one) for one in energies.values()], axis=0)
    fit = fit_ensemble(KELVINS, pooled, 0.01 * pooled, series)
    energy, low, high = fit.energy_interval()
    assert energy == pytest.approx(np.mean(list(energies.values())))
    error = np.std(list(energies.values()), ddof=1) / np.sqrt(3)
    assert (high - low) / 2 == pytest.approx(student.ppf(norm.cdf(1), 2) * error, rel=1e-2)
    # At the temperature at which they agree, only the thermal error is left.
    assert fit.at(700).model < 1e-8
    assert fit.at(300).model ** 0.5 == pytest.approx(error / BOLTZMANN_EV * (1 / 300 - 1 / 700), rel=1e-2)
    room = np.array([1, 1 / 300])
    assert room @ fit.covariance @ room == pytest.approx(
        sum(part or 0 for part in fit.at(300).parts.values()) ** 2, rel=0.1
    )
    left = leave_out(KELVINS, pooled, 0.01 * pooled, series)
    assert list(left) == list(KELVINS)
    assert all(one.energy_interval()[0] == pytest.approx(energy) for one in left.values())


def test_one_potential_has_the_line_of_its_fit():
    values = exact(0.3) * [1.1, 0.9, 1.0, 1.05]
    plain = fit_arrhenius(KELVINS, values, 0.1 * values)
    fit = fit_ensemble(KELVINS, values, 0.1 * values, [Series('a', 'x', KELVINS, values, 0.1 * values)])
    assert fit.interval(300) == pytest.approx(plain.interval(300))
    assert fit.energy_interval()[0] == pytest.approx(plain.activation_energy[0])
    assert fit.energy.counts == ['thermal']


def test_the_tracer_lends_its_variance_to_the_collective_line():
    """Single runs determine the tracer coefficient only: Haven ratio 0.5, with its own thermal error."""
    series = [Series(name, 'x', KELVINS, exact(one), 0.01 * exact(one)) for name, one in (('a', 0.2), ('b', 0.3))]
    tracer = np.mean([exact(0.2), exact(0.3)], axis=0)
    fit = fit_ensemble(KELVINS, 2 * tracer, 0.4 * tracer, series, (tracer, 0.01 * tracer))
    plain = fit_ensemble(KELVINS, tracer, 0.01 * tracer, series)
    assert fit.intercept == pytest.approx(plain.intercept + np.log(2))
    assert fit.slope == pytest.approx(plain.slope)
    assert fit.energy.model == pytest.approx(plain.energy.model)
    assert fit.energy.thermal > 100 * plain.energy.thermal
    assert fit.energy.degrees_of_freedom > plain.energy.degrees_of_freedom


def test_series_with_one_temperature_are_left_out():
    whole = Series('a', 'x', KELVINS, exact(0.2), 0.1 * exact(0.2))
    single = Series('b', 'x', KELVINS[:1], exact(0.3)[:1], 0.1 * exact(0.3)[:1])
    assert fit_ensemble(KELVINS, exact(0.2), 0.1 * exact(0.2), [whole, single]).energy.counts == ['thermal']


@pytest.mark.parametrize(
    'case',
    [Case(3, 1, 5), Case(3, 1, 4, missing=0.15), Case(5, 1, 5), Case(1, 3, 4)],
    ids=lambda case: f'{case.potentials}-{case.configurations}-{case.temperatures}',
)
def test_intervals_cover_the_truth(case):
    """Nominal 68.3 and 95 %, with 400 trials; the table of all designs is in the documentation."""
    for narrow, wide in coverage(case, 400):
        assert 0.60 < narrow < 0.76
        assert 0.92 < wide < 0.985
