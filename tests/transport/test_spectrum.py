"""Power spectra of displacements and their zero-frequency limit against exact results."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.transport.memory import Spectrum, shapes, zero_frequency
from aiida_dpasse.transport.spectrum import MOST_STEPS, bin_edges, power, sine_transform


def test_sine_transform_is_its_definition():
    """Orthonormal DST-I: the definition, and its own inverse."""
    x = np.random.default_rng(1).normal(size=(7, 2))
    k = np.arange(1, 8)
    matrix = np.sqrt(2 / 8) * np.sin(np.pi * np.outer(k, k) / 8)
    np.testing.assert_allclose(sine_transform(x), matrix @ x, atol=1e-12)
    np.testing.assert_allclose(sine_transform(sine_transform(x)), x, atol=1e-12)


def test_blurred_positions_have_independent_coefficients():
    """The covariance of the displacements of white positions is diagonal after the transform: 2 - 2 cos."""
    n = 12
    covariance = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    transform = sine_transform(np.eye(n))
    k = np.arange(1, n + 1)
    np.testing.assert_allclose(
        transform @ covariance @ transform.T, np.diag(2 - 2 * np.cos(np.pi * k / (n + 1))), atol=1e-12
    )
    order = np.stack([k, k], axis=1)
    # D(f) of unit variance is the power over twice the time of a displacement.
    np.testing.assert_allclose(shapes(order, 0.5, np.array([0.0]))[:, 0], 2 - 2 * np.cos(np.pi * k / (n + 1)))


@pytest.mark.parametrize('steps', [1, 2, 5, 17, 400, 4001])
def test_bins_hold_every_order_once(steps):
    edges = bin_edges(steps)
    assert (edges[0], edges[-1]) == (1, steps + 1)
    assert np.all(np.diff(edges) > 0)


def test_power_is_that_of_the_ions():
    """Each ion, the mean tensor and the collective tensor, without binning at the lowest orders; thinned if long."""
    positions = np.cumsum(np.random.default_rng(2).normal(size=(60, 4, 3)), axis=0)
    found = power(positions, 0.2)
    modes = sine_transform(np.diff(positions, axis=0))
    np.testing.assert_allclose(found['power_A2_ps'][2], (modes[2] ** 2).mean(axis=1) / 0.4)
    np.testing.assert_allclose(found['tracer_power_A2_ps'][1, 3], np.mean(modes[1, :, 1] * modes[1, :, 2]) / 0.4)
    whole = modes.sum(axis=1)
    np.testing.assert_allclose(found['collective_power_A2_ps'][0, 5], whole[0, 0] * whole[0, 1] / 4 / 0.4)
    total = found['power_A2_ps'].mean(axis=1) @ np.diff(bin_edges(59))
    np.testing.assert_allclose(total, np.mean(np.diff(positions, axis=0) ** 2) * 59 / 0.4)
    half = sine_transform(np.diff(positions[-30:], axis=0))
    np.testing.assert_allclose(found['half_power_A2_ps'][1, 3], (half[3] ** 2).mean(axis=1) / 0.4)
    long = power(np.cumsum(np.ones((3 * MOST_STEPS, 1, 3)), axis=0), 0.2)
    assert long['order'][-1, 1] <= MOST_STEPS
    assert float(long['step_ps']) == pytest.approx(0.6)


@pytest.mark.parametrize(('times', 'amplitudes'), [((), ()), ((0.0,), (0.3,)), ((0.0, 2.0), (0.05, 0.4))])
def test_limit_of_an_exact_spectrum(times, amplitudes):
    """D and the bounded motion come out of a spectrum without noise, and a constant is its own limit."""
    steps, ions, step, d = 2000, 50, 0.1, 0.02
    edges = bin_edges(steps)
    order = np.stack([edges[:-1], edges[1:] - 1], axis=1)
    mean = d + (shapes(order, step, np.array(times)) @ np.array(amplitudes) if times else 0.0) * np.ones(len(order))
    noise = np.random.default_rng(3).normal(scale=0.05, size=(len(order), ions))
    each = mean[:, None] * (1 + noise - noise.mean(axis=1, keepdims=True))
    tensor = np.zeros((len(order), 6))
    halves = np.zeros((2, 0, ions))
    spectrum = Spectrum(step, order, each, tensor, tensor, np.zeros(ions, dtype=int), order[:0], halves)
    limit = zero_frequency([spectrum])
    assert limit.value == pytest.approx(d, rel=0.01)
    assert limit.offset == pytest.approx(2 * sum(amplitudes), rel=0.02, abs=1e-4)
    assert limit.weights[0].sum() == pytest.approx(1)
    lags = np.array([0.0, 50.0])
    np.testing.assert_allclose(limit.displacement(lags), [0, 2 * d * 50 + 2 * sum(amplitudes)], rtol=0.02, atol=1e-9)
