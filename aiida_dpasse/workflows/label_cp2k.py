"""`Cp2kLabelWorkChain`: labels by CP2K, density-functional theory without a licence, many frames in one job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from aiida import orm
from aiida.common.exceptions import EntryPointError
from aiida.engine import ExitCode, Process
from aiida.plugins import CalculationFactory
from pydantic import Field, field_validator, model_validator

from aiida_dpasse.calculations.label import LabelJobParameters
from aiida_dpasse.cp2k.input import DEFAULTS, SCF, missing_kinds
from aiida_dpasse.functions.plan_cp2k_label import plan_cp2k_label
from aiida_dpasse.functions.read_cp2k_labels import read_cp2k_labels
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.label_batch import BatchLabelWorkChain, KpointsParameters


class ScfParameters(Parameters):
    """How the electrons are brought to their ground state."""

    solver: Literal['diagonalization', 'ot'] = Field(
        default=SCF['solver'],
        description='`ot`, orbital transformation, is quick for insulators at the Gamma point, and only for these.',
    )
    eps: float = Field(default=SCF['eps'], gt=0, description='EPS_SCF: when the electrons count as converged.')
    steps: int = Field(
        default=SCF['steps'], gt=0, description='Largest number of steps, of inner and outer loops together.'
    )
    mixing: dict[str, Any] = Field(
        default={}, description="CP2K's keywords of `MIXING`, for diagonalization, laid over Broyden's with ALPHA 0.4."
    )
    ot: dict[str, Any] = Field(
        default={}, description="CP2K's keywords of `OT`, for that solver, laid over conjugate gradients."
    )
    smearing: float | None = Field(
        default=None, gt=0, description="Electronic temperature in K of Fermi and Dirac's smearing; null for none."
    )
    added_orbitals: int = Field(
        default=SCF['added_orbitals'], ge=0, description='ADDED_MOS: empty orbitals, which smearing needs.'
    )

    @model_validator(mode='after')
    def _smeared(self) -> ScfParameters:
        if self.smearing is not None and (self.solver == 'ot' or not self.added_orbitals):
            raise ValueError('`smearing` needs `solver` diagonalization and `added_orbitals` above 0')
        return self


class Cp2kParameters(Parameters):
    """CP2K's settings; what labelling needs besides (run type, motion, printing, stress) is added."""

    functional: Literal['PBESOL', 'PBE', 'REVPBE'] | None = Field(
        default=DEFAULTS['functional'], description='Functional; null for any other, in the section XC of `input`.'
    )
    cutoff: float = Field(gt=0, description='CUTOFF: plane waves of the finest grid, in Ry.')
    rel_cutoff: float = Field(gt=0, description='REL_CUTOFF: which grid a Gaussian is put on, in Ry.')
    eps_default: float = Field(
        default=DEFAULTS['eps_default'], gt=0, description='EPS_DEFAULT: precision of everything else.'
    )
    kpoints: KpointsParameters | None = Field(default=None, description='K-points; null is the Gamma point.')
    scf: ScfParameters = Field(default=ScfParameters(), description='Self-consistency.')
    kinds: dict[str, dict[str, Any]] = Field(
        description="CP2K's keywords of `KIND` by element, `BASIS_SET` and `POTENTIAL` among them."
    )
    input: dict[str, Any] = Field(default={}, description="CP2K's sections as mappings, laid over all of the above.")
    retry: dict[str, Any] | None = Field(
        default=None, description='Laid over the other settings for frames that failed: more steps, another mixing.'
    )

    @field_validator('input')
    @classmethod
    def _free(cls, sections: dict[str, Any]) -> dict[str, Any]:
        if 'MOTION' in sections:
            raise ValueError('take the section MOTION out: labelling writes it')
        return sections

    @model_validator(mode='after')
    def _functional(self) -> Cp2kParameters:
        own = self.input.get('FORCE_EVAL', {}).get('DFT', {})
        if (self.functional is None) != ('XC_FUNCTIONAL' in own.get('XC', {})):
            raise ValueError('`functional` should be null if, and only if, `input` has the section XC_FUNCTIONAL')
        return self

    @model_validator(mode='after')
    def _consistent(self) -> Cp2kParameters:
        if self.scf.solver == 'ot' and self.kpoints is not None:
            raise ValueError('`scf.solver` should be diagonalization with `kpoints`: OT works at the Gamma point only')
        return self


class Cp2kLabelParameters(LabelJobParameters):
    """What is admitted, and how CP2K is run."""

    cp2k: Cp2kParameters = Field(description="CP2K's settings.")


class Cp2kLabelWorkChain(BatchLabelWorkChain):
    """Label one batch with CP2K: one job for each formula, or one for each frame that dynamics starts from."""

    CODES = ('cp2k',)
    PARAMETERS = Cp2kLabelParameters

    @classmethod
    def objection(cls, parameters: Mapping[str, Any], elements: Iterable[str]) -> str | None:
        """Return one sentence if the plugin, a setting, or an element's basis set or pseudopotential is missing."""
        try:
            CalculationFactory('cp2k')
        except EntryPointError:
            return 'codes.cp2k: aiida-cp2k is not installed; install aiida-dpasse with its extra `cp2k`.'
        if message := super().objection(parameters, elements):
            return message
        if missing := missing_kinds(sorted(elements), parameters['cp2k']['kinds']):
            return (
                f'parameters: `cp2k.kinds` has no BASIS_SET and POTENTIAL for {missing[0]}; give them as CP2K names '
                'them in its data files.'
            )
        return None

    def prepare(self) -> ExitCode | None:
        """Write trajectories and input for the frames that are worth labelling."""
        self.ctx.plan = plan_cp2k_label(
            self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'}
        )
        self.enqueue('make_job', self.ctx.plan['jobs'].get_list())
        return None

    def make_job(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return job ``key``."""
        ports = ('structure', 'parameters', 'trajectory')
        planned = {port: self.ctx.plan.get(f'{port}_{key}') for port in ports}
        inputs = {port: node for port, node in planned.items() if node is not None}
        options = {'code': self.inputs.codes.cp2k, 'metadata': {'options': self.job_options()}}
        return CalculationFactory('cp2k'), {**inputs, **options}

    def collect(self) -> dict[str, orm.Data]:
        """Read what the jobs left."""
        answers = {key: node.outputs.retrieved for key, node in self.ctx.done.items() if 'retrieved' in node.outputs}
        return dict(
            read_cp2k_labels(
                self.inputs.frames, self.inputs.parameters, **answers, metadata={'call_link_label': 'collect'}
            )
        )
