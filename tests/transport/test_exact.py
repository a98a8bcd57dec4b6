"""Tensors, vacancies and several carriers against exact truths."""

from __future__ import annotations

import numpy as np
import pytest
from walks import lattice_walk, vacancy_walk

from aiida_dpasse.transport.diffusion import pool, take_statistics
from aiida_dpasse.transport.displacement import charge_scaled
from aiida_dpasse.transport.tensor import diffusion_tensor


@pytest.mark.parametrize(('kind', 'edges', 'truth'), [('sc', (3, 4, 5), 0.6531), ('fcc', (4, 6), 0.7815)])
def test_single_vacancy_has_the_correlation_factor_of_its_lattice(kind, edges, truth):
    """H = f in the infinite lattice; a finite one of N sites deviates as 1/N. The vacancy itself walks at random."""
    rng = np.random.default_rng(1)
    length = 1.0 if kind == 'sc' else np.sqrt(2)
    sizes, values, errors = [], [], []
    for edge in edges:
        stride = edge**3 // 8
        positions = vacancy_walk(rng, kind, edge, 200_000, stride)
        result = pool([take_statistics(positions, 1.0, 1.0)])
        ions = positions.shape[1]
        exact = length**2 * stride / (6 * ions) * 1e-4
        assert abs(result.collective.value - exact) < 3.5 * result.collective.error
        sizes.append(ions + 1)
        values.append(result.haven.value)
        errors.append(result.haven.error)
    design = np.stack([np.ones(len(sizes)), 1 / np.array(sizes)], axis=1) / np.array(errors)[:, None]
    covariance = np.linalg.inv(design.T @ design)
    limit, error = (covariance @ design.T @ (np.array(values) / errors))[0], np.sqrt(covariance[0, 0])
    assert abs(limit - truth) < 3 * error
    assert error < 0.03


def test_tensor_of_motion_along_a_tilted_axis():
    """Fast along one direction, slow across it, as LGPS along c: both values, and the errors by 60 trials."""
    rng = np.random.default_rng(3)
    axis = np.array([1.0, 2, 2]) / 3
    basis = np.linalg.qr(np.column_stack([axis, [0, 1, 0], [0, 0, 1]]))[0]
    scores = []
    for _ in range(60):
        steps = rng.normal(size=(400, 20, 3)) * np.sqrt([2.0, 0.2, 0.2])
        run = take_statistics(np.cumsum(steps @ basis.T, axis=0), 1.0, 1000.0)
        result = pool([run])
        tensor = diffusion_tensor([run], result)
        assert np.trace(tensor.values) / 3 == pytest.approx(result.tracer.value)
        truth = basis @ np.diag([1.0, 0.1, 0.1]) @ basis.T * 1e-4
        along, across = tensor.along(axis), tensor.across(axis)
        elements = ((tensor.values - truth) / tensor.errors)[np.triu_indices(3)]
        scores.append([(along.value - 1e-4) / along.error, (across.value - 1e-5) / across.error, *elements])
    assert diffusion_tensor([run], result, 'collective').values.shape == (3, 3)
    np.testing.assert_allclose(np.std(scores, axis=0), 1, atol=0.35)
    np.testing.assert_allclose(np.mean(scores, axis=0), 0, atol=0.5)
    with pytest.raises(ValueError, match='zero length'):
        tensor.along([0, 0, 0])


def test_members_of_clusters_are_counted():
    """Ions that move as one scatter less between each other than between frequencies."""
    rng = np.random.default_rng(4)
    for size in (1, 2, 5):
        walks = [lattice_walk(rng, 2000, 20, 0.2, 1.0, size) for _ in range(10)]
        found = [pool([take_statistics(walk, 1.0, 1.0)]).limit.together for walk in walks]
        assert np.mean(found) == pytest.approx(size, rel=0.3)


def test_carriers_of_two_charges():
    """Independent ions of charges 1 and -2: D_sigma is the mean of D by z^2, H = 1."""
    rng = np.random.default_rng(5)
    one, two = lattice_walk(rng, 1500, 16, 0.1, 2.0), lattice_walk(rng, 1500, 16, 0.3, 2.0)
    charges = np.repeat([1.0, -2.0], 16)
    runs = [take_statistics(np.concatenate([one, two], axis=1), 1.0, 1000.0, charges)]
    result = pool(runs)
    truth = (0.1 + 4 * 0.3) / 5 * 4 / 6 * 1e-4
    assert abs(result.tracer.value - truth) < 3 * result.tracer.error
    assert abs(result.collective.value - truth) < 3 * result.collective.error
    assert abs(result.haven.value - 1) < 3 * result.haven.error
    with pytest.raises(ValueError, match='No ion carries a charge'):
        charge_scaled(one, np.zeros(16))


def test_estimates_of_runs_that_scatter_are_widened():
    """Replicas that differ by more than their errors, as where configurations differ, are not averaged blindly."""
    rng = np.random.default_rng(6)
    alike = [take_statistics(lattice_walk(rng, 600, 16, 0.1, 2.0), 1.0, 1000.0) for _ in range(4)]
    apart = [take_statistics(lattice_walk(rng, 600, 16, rate, 2.0), 1.0, 1000.0) for rate in (0.08, 0.1, 0.12, 0.14)]
    assert pool(apart).tracer.relative_error > 2 * pool(alike).tracer.relative_error
    # The scatter between groups is not that of replicas.
    assert pool(apart, range(4)).tracer.relative_error < 0.5 * pool(apart).tracer.relative_error
    assert pool(apart, [0] * 4).tracer == pool(apart).tracer
