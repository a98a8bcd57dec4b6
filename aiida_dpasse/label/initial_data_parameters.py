"""Parameters of `InitialDataWorkChain`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.label import DynamicsParameters, RelaxationParameters
from aiida_dpasse.parameters.sizes import SupercellSize


class PerturbationParameters(Parameters):
    """Random strain and displacements, in the convention of DP-GEN."""

    number: int = Field(gt=0, description='Number of perturbed copies of each structure at each scale.')
    cell_fraction: float = Field(ge=0, lt=0.5, description='Largest relative strain of each component.')
    displacement: float = Field(ge=0, description='Root mean square displacement of an atom in A.')
    closest: float = Field(
        default=1.0, ge=0, description='A random copy with two atoms closer than this, in A, is drawn again.'
    )


class ContactParameters(Parameters):
    """Copies of each structure in which two neighbouring atoms are pushed together."""

    number: int = Field(gt=0, description='Number of copies of each structure; the pairs of elements take turns.')
    displacement: float = Field(
        ge=0, description='Root mean square displacement of an atom in A, before two are pushed together.'
    )


#: Field of the parameters of a chain that makes frames with close contacts.
CONTACTS: Any = Field(
    default=None,
    description='Copies in which two neighbouring atoms are pushed together, so that potentials learn the repulsion of '
    'each pair of elements; null makes none.',
)


class InitialDataParameters(Parameters):
    """Supercell, relaxation, perturbation, dynamics and labels of the initial frames."""

    supercell: SupercellSize = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    relax: RelaxationParameters | None = Field(
        default=None,
        description='Relaxation of the structures by the labeller; null uses them as given.',
    )
    scales: list[float] = Field(min_length=1, description='Scale factors of the lattice vectors.')
    perturbations: PerturbationParameters = Field(description='Perturbed copies of each structure at each scale.')
    dynamics: DynamicsParameters | None = Field(
        description='Short dynamics with the labeller from each perturbed copy, whose samples are '
        'labelled. Its seed is derived from `seed`. Null labels the copies only.'
    )
    contacts: ContactParameters | None = CONTACTS
    label: LabelParameters = Field(
        description='Labels; `batch_size` counts perturbed copies, and a job of close contacts has as many '
        'calculations as one of dynamics.'
    )
    seed: int = Field(ge=0, description='Seed of perturbations and dynamics.')
