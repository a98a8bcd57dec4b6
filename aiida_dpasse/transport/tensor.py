"""Anisotropic diffusion: the diffusion tensor, its errors, and the coefficient along or across a direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.diffusion import Diffusion, Statistics
from aiida_dpasse.transport.displacement import VOIGT
from aiida_dpasse.transport.estimate import Estimate
from aiida_dpasse.transport.fit import CM2_PER_S

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tensor:
    """A diffusion tensor.

    :param values: (3, 3) cm^2/s.
    :param degrees_of_freedom: effective degrees of freedom of the chi^2 distribution of each axis.
    """

    values: Array
    degrees_of_freedom: float

    @property
    def errors(self) -> Array:
        """Standard deviations (3, 3) in cm^2/s; their squares are (D_ii D_jj + D_ij^2) / `degrees_of_freedom`.

        Wishart, Biometrika 20A, 32 (1928).
        """
        diagonal = np.diag(self.values)
        return np.asarray(np.sqrt((np.outer(diagonal, diagonal) + self.values**2) / self.degrees_of_freedom))

    def along(self, direction: Any) -> Estimate:
        """Return D along a direction.

        :param direction: Cartesian vector (3,), of any length.
        :raises ValueError: if the direction is zero.
        """
        vector = np.asarray(direction, dtype=float)
        if not np.any(vector):
            raise ValueError('A direction of zero length points nowhere: give another.')
        unit = vector / np.linalg.norm(vector)
        return Estimate(float(unit @ self.values @ unit), self.degrees_of_freedom)

    def across(self, direction: Any) -> Estimate:
        """Return the mean D of all directions perpendicular to ``direction``, for example ab for the c axis of LGPS.

        :param direction: Cartesian vector (3,), of any length.
        :raises ValueError: if the direction is zero.
        """
        along = self.along(direction)
        plane = (float(np.trace(self.values)) - along.value) / 2
        # The mean of two equal axes has twice the degrees of freedom of one.
        return Estimate(plane, 2 * self.degrees_of_freedom)


def diffusion_tensor(
    runs: Sequence[Statistics], found: Diffusion, kind: Literal['tracer', 'collective'] = 'tracer'
) -> Tensor | None:
    """Return the tensor of D* or D_sigma, with the weights of the fit of its trace, which equals 3 D.

    :param runs: statistics of the runs.
    :param found: result of `pool` for the same runs.
    :param kind: 'tracer' or 'collective'.
    :returns: None if that coefficient is undetermined, or the runs lack the off-diagonal moments.
    """
    estimate, fit = (found.tracer, found.fit) if kind == 'tracer' else (found.collective, found.fit)
    if estimate is None or fit is None:
        return None
    values = np.zeros((3, 3))
    for run in runs:
        axes, cross = (run.msd, run.cross) if kind == 'tracer' else (run.collective, run.collective_cross)
        if cross is None:
            return None
        slopes = fit.weights @ np.concatenate([axes, cross], axis=1)[fit.chosen]
        for (i, j), slope in zip(VOIGT, slopes, strict=True):
            values[i, j] += slope / len(runs) * CM2_PER_S / 2
            values[j, i] = values[i, j]
    # The degrees of freedom of the trace are (sum D_k)^2 / sum D_k^2 times those of one axis.
    axes_counted = float(np.trace(values) ** 2 / np.sum(values**2))
    return Tensor(values, estimate.degrees_of_freedom / axes_counted)
