"""Anisotropic diffusion: the diffusion tensor, its errors, and the coefficient along or across a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.diffusion import CM2_PER_S, Diffusion, Statistics
from aiida_dpasse.transport.displacement import VOIGT
from aiida_dpasse.transport.estimate import Estimate

Array = NDArray[np.float64]

#: The trace over three, as a combination of the elements.
MEAN = np.array([1, 1, 1, 0, 0, 0]) / 3


@dataclass(frozen=True)
class Tensor:
    """A diffusion tensor.

    :param elements: xx, yy, zz, yz, xz and xy, (6,) cm^2/s; within its error a diagonal element may be negative.
    :param covariance: of the elements, (6, 6) cm^4/s^2.
    """

    elements: Array
    covariance: Array

    @property
    def values(self) -> Array:
        """The tensor, (3, 3) cm^2/s."""
        return _square(self.elements)

    @property
    def errors(self) -> Array:
        """Standard deviations of `values`, (3, 3) cm^2/s."""
        return _square(np.sqrt(np.diag(self.covariance)))

    def along(self, direction: Any) -> Estimate:
        """Return D along a direction.

        :param direction: Cartesian vector (3,), of any length.
        :raises ValueError: if the direction is zero.
        """
        return self._contracted(_projector(direction))

    def across(self, direction: Any) -> Estimate:
        """Return the mean D of all directions perpendicular to ``direction``, for example ab for the c axis of LGPS.

        :param direction: Cartesian vector (3,), of any length.
        :raises ValueError: if the direction is zero.
        """
        return self._contracted((np.eye(3) - _projector(direction)) / 2)

    def anisotropy(self, direction: Any) -> Estimate | None:
        """Return the ratio of D along a direction to D across it, with their covariance.

        :param direction: Cartesian vector (3,), of any length.
        :returns: None unless both coefficients are positive.
        :raises ValueError: if the direction is zero.
        """
        projector = _projector(direction)
        along, across = _factors(projector), _factors((np.eye(3) - projector) / 2)
        top, bottom = float(along @ self.elements), float(across @ self.elements)
        if top <= 0 or bottom <= 0:
            return None
        relative = along / top - across / bottom
        return Estimate(top / bottom, top / bottom * float(relative @ self.covariance @ relative) ** 0.5)

    def _contracted(self, matrix: Array) -> Estimate:
        """Return sum_ij matrix_ij D_ij."""
        factors = _factors(matrix)
        return Estimate(float(factors @ self.elements), float(factors @ self.covariance @ factors) ** 0.5)


def diffusion_tensor(
    runs: Sequence[Statistics], found: Diffusion, kind: Literal['tracer', 'collective'] = 'tracer'
) -> Tensor | None:
    """Return the tensor of D* or D_sigma, with the weights of the limit of its trace, which equals 3 D.

    The covariance of two elements of a spectrum of Gaussian motion is that of Wishart (Biometrika 20A, 32, 1928). It
    contains the rattling at finite frequencies, so that the error of an axis without diffusion is not zero. All
    elements are scaled by one factor such that the error of the trace is that of 3 D.

    :param runs: statistics of the runs.
    :param found: result of `pool` for the same runs.
    :param kind: 'tracer' or 'collective'.
    :returns: None if that coefficient is undetermined.
    """
    estimate, limit = (found.tracer, found.limit) if kind == 'tracer' else (found.collective, found.limit)
    if estimate is None or limit is None:
        return None
    elements, covariance = np.zeros(6), np.zeros((6, 6))
    for weights, run in zip(limit.weights, runs, strict=True):
        spectrum = run.spectrum
        elements += weights @ (spectrum.tracer if kind == 'tracer' else spectrum.collective)
        power = np.array([_square(row) for row in spectrum.tracer])
        for row, (i, j) in enumerate(VOIGT):
            for column, (k, m) in enumerate(VOIGT):
                products = power[:, i, k] * power[:, j, m] + power[:, i, m] * power[:, j, k]
                covariance[row, column] += float(weights**2 / spectrum.counts @ products)
    covariance *= estimate.spread**2 / float(MEAN @ covariance @ MEAN)
    return Tensor(elements * CM2_PER_S, covariance)


def _projector(direction: Any) -> Array:
    vector = np.asarray(direction, dtype=float)
    if not np.any(vector):
        raise ValueError('A direction of zero length points nowhere: give another.')
    unit = vector / np.linalg.norm(vector)
    return np.outer(unit, unit)


def _factors(matrix: Array) -> Array:
    """Return the coefficients of the six elements of a symmetric tensor D in sum_ij matrix_ij D_ij."""
    return np.array([matrix[i, j] * (1 if i == j else 2) for i, j in VOIGT])


def _square(elements: Array) -> Array:
    """Return the symmetric matrix (3, 3) of six elements in Voigt order."""
    matrix = np.zeros((3, 3))
    for value, (i, j) in zip(elements, VOIGT, strict=True):
        matrix[i, j] = matrix[j, i] = value
    return matrix
