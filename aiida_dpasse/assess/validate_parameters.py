"""Parameters of a validation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.label import RelaxationParameters


class HeatingParameters(Parameters):
    """A linear heating; the temperature of a frame follows from its MD step."""

    first: float = Field(gt=0, description='Temperature of step 0, K.')
    last: float = Field(gt=0, description='Temperature of the last step, K.')
    steps: int = Field(gt=0, description='Last step.')


class DescriptorParameters(Parameters):
    """Parameters of the two-dimensional map of the frames."""

    potential: str | None = Field(
        default=None,
        description='Label of the potential whose descriptors are used, averaged over the atoms; null describes frames '
        'by their radial distributions.',
    )
    method: Literal['pca', 'tsne'] = Field(
        description='`pca`, principal components, or `tsne`, t-distributed stochastic neighbour embedding.'
    )
    perplexity: float = Field(
        default=30.0, gt=1, description='Perplexity of `tsne`; at most a third of the number of frames is used.'
    )
    max_frames: int = Field(gt=1, description='Largest number of frames of each set, drawn at random.')


class ValidateParameters(Parameters):
    """Parameters of the tests, the relaxations and the map."""

    heads: dict[str, str] = Field(
        default_factory=dict, description='Head to use of each multi-task potential, by label of the potential.'
    )
    temperatures: dict[str, list[float] | HeatingParameters] = Field(
        default_factory=dict,
        description='Temperatures of the frames in K by test set: one number for each frame, or a linear heating.',
    )
    temperature_bin: float = Field(gt=0, description='Width of the temperature bins, K.')
    batch_size: int = Field(gt=0, description='Largest number of frames in one job of a calculator.')
    parity_points: int = Field(gt=0, description='Number of points in the parity plot of each test.')
    descriptors: DescriptorParameters | None = Field(
        default=None, description='Map of the test sets and of `training_data`; null omits it.'
    )
    relaxation: RelaxationParameters = Field(default=RelaxationParameters(), description='Relaxation of `structures`.')
    decomposition: dict[str, float] = Field(
        default_factory=dict,
        description='Reference decomposition energies of `structures`, meV/atom, negative if stable.',
    )
    seed: int = Field(ge=0, description='Seed of the parity points, the map and `tsne`.')
