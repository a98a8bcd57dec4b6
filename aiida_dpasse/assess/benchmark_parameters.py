"""Parameters of a speed comparison."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.parameters.quantities import Steps, Temperature, Timestep
from aiida_dpasse.parameters.sizes import SupercellSize


class BenchmarkParameters(Parameters):
    """Parameters of the cells and of the run in each cell."""

    atoms: list[PositiveInt] | None = Field(
        default=None,
        min_length=1,
        description='Approximate numbers of atoms; the compact supercell nearest to each is used.',
    )
    supercells: list[SupercellSize] | None = Field(
        default=None,
        min_length=1,
        description='Cells instead of numbers of atoms, each three repetitions, a 3x3 matrix, or the smallest distance '
        'between images in A.',
    )
    ensemble: Literal['nve', 'nvt', 'npt'] = Field(description='Ensemble.')
    temperature: Temperature = Field(description='Temperature in K.')
    timestep: Timestep = Field(description='Time step in fs.')
    warm_up_steps: int = Field(
        gt=0, description='Steps before the timing starts, in which libraries are loaded and compiled.'
    )
    steps: Steps = Field(description='Number of timed steps.')
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> BenchmarkParameters:
        if (self.atoms is None) == (self.supercells is None):
            raise ValueError('`atoms`, `supercells`: give exactly one of them, and set the other to null')
        if message := check_parameters(MDParameters, self.dynamics(1)):
            raise ValueError(message)
        return self

    def dynamics(self, seed: int) -> dict[str, Any]:
        """Return the parameters of `dpasse.md` for one size.

        Nothing is written to disk during the timed steps.

        :param seed: seed of the initial velocities.
        """
        total = self.warm_up_steps + self.steps
        return {
            'ensemble': self.ensemble,
            'temperature': self.temperature,
            'timestep': self.timestep,
            'steps': self.steps,
            'equilibration': {'ensemble': 'npt' if self.ensemble == 'npt' else 'nvt', 'steps': self.warm_up_steps},
            'thermo_interval': total,
            'restart_interval': 2 * total,
            'seed': seed,
        }
