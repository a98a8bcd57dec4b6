"""Transport against exact truths: walks, oscillators, clusters, ideal gases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import pool, take_statistics
from aiida_dpasse.transport.displacement import (
    collective_displacement,
    mean_square_displacement,
    remove_drift,
    unwrap,
)
from aiida_dpasse.transport.tensor import diffusion_tensor
from aiida_dpasse.transport.vanhove import distinct_part, non_gaussian_parameter, self_part


def walk(rng, frames=400, ions=24, variance=1.0, noise=0.0):
    """Return Brownian positions whose steps have ``variance`` per axis, blurred by ``noise`` per axis."""
    steps = rng.normal(scale=np.sqrt(variance), size=(frames, ions, 3))
    return np.cumsum(steps, axis=0) + rng.normal(scale=np.sqrt(noise), size=(frames, ions, 3))


def statistics(positions, interval=0.1, volume=1000.0, charges=None):
    """Return the statistics of a trajectory."""
    return take_statistics(positions, interval, volume, charges)


def test_msd_is_the_direct_sum():
    """The fast transform agrees with the definition, sum over origins, for tracer and collective."""
    positions = walk(np.random.default_rng(1), frames=30, ions=5) + 100
    charges = np.array([1.0, 1, 2, -1, 1])
    msd, collective = mean_square_displacement(positions), collective_displacement(positions, charges)
    for lag in (1, 7, 29):
        steps = positions[lag:] - positions[: 30 - lag]
        np.testing.assert_allclose(msd[lag], (steps**2).mean(axis=(0, 1)), rtol=1e-9)
        dipole = np.einsum('fai,a->fi', steps, charges)
        np.testing.assert_allclose(collective[lag], (dipole**2).mean(axis=0) / np.sum(charges**2), rtol=1e-9)


def test_ballistic_motion_is_quadratic():
    """Atoms of constant velocity have MSD = v^2 t^2 exactly."""
    velocity = np.array([[1.0, 2.0, 3.0]])
    positions = np.arange(50)[:, None, None] * velocity[None]
    expected = np.arange(50)[:, None] ** 2 * velocity**2
    np.testing.assert_allclose(mean_square_displacement(positions), expected, atol=1e-7)


@pytest.mark.parametrize('dimensions', [1, 2, 3])
def test_lattice_walk(dimensions):
    """A lattice walk with hop probability p per step has D = p a^2 / (2 d dt)."""
    rng = np.random.default_rng(dimensions)
    p, a, interval, frames, ions = 0.3, 2.0, 0.05, 2000, 100
    hops = np.zeros((frames, ions, 3))
    axis, sign = rng.integers(dimensions, size=(frames, ions)), rng.choice([-a, a], size=(frames, ions))
    moved = rng.random((frames, ions)) < p
    np.put_along_axis(hops, axis[..., None], (sign * moved)[..., None], axis=2)
    run = statistics(np.cumsum(hops, axis=0), interval)
    result = pool([run])
    truth = p * a**2 / (6 * interval) * 1e-4
    assert abs(result.tracer.value - truth) < 3 * result.tracer.error
    assert result.tracer.error < 0.03 * truth
    tensor = diffusion_tensor([run], result)
    for axis in range(3):
        exact = 3 * truth / dimensions if axis < dimensions else 0.0
        assert abs(tensor.values[axis, axis] - exact) <= 3.5 * tensor.errors[axis, axis]


def test_haven_ratio_of_independent_ions_is_one():
    """Independent ions have H = 1 and rigid clusters of n have H = 1/n."""
    rng = np.random.default_rng(3)
    for size in (1, 4):
        runs = [statistics(np.repeat(walk(rng, 1500, 12), size, axis=1)) for _ in range(12)]
        result = pool(runs)
        assert abs(result.haven.value - 1 / size) < 3 * result.haven.error
        assert result.haven.error < 0.35 / size


def test_collective_of_one_short_run_is_undetermined():
    """One short run of rattling ions does not determine the collective coefficient, which is None."""
    result = pool([statistics(walk(np.random.default_rng(2), 100, 200, 0.04, noise=4.0))])
    assert result.verdict.diffusive
    assert result.tracer is not None
    assert (result.collective, result.haven) == (None, None)


def test_opposite_charges_that_move_together_carry_nothing():
    """Pairs of opposite charge that move as one have no collective displacement."""
    positions = np.repeat(walk(np.random.default_rng(4), 100, 5), 2, axis=1)
    assert np.allclose(collective_displacement(positions, [1, -1] * 5), 0)


@pytest.mark.parametrize('width', [0.3, 3.0])
def test_bounded_oscillator_is_not_diffusive(width):
    """Ions in a well, however wide, are not diffusive, and D is bounded by a part of s^2 over the length of the run."""
    rng = np.random.default_rng(7)
    frames, ions, memory = 2000, 24, 0.9
    positions = np.zeros((frames, ions, 3))
    for frame in range(1, frames):
        positions[frame] = memory * positions[frame - 1] + rng.normal(
            scale=width * np.sqrt(1 - memory**2), size=(ions, 3)
        )
    run = statistics(positions)
    np.testing.assert_allclose(run.msd.sum(axis=1)[300:].mean(), 6 * width**2, rtol=0.1)
    result = pool([run])
    assert not result.verdict.diffusive
    assert result.tracer is None
    assert 0 < result.upper_bound < width**2 / run.duration * 1e-4
    assert result.limit.offset == pytest.approx(2 * width**2, rel=0.1)


def test_langevin_motion_diffuses():
    """A Langevin particle has MSD = 6 D (t - tau (1 - exp(-t/tau))) with D = k_B T tau / m."""
    rng = np.random.default_rng(8)
    frames, ions, interval, tau, thermal = 3000, 50, 0.05, 0.2, 4.0
    decay = np.exp(-interval / tau)
    velocity = rng.normal(scale=np.sqrt(thermal), size=(ions, 3))
    positions = np.zeros((frames, ions, 3))
    fine = 20
    small = np.exp(-interval / fine / tau)
    for frame in range(1, frames):
        point = positions[frame - 1].copy()
        for _ in range(fine):
            velocity = small * velocity + rng.normal(scale=np.sqrt(thermal * (1 - small**2)), size=(ions, 3))
            point += velocity * interval / fine
        positions[frame] = point
    assert 0 < decay < 1
    result = pool([statistics(positions, interval)])
    assert result.verdict.diffusive, result.verdict.reason
    assert abs(result.tracer.value - thermal * tau * 1e-4) < 3 * result.tracer.error


def test_frames_that_are_copies_of_each_other_are_not_diffusive():
    result = pool([statistics(np.ones((100, 4, 3)))])
    assert (result.tracer, result.estimate, result.upper_bound) == (None, None, None)
    assert not result.verdict.diffusive
    with pytest.raises(ValueError, match='no run to pool'):
        pool([])


def test_ions_that_drift_are_not_diffusive():
    """A common velocity gives power at the lowest frequencies that no diffusion explains."""
    rng = np.random.default_rng(11)
    still = walk(rng, 400, 24)
    assert pool([statistics(still)]).verdict.diffusive
    driven = pool([statistics(still + np.arange(400)[:, None, None] * np.array([0.5, 0, 0]))])
    assert (driven.verdict.diffusive, driven.upper_bound) == (False, None)


def test_a_framework_that_moves_is_no_framework():
    """Where the framework melts or falls apart nothing diffuses in it, whatever the displacements say."""
    run = statistics(walk(np.random.default_rng(2), 200, 24))
    assert pool([run]).verdict.diffusive
    verdict = pool([run, replace(run, framework=2.5)]).verdict
    assert (verdict.diffusive, verdict.bounded) == (False, False)


def test_unwrapping_in_a_triclinic_cell_that_breathes():
    """Wrapped positions of a triclinic cell under NPT give back the way that was gone."""
    rng = np.random.default_rng(10)
    cell = np.array([[6.0, 0, 0], [2.0, 5, 0], [-1.0, 1.5, 7]])
    scaled = np.cumsum(rng.normal(scale=0.05, size=(300, 6, 3)), axis=0) + rng.random((6, 3))
    scales = 1 + 0.01 * np.sin(np.arange(300) / 7)
    cells = scales[:, None, None] * cell
    truth = np.einsum('fai,fij->faj', scaled, cells)
    found = unwrap(scaled % 1.0, cells)
    shift = np.einsum('ai,fij->faj', scaled[0] - scaled[0] % 1.0, cells)
    np.testing.assert_allclose(found, truth - shift, atol=1e-9)


def test_drift_is_removed():
    """The way of the framework is taken off every atom and reported."""
    rng = np.random.default_rng(12)
    positions = rng.random((1, 5, 3)) + np.arange(20)[:, None, None] * np.array([0.1, 0, -0.2])
    positions[:, 0] += np.arange(20)[:, None] * 0.5
    relative, drift = remove_drift(positions, [7, 32, 32, 31, 35], [False, True, True, True, True])
    np.testing.assert_allclose(drift[-1], [1.9, 0, -3.8])
    np.testing.assert_allclose(relative[-1, 0] - relative[0, 0], [9.5] * 3)


def test_conductivity_of_a_known_case():
    """N = 24 Li in (10 A)^3 with 1e-5 cm^2/s at 300 K: N e^2 D / (V k_B T) = 148.9 mS/cm times ten."""
    expected = 24 / 1e-27 * (1.602176634e-19) ** 2 * 1e-9 / (1.380649e-23 * 300) * 10
    assert np.isclose(conductivity(1e-5, 24, 1000.0, 300.0), expected)
    assert np.isclose(conductivity(1e-5, 24, 1000.0, 300.0, charge=2), 4 * expected)
    with pytest.raises(ValueError, match='should be positive'):
        conductivity(1e-5, 24, 0.0, 300.0)


def test_van_hove_of_diffusion_and_of_an_ideal_gas():
    """G_s of diffusion is Gaussian, alpha_2 is zero, and an ideal gas has G_d = 1."""
    rng = np.random.default_rng(13)
    positions = walk(rng, 300, 60, 0.05)
    edges = np.linspace(0, 6, 31)
    lag, variance = 20, 20 * 0.05
    found = self_part(positions, lag, edges)
    r = 0.5 * (edges[1:] + edges[:-1])
    expected = 4 * np.pi * r**2 * (2 * np.pi * variance) ** -1.5 * np.exp(-(r**2) / (2 * variance))
    assert np.abs(found - expected).max() < 0.04
    assert np.isclose(np.sum(found * np.diff(edges)), 1, atol=1e-3)
    assert abs(non_gaussian_parameter(positions, lag)) < 0.05
    cell = np.array([[12.0, 0, 0], [0, 12, 0], [3, 0, 12]])
    gas = rng.random((40, 100, 3)) @ cell
    distinct = distinct_part(gas, cell, 5, np.linspace(0.5, 5.5, 11))
    assert np.abs(distinct - 1).max() < 0.1
