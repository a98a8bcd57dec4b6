"""`ConductivityWorkChain`: molecular dynamics at several temperatures, and the conductivity that it tells."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, PositiveFloat, model_validator

from aiida_dpasse.calculations.md import MDParameters
from aiida_dpasse.calculations.parameters import Parameters, check_parameters
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.determine_transport import determine_transport
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_conductivity import plan_conductivity
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.initial_data import validate_structures
from aiida_dpasse.workflows.md import MDBaseWorkChain

#: Outputs of each analysis that tell the transport.
NAMES = ('statistics', 'results')


class MobileIonParameters(Parameters):
    """The ion whose transport is asked for."""

    ion: str = Field(default='Li', description='Element of the mobile ion.')
    charge: float = Field(default=1.0, description='Its charge in elementary charges.')
    max_frames: int = Field(default=4000, gt=15, description='Frames that the analysis holds in memory.')


class ConductivityParameters(Parameters):
    """Temperatures, replicas, dynamics and analysis."""

    supercell: float | list[int] | list[list[int]] = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[PositiveFloat] = Field(min_length=1, description='Temperatures in K.')
    replicas: int = Field(gt=0, description='Independent runs of each structure at each temperature.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature` and `seed`.')
    transport: MobileIonParameters = Field(default=MobileIonParameters(), description='The mobile ion.')
    hop_length: float = Field(
        default=2.5, gt=0, description='Distance between neighbouring sites in A: hops are told from rattling by it.'
    )
    extrapolate_to: float | None = Field(
        default=300.0, gt=0, description='Temperature in K of the conductivity; null fits no line.'
    )
    seed: int = Field(
        ge=0, description='Seed of all velocities; a chain that calls this one replaces it by one derived from its own.'
    )

    @model_validator(mode='after')
    def _runs(self) -> ConductivityParameters:
        if taken := sorted({'temperature', 'seed'} & set(self.md)):
            raise ValueError(f'`md.{taken[0]}` is set for each run: take it out')
        if message := check_parameters(MDParameters, {**self.md, 'temperature': 1.0, 'seed': 1}):
            raise ValueError(f'`md`: {message}')
        if not self.md.get('trajectory_interval'):
            raise ValueError('`md.trajectory_interval` is missing: without a trajectory there is nothing to analyse')
        return self


def validate_conductivity(inputs: Any, _: Any) -> str | None:
    """Return one sentence if potential, structures, ion and codes do not go together."""
    codes = inputs.get('codes', {})
    if 'lmp' in codes and 'python' in codes and codes['lmp'].computer.pk != codes['python'].computer.pk:
        return (
            f'codes.python: it runs on {codes["python"].computer.label} and LAMMPS on {codes["lmp"].computer.label}: '
            'trajectories are read where they lie, give a Python of that computer.'
        )
    potential = inputs.get('potential')
    for label, structure in inputs.get('structures', {}).items():
        symbols = sorted(structure.get_symbols_set())
        if potential is not None and (message := potential.check_elements(symbols, f'the structure `{label}`')):
            return f'potential: {message}'
        if 'parameters' in inputs:
            ion = inputs['parameters'].get_dict().get('transport', {}).get('ion', 'Li')
            if ion not in symbols:
                return f'structures.{label}: it holds no {ion}: correct `transport.ion` in the parameters.'
    if potential is not None and potential.form == 'checkpoint':
        return 'potential: LAMMPS cannot run a checkpoint; give the frozen potential.'
    return None


class ConductivityWorkChain(DpasseWorkChain):
    """Run every structure at every temperature, take statistics where the trajectories lie, fit what they say."""

    CODES = ('lmp', 'python')
    PARAMETERS = ConductivityParameters
    PROTOCOL = 'conductivity'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='One structure, or several configurations of its disorder, which are pooled.',
        )
        spec.input('potential', valid_type=DeepPotentialData, help='Frozen or compressed potential.')
        spec.inputs.validator = validate_conductivity
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.analyse_trajectories,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.determine,
        )
        spec.output(
            'transport',
            valid_type=orm.Dict,
            required=False,
            help='`temperatures`: for each, tracer and collective diffusion, Haven ratio, conductivities, verdict.',
        )
        spec.output(
            'arrhenius',
            valid_type=orm.Dict,
            required=False,
            help='Activation energy, and the conductivity at `extrapolate_to` with its 16 % and 84 % quantiles.',
        )
        spec.output('curves', valid_type=orm.ArrayData, required=False, help='MSD and its error by temperature.')
        spec.exit_code(210, 'ERROR_STRUCTURES', message='The structures cannot be simulated together. {reason}')
        spec.exit_code(
            400,
            'ERROR_NO_RUN_FINISHED',
            message='None of the {count} runs ended well, the first because: {reason}',
        )
        spec.exit_code(
            600,
            'ERROR_UNDETERMINED',
            message='The conductivity is undetermined: {reason} Run longer, hotter, or in a larger cell.',
        )

    def setup(self) -> ExitCode | None:
        """Make the supercells and queue all runs, the coldest first: they are the slowest to tell anything."""
        structures = self.inputs.structures
        self.ctx.plan = plan_conductivity(self.inputs.parameters, **structures, metadata={'call_link_label': 'plan'})
        self.ctx.supercells = {}
        for label, structure in structures.items():
            metadata = {'call_link_label': f'supercell_{label}'}
            try:
                self.ctx.supercells[label] = make_supercell(structure, self.ctx.plan['supercell'], metadata=metadata)
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
        formulas = {label: cell.get_formula() for label, cell in self.ctx.supercells.items()}
        if len(set(formulas.values())) > 1:
            found = ', '.join(f'{label}: {formula}' for label, formula in sorted(formulas.items()))
            reason = f'Configurations that are pooled should have one supercell formula, these have {found}.'
            return self.exit_codes.ERROR_STRUCTURES.format(reason=reason)
        self.enqueue('make_run', sorted(key for key in self.ctx.plan if key.startswith('md_')))
        return None

    def label_of(self, key: str) -> str:
        """Return the structure's label in ``md_<label>_<t>_<r>``."""
        return key.removeprefix('md_').rsplit('_', 2)[0]

    def make_run(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return the dynamics ``key``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.supercells[self.label_of(key)],
            'potentials': {'potential': self.inputs.potential},
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def analyse_trajectories(self) -> ExitCode | None:
        """Queue the analysis of every run that ended well, beside its trajectory."""
        failed = self.unfinished('md_')
        for key, node in failed.items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        runs = self.finished('md_')
        if not runs:
            first = next(iter(failed.values()))
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(count=len(failed), reason=first.exit_message)
        self.enqueue('make_analysis', [key.replace('md_', 'transport_', 1) for key in sorted(runs)])
        return None

    def make_analysis(self, key: str) -> tuple[type[TransportCalculation], dict[str, Any]]:
        """Return the analysis of one run."""
        run = key.replace('transport_', 'md_', 1)
        inputs = {
            'code': self.inputs.codes.python,
            'trajectories': dict(self.ctx.done[run].outputs.trajectories),
            'structure': self.ctx.supercells[self.label_of(run)],
            'parameters': self.ctx.plan['transport'],
            'metadata': {'options': self.options_for('transport')},
        }
        return TransportCalculation, inputs

    def determine(self) -> ExitCode | None:
        """Pool the runs of each temperature, fit the line, and say what is undetermined."""
        analyses = self.finished('transport_')
        for key, node in self.unfinished('transport_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        if not analyses:
            first = next(iter(self.unfinished('transport_').values()))
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(
                count=len(self.unfinished('transport_')), reason=first.exit_message
            )
        found = {
            key.replace('transport', name, 1): node.outputs[name] for name in NAMES for key, node in analyses.items()
        }
        metadata = {'call_link_label': 'determine'}
        results = determine_transport(self.inputs.parameters, self.ctx.plan['runs'], **found, metadata=metadata)
        self.out_many(results)
        if 'arrhenius' in results and results['arrhenius']['conductivity_mS_cm'] is None:
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=results['arrhenius']['reason'])
        return None
