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
    steps: int = Field(gt=0, description='Number of the last step.')


class DescriptorParameters(Parameters):
    """Parameters of the two-dimensional map of the frames."""

    potential: str | None = Field(
        default=None,
        description='Label of the potential whose descriptors are used, averaged over the atoms; null describes frames '
        'by their radial distributions.',
    )
    method: Literal['pca', 'tsne'] = Field(
        description='`pca`, a linear projection, or `tsne`, t-distributed neighbour embedding.'
    )
    perplexity: float = Field(
        default=30.0, gt=1, description='Neighbours that `tsne` weighs; of few frames, a third of them at most.'
    )
    max_frames: int = Field(gt=1, description='So many frames of each set, drawn by the seed, at most.')


class ValidateParameters(Parameters):
    """Parameters of the tests, the relaxations and the map."""

    heads: dict[str, str] = Field(
        default_factory=dict, description='Head to use of each multi-task potential, by label of the potential.'
    )
    temperatures: dict[str, list[float] | HeatingParameters] = Field(
        default_factory=dict,
        description='By test set, the temperature of its frames, K: one number for each, or a linear heating.',
    )
    temperature_bin: float = Field(gt=0, description='Frames between multiples of this, K, are one point.')
    batch_size: int = Field(gt=0, description='Largest number of frames in one job of a calculator.')
    parity_points: int = Field(gt=0, description='Points of each test that are kept to be drawn.')
    descriptors: DescriptorParameters | None = Field(
        default=None, description='The map of the test sets and of `training_data`; null draws none.'
    )
    relaxation: RelaxationParameters = Field(
        default=RelaxationParameters(), description='How `structures` are relaxed.'
    )
    decomposition: dict[str, float] = Field(
        default_factory=dict,
        description='Reference energies of decomposition of `structures`, meV/atom, below 0 if it is stable.',
    )
    seed: int = Field(ge=0, description='Seed of the points that are drawn, and of `tsne`.')
