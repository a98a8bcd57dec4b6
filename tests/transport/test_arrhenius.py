"""Arrhenius fits against exact lines, and the checks of a line."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.transport.arrhenius import curvature, fit_arrhenius, leave_one_out
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV
from aiida_dpasse.transport.vtf import fit_vtf


def test_arrhenius_recovers_the_line_and_its_interval():
    """Exact data give the exact energy; the extrapolation carries the covariance of slope and intercept."""
    t = np.array([600.0, 800.0, 1000.0])
    y = 3.0 * np.exp(-0.25 / (BOLTZMANN_EV * t))
    fit = fit_arrhenius(t, y, 0.1 * y)
    assert np.isclose(fit.activation_energy[0], 0.25)
    assert np.isclose(np.exp(fit.intercept), 3.0)
    value, low, high = fit.interval(300)
    assert np.isclose(value, 3.0 * np.exp(-0.25 / (BOLTZMANN_EV * 300)))
    rng = np.random.default_rng(1)
    trials = [fit_arrhenius(t, y * np.exp(rng.normal(scale=0.1, size=3)), 0.1 * y).at(300)[0] for _ in range(1000)]
    assert np.isclose(np.std(trials), fit.at(300)[1], rtol=0.1)
    assert np.isclose(np.log(high / low) / 2, fit.at(300)[1])
    scattered = fit_arrhenius([600, 800, 1000, 1200], [1.0, 4.0, 5.0, 20.0], [0.01, 0.04, 0.05, 0.2])
    assert scattered.reduced_chi_squared > 1
    assert scattered.at(300)[1] > 1


def test_arrhenius_refuses_too_little():
    """Two temperatures, or a value that is not positive, give no line."""
    with pytest.raises(ValueError, match='2 temperatures are too few'):
        fit_arrhenius([600, 800, 800], [1, 2, 3], [1, 1, 1])
    with pytest.raises(ValueError, match='should be positive'):
        fit_arrhenius([600, 700, 800], [1, 0, 3], [1, 1, 1])


def test_arrhenius_with_a_power_of_temperature():
    t = np.array([500.0, 600, 800, 1000])
    y = 2.0 * t**-1 * np.exp(-0.2 / (BOLTZMANN_EV * t))
    fit = fit_arrhenius(t, y, 0.05 * y, exponent=-1)
    assert fit.activation_energy[0] == pytest.approx(0.2)
    assert fit.interval(300)[0] == pytest.approx(2 / 300 * np.exp(-0.2 / (BOLTZMANN_EV * 300)))
    assert fit_arrhenius(t, y, 0.05 * y).activation_energy[0] != pytest.approx(0.2, abs=0.01)


def test_leaving_one_temperature_out_shows_on_which_the_line_hangs():
    t = np.array([500.0, 600, 800, 1000])
    y = np.exp(-0.2 / (BOLTZMANN_EV * t))
    y[0] *= 3
    fits = leave_one_out(t, y, 0.05 * y)
    assert set(fits) == set(t)
    assert fits[500].activation_energy[0] == pytest.approx(0.2)
    assert abs(fits[1000].activation_energy[0] - 0.2) > 0.02
    assert leave_one_out(t[:3], y[:3], y[:3]) == {}


def test_a_bend_is_seen_and_a_line_has_none():
    """The coefficient is exact, its error that of 500 trials, and a straight line is called bent in one case of 20."""
    t = np.array([400.0, 500, 600, 800, 1000])
    x = 1 / t - np.mean(1 / t)
    exact = np.exp(-3000 * x + 4e5 * x**2)
    assert curvature(t, exact, 0.01 * exact).coefficient == pytest.approx(4e5)
    rng = np.random.default_rng(7)
    y = np.exp(-3000 / t)
    trials = [curvature(t, y * np.exp(rng.normal(scale=0.1, size=5)), 0.1 * y) for _ in range(500)]
    assert np.std([trial.coefficient for trial in trials]) == pytest.approx(trials[0].error, rel=0.15)
    assert np.mean([trial.bent for trial in trials]) == pytest.approx(0.05, abs=0.05)
    assert curvature(t, y * np.exp(1e6 * x**2), 0.01 * y).bent
    with pytest.raises(ValueError, match='3 temperatures are too few'):
        curvature(t[:3], y[:3], y[:3])


def test_errors_from_the_scatter_cover_the_truth():
    """Without errors the 68 % intervals of four points contain the truth as often as they should."""
    t = np.array([500.0, 600, 800, 1000])
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(1000):
        fit = fit_arrhenius(t, np.exp(-3000 / t + rng.normal(scale=0.2, size=4)))
        _, low, high = fit.interval(300)
        inside.append((low < np.exp(-10) < high, fit.energy_interval(0.95)))
    assert np.mean([each for each, _ in inside]) == pytest.approx(0.683, abs=0.04)
    energy = 3000 * BOLTZMANN_EV
    assert np.mean([low < energy < high for _, (low, high) in inside]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(('errors', 'scale'), [(True, 0.05), (False, 0.05)])
def test_the_vtf_equation_is_rarely_preferred_for_a_line(errors, scale):
    """In one of 20 lines at most; and a curve of VTF kind is found with its parameters."""
    rng = np.random.default_rng(5)
    t = np.linspace(300, 600, 8)
    y = np.exp(-3000 / t)
    e = scale * y if errors else None
    fits = [fit_vtf(t, y * np.exp(rng.normal(scale=scale, size=8)), e) for _ in range(200)]
    assert np.mean([fit.preferred for fit in fits]) < 0.05
    fits = [fit_vtf(t, np.exp(-1000 / (t - 200) + rng.normal(scale=scale, size=8)), e) for _ in range(200)]
    assert np.mean([fit.preferred for fit in fits]) > 0.9
    pulls = [(fit.t0 - 200) / np.sqrt(fit.covariance[2, 2]) for fit in fits]
    assert np.median(pulls) == pytest.approx(0, abs=0.3)
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.68 if errors else 0.64, abs=0.1)


def test_an_uncertain_point_hardly_moves_the_line():
    t = np.array([500.0, 600, 800, 1000])
    y = np.exp(-0.2 / (BOLTZMANN_EV * t))
    relative = np.array([100.0, 0.01, 0.01, 0.01])
    y[0] *= 3
    assert fit_arrhenius(t, y, relative * y).activation_energy[0] == pytest.approx(0.2, abs=1e-4)
