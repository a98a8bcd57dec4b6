"""Parameters of k-points."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters


class KpointsParameters(Parameters):
    """A mesh of k-points, or its spacing."""

    mesh: tuple[int, int, int] | None = Field(
        default=None, description='Number of points of the Monkhorst-Pack mesh along each reciprocal lattice vector.'
    )
    spacing: float | None = Field(
        default=None,
        gt=0,
        description="Largest distance between points in 1/A, as VASP's KSPACING; null if `mesh` is given.",
    )

    @model_validator(mode='after')
    def _one(self) -> KpointsParameters:
        if (self.mesh is None) == (self.spacing is None):
            raise ValueError('give either `mesh` or `spacing`, and set the other to null')
        if self.mesh is not None and min(self.mesh) < 1:
            raise ValueError(f'`mesh` should contain positive numbers, got {self.mesh}')
        return self
