"""Parameters of k-points."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_dpasse.parameters.base import Parameters


class KpointsParameters(Parameters):
    """A mesh of k-points, or its spacing."""

    mesh: tuple[int, int, int] | None = Field(default=None, description='Numbers of points of the Monkhorst-Pack mesh.')
    spacing: float | None = Field(
        default=None, gt=0, description="Largest distance between points in 1/A, as VASP's KSPACING; null for a mesh."
    )

    @model_validator(mode='after')
    def _one(self) -> KpointsParameters:
        if (self.mesh is None) == (self.spacing is None):
            raise ValueError('give either `mesh` or `spacing`, the other null')
        if self.mesh is not None and min(self.mesh) < 1:
            raise ValueError(f'`mesh` should hold numbers of at least 1, got {self.mesh}')
        return self
