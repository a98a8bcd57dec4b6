"""Parameters of CP2K."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ase.data import chemical_symbols
from pydantic import Field, field_validator, model_validator

from aiida_dpasse.cp2k.input import DEFAULTS, SCF, objection_to_lines
from aiida_dpasse.cp2k.releases import parse_release
from aiida_dpasse.parameters.base import Parameters, objection_to_retry
from aiida_dpasse.parameters.kpoints import KpointsParameters
from aiida_dpasse.parameters.label import LabelJobParameters


def section_of(sections: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return a section of CP2K's input, empty if it is missing.

    :param sections: nested sections.
    :param path: names of the sections.
    :raises ValueError: if one of them is no section.
    """
    level: Any = sections
    for name in path:
        level = level.get(name, {})
        if not isinstance(level, Mapping):
            raise ValueError(f'the section {name} should be a mapping of keywords')
    return level


class ScfParameters(Parameters):
    """Parameters of the self-consistent field cycle."""

    solver: Literal['diagonalization', 'ot'] = Field(
        default=SCF['solver'],
        description='`diagonalization`, or `ot` (orbital transformation), which is fast and only '
        'for insulators at the Gamma point.',
    )
    eps: float = Field(default=SCF['eps'], gt=0, description='EPS_SCF: convergence criterion of the electrons.')
    steps: int = Field(
        default=SCF['steps'], gt=0, description='Largest number of steps of the inner and outer loops together.'
    )
    mixing: dict[str, Any] = Field(
        default={}, description="CP2K's keywords of `MIXING`, for diagonalization. Default: Broyden with ALPHA 0.4."
    )
    ot: dict[str, Any] = Field(
        default={}, description="CP2K's keywords of `OT`, for the solver `ot`. Default: conjugate gradients."
    )
    smearing: float | None = Field(
        default=None, gt=0, description='Electronic temperature of Fermi-Dirac smearing in K; null for none.'
    )
    added_orbitals: int = Field(
        default=SCF['added_orbitals'], ge=0, description='ADDED_MOS: number of empty orbitals, required for smearing.'
    )

    @model_validator(mode='after')
    def _smeared(self) -> ScfParameters:
        if self.smearing is not None and (self.solver == 'ot' or not self.added_orbitals):
            raise ValueError('`smearing` requires `solver` diagonalization and `added_orbitals` above 0')
        return self


class Cp2kParameters(Parameters):
    """Parameters of CP2K; run type, motion, printing and stress are set by the labelling."""

    functional: Literal['PBESOL', 'PBE', 'REVPBE'] | None = Field(
        default=DEFAULTS['functional'], description='Functional; null if it is given in the section XC of `input`.'
    )
    cutoff: float = Field(gt=0, description='CUTOFF: plane-wave cutoff of the finest grid in Ry.')
    rel_cutoff: float = Field(gt=0, description='REL_CUTOFF: cutoff in Ry that selects the grid of a Gaussian.')
    eps_default: float = Field(
        default=DEFAULTS['eps_default'], gt=0, description='EPS_DEFAULT: precision of all other quantities.'
    )
    kpoints: KpointsParameters | None = Field(default=None, description='K-points; null is the Gamma point.')
    scf: ScfParameters = Field(default=ScfParameters(), description='Self-consistent field cycle.')
    kinds: dict[str, dict[str, Any]] = Field(
        description="CP2K's keywords of `KIND` by element, including `BASIS_SET` and `POTENTIAL`."
    )
    release: str | None = Field(
        default=DEFAULTS['release'],
        description='Release of CP2K, to be given from 2026.2 on, whose input differs; null is any before that.',
    )
    input: dict[str, Any] = Field(
        default={}, description="CP2K's sections as mappings; they replace the settings above."
    )
    retry: dict[str, Any] | None = Field(
        default=None, description='Settings that replace the others for frames that failed: more steps, another mixing.'
    )

    @field_validator('kinds')
    @classmethod
    def _elements(cls, kinds: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if others := [name for name in kinds if name not in chemical_symbols[1:]]:
            raise ValueError(f'{others[0]!r} is not an element; the keys of `kinds` should be symbols of elements')
        return kinds

    @field_validator('release')
    @classmethod
    def _supported(cls, release: str | None) -> str | None:
        if release is not None:
            parse_release(release)
        return release

    @field_validator('input')
    @classmethod
    def _free(cls, sections: dict[str, Any]) -> dict[str, Any]:
        if 'MOTION' in {name.upper() for name in sections}:
            raise ValueError('remove the section MOTION: labelling sets it')
        system = section_of(sections, 'FORCE_EVAL', 'SUBSYS')
        if 'KIND' in system:
            raise ValueError('give the keywords of the section KIND in `kinds`, by element')
        if taken := [name for name in ('CELL', 'COORD') if name in system]:
            raise ValueError(f'remove the section {taken[0]}: it is that of each frame')
        return sections

    @model_validator(mode='after')
    def _plain(self) -> Cp2kParameters:
        for name, part in (('input', self.input), ('kinds', self.kinds), ('scf', self.scf.model_dump())):
            if message := objection_to_lines(part):
                raise ValueError(f'in `{name}`, {message}')
        return self

    @model_validator(mode='after')
    def _functional(self) -> Cp2kParameters:
        exchange = section_of(self.input, 'FORCE_EVAL', 'DFT', 'XC')
        if (self.functional is None) != ('XC_FUNCTIONAL' in exchange):
            raise ValueError('`functional` should be null if, and only if, `input` has the section XC_FUNCTIONAL')
        return self

    @model_validator(mode='after')
    def _consistent(self) -> Cp2kParameters:
        if self.scf.solver == 'ot' and self.kpoints is not None:
            raise ValueError('`scf.solver` should be diagonalization with `kpoints`: OT works at the Gamma point only')
        return self

    @model_validator(mode='after')
    def _retried(self) -> Cp2kParameters:
        if self.retry and (message := objection_to_retry(self, self.retry)):
            raise ValueError(message.rstrip('.'))
        return self


class Cp2kLabelParameters(LabelJobParameters):
    """Acceptance criteria and settings of CP2K."""

    cp2k: Cp2kParameters = Field(description="CP2K's settings.")
