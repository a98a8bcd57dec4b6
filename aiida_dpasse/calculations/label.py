"""`LabelCalculation`: energies, forces and virials of many frames in one job."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from pydantic import Field, model_validator

from aiida_dpasse.calculations.driver import FRAMES, DriverCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.drivers.admission import DYNAMICS, LIMITS, RELAXATION, limits_of
from aiida_dpasse.drivers.records import JOURNAL
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.parameters.base import Parameters, parameters_validator


class DynamicsParameters(Parameters):
    """Short Langevin dynamics from every frame, whose samples are labelled."""

    temperature: float = Field(gt=0, description='Temperature at the start, in K.')
    final_temperature: float | None = Field(
        default=None, gt=0, description='Temperature at the end, in K, reached evenly; by default it stays.'
    )
    steps: int = Field(gt=0, description='Number of steps from each frame.')
    interval: int = Field(gt=0, description='A sample is taken at the start and every so many steps.')
    timestep: float = Field(default=DYNAMICS['timestep'], gt=0, description='Timestep in fs.')
    friction: float = Field(
        default=DYNAMICS['friction'], gt=0, description='Friction of the Langevin thermostat in 1/fs.'
    )
    seed: int = Field(default=DYNAMICS['seed'], ge=0, description='Seed of the velocities and of the thermostat.')

    @model_validator(mode='after')
    def _samples(self) -> DynamicsParameters:
        if self.interval > self.steps:
            raise ValueError(f'`interval` ({self.interval}) should not be greater than `steps` ({self.steps})')
        return self


class RelaxationParameters(Parameters):
    """Relaxation of every frame, which is labelled when it is done."""

    max_force: float = Field(
        default=RELAXATION['max_force'], gt=0, description='Largest force when it is done, in eV/A.'
    )
    steps: int = Field(
        default=RELAXATION['steps'], gt=0, description='A frame that is not relaxed after so many steps has failed.'
    )
    cell: bool = Field(
        default=RELAXATION['cell'], description='Whether the lattice relaxes with the atoms, at no pressure.'
    )


class LabelJobParameters(Parameters):
    """Which frames and labels are admitted, and whether dynamics is run from each frame, or it is relaxed."""

    max_force: float = Field(
        default=LIMITS['max_force'], gt=0, description='A frame with a force above this, in eV/A, is rejected.'
    )
    max_stress: float | None = Field(
        default=None, gt=0, description='A frame with a component of the stress above this, in GPa, is rejected.'
    )
    max_energy_deviation: float | None = Field(
        default=None,
        gt=0,
        description='A frame whose energy, in eV an atom, is farther than this from the median of its formula in its '
        'batch is rejected; batches of fewer than four frames have no outliers.',
    )
    minimum_distance: float = Field(
        default=LIMITS['minimum_distance'],
        ge=0,
        description='A frame with two atoms nearer than this, in A, is rejected unlabelled.',
    )
    minimum_contact: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description='A frame with two atoms nearer than this fraction of the sum of their covalent radii is rejected '
        'unlabelled.',
    )
    mode: Literal['strict', 'audit'] = Field(
        default='strict',
        description='`strict` rejects; `audit` admits whatever is finite and lists in the account what it would have '
        'rejected.',
    )
    dynamics: DynamicsParameters | None = Field(default=None, description='Run dynamics from each frame.')
    relaxation: RelaxationParameters | None = Field(
        default=None, description='Relax each frame; a program of your own cannot.'
    )

    @model_validator(mode='after')
    def _one(self) -> LabelJobParameters:
        if self.dynamics is not None and self.relaxation is not None:
            raise ValueError('`dynamics` and `relaxation` exclude each other: set one of them to null')
        return self


def validate_calculator(calculator: orm.Dict | None, _: Any) -> str | None:
    """Return one sentence if ``calculator`` does not name an ASE calculator."""
    if calculator is None:
        return None
    name = calculator.get_dict().get('name')
    if isinstance(name, str) and name:
        return None
    return (
        f'calculator: `name` should be a calculator of ASE, `chgnet` or `module:Class`, got {name!r}; '
        'the other entries are its arguments.'
    )


def validate_labelling(inputs: Any, _: Any = None) -> str | None:
    """Return one sentence unless either calculator or potential is given, and it knows all elements."""
    if ('calculator' in inputs) == ('potential' in inputs):
        given = 'both are' if 'calculator' in inputs else 'neither is'
        return f'calculator, potential: give one of them to label with; {given} given.'
    return validate_teacher(inputs)


def validate_teacher(inputs: Any) -> str | None:
    """Return one sentence if a potential is to label, and lacks an element of the frames or structures."""
    if 'potential' not in inputs:
        return None
    elements = set(inputs['frames'].elements) if 'frames' in inputs else set()
    for structure in inputs.get('structures', {}).values():
        elements |= set(structure.get_symbols_set())
    if missing := inputs['potential'].missing_elements(sorted(elements)):
        return (
            f'potential: its type map lacks {", ".join(missing)}; take a potential that was trained with these '
            'elements.'
        )
    return None


class LabelCalculation(DriverCalculation):
    """Labels frames with an ASE calculator or a DeePMD potential; every frame is accounted for."""

    DRIVER = 'label'
    MODULES = (
        'deepmd.dataset',
        'deepmd.frameset',
        'drivers.admission',
        'drivers.dynamics',
        'drivers.labellers',
        'drivers.records',
        'drivers.relaxation',
        'seeds',
        'structures.distances',
    )
    RETRIEVE: ClassVar[tuple[Any, ...]] = (JOURNAL,)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or to start dynamics from.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help="ASE calculator: `name` ('chgnet', a name of ASE's, or 'module:Class') and its arguments.",
        )
        spec.input('potential', valid_type=DeepPotentialData, required=False, help='Teacher instead of a calculator.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=parameters_validator(LabelJobParameters),
            help='What is admitted, and dynamics.',
        )
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.label'
        spec.inputs.validator = validate_labelling
        spec.output('frames', valid_type=FramesData, required=False, help='Admitted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, and `rejected`, `failed` and `objections` as lists of `id` and `reason`.',
        )
        exit_code(
            spec,
            'ERROR_INTERRUPTED',
            message='The job ended early, with what it finished attached: label the failed frames again.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was admitted, the first because {reason}: see `account`.',
        )
        exit_code(
            spec,
            'ERROR_LABELLER',
            message='The labeller did not start ({reason}): install it or correct its arguments.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job and the frames and potential to copy."""
        copies = [(self.inputs.frames.uuid, '.', FRAMES)]
        job: dict[str, Any] = {
            'calculator': self.inputs.calculator.get_dict() if 'calculator' in self.inputs else None,
            'potential': None,
            'parameters': limits_of(self.inputs.parameters.get_dict(), self.inputs.frames.elements),
        }
        if 'potential' in self.inputs:
            # The suffix tells DeePMD-kit the backend.
            potential = self.inputs.potential
            job['potential'] = potential.filename
            copies.append((potential.uuid, potential.filename, potential.filename))
        return job, copies
