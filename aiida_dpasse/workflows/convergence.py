"""`ConvergenceWorkChain`: how large a cell and how long a run tell the diffusion."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_convergence import plan_convergence
from aiida_dpasse.functions.tabulate_convergence import tabulate_convergence
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.md import check_transport_run, refuse_what_is_set
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.conductivity_parameters import MobileIonParameters, validate_conductivity
from aiida_dpasse.workflows.conductivity_runs import NAMES
from aiida_dpasse.workflows.md import MDBaseWorkChain


class ConvergenceParameters(Parameters):
    """Cells, lengths and replicas."""

    supercells: list[float | list[int] | list[list[int]]] = Field(
        min_length=1,
        description='Sizes of the cell, each three repetitions, a 3x3 matrix, or the smallest distance between images '
        'in A.',
    )
    steps: list[PositiveInt] = Field(min_length=1, description='Lengths of the production, in steps.')
    replicas: int = Field(gt=1, description='Independent runs of each size: what they differ by is the spread.')
    temperature: float = Field(gt=0, description='Temperature in K.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature`, `steps` and `seed`.')
    transport: MobileIonParameters = Field(default=MobileIonParameters(), description='The mobile ion.')
    hop_length: float = Field(default=2.5, gt=0, description='Distance between neighbouring sites in A.')
    relative_error: float = Field(
        gt=0, lt=1, description='Spread of a run, and deviation from the best, that is good enough.'
    )
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> ConvergenceParameters:
        refuse_what_is_set(self.md, ('temperature', 'steps', 'seed'))
        check_transport_run(self.md, temperature=self.temperature, steps=max(self.steps), seed=1)
        interval = self.md.get('trajectory_interval')
        if not interval:
            raise ValueError('`md.trajectory_interval` is missing: without a trajectory there is nothing to analyse')
        if min(self.steps) < 16 * interval:
            raise ValueError(
                f'`steps` of {min(self.steps)} are too few for `md.trajectory_interval` {interval}: give at least '
                f'{16 * interval}'
            )
        return self


def validate_convergence(inputs: Any, port: Any) -> str | None:
    """Return one sentence if potential, structure, ion and codes do not go together."""
    structures = {'structure': inputs['structure']} if 'structure' in inputs else {}
    message = validate_conductivity({**inputs, 'structures': structures}, port)
    return message and message.replace('structures.structure', 'structure')


class ConvergenceWorkChain(DpasseWorkChain):
    """Run every size, replica by replica, and analyse the beginning of each run by itself."""

    CODES = ('lmp', 'python')
    PARAMETERS = ConvergenceParameters
    PROTOCOL = 'convergence'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Unit cell of the conductor.')
        spec.input('potential', valid_type=DeepPotentialData, help='Frozen or compressed potential.')
        spec.inputs.validator = validate_convergence
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.analyse,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.tabulate,
        )
        spec.output(
            'convergence',
            valid_type=orm.Dict,
            help='`points`: diffusion by size and length, with its spread; `recommended`, and the `reason`.',
        )
        exit_code(spec, 'ERROR_STRUCTURES', message='The cell cannot be repeated. {reason}')
        exit_code(
            spec,
            'ERROR_NO_RUN_FINISHED',
            message='None of the {count} runs ended well, the first because: {reason}',
        )
        exit_code(spec, 'ERROR_NOT_CONVERGED', message='No size and length is enough. {reason}')

    def setup(self) -> ExitCode | None:
        """Make the supercells and queue all runs, the largest first: they take longest."""
        self.ctx.plan = plan_convergence(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.supercells = {}
        for key in sorted(name for name in self.ctx.plan if name.startswith('supercell_')):
            try:
                cell = make_supercell(self.inputs.structure, self.ctx.plan[key], metadata={'call_link_label': key})
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
            self.ctx.supercells[key.removeprefix('supercell_')] = cell
        runs = [key for key in self.ctx.plan if key.startswith('md_')]
        self.enqueue('make_run', sorted(runs, key=lambda key: (-len(self.cell_of(key).sites), key)))
        return None

    def cell_of(self, key: str) -> orm.StructureData:
        """Return the supercell of ``<kind>_<s>_...``."""
        return self.ctx.supercells[key.split('_')[1]]

    def make_run(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the dynamics ``md_<s>_<r>``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.cell_of(key),
            'potentials': {'potential': self.inputs.potential},
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def analyse(self) -> ExitCode | None:
        """Queue the analysis of every length of every run that ended well."""
        for key, node in self.unfinished('md_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        runs = self.finished('md_')
        if not runs:
            failed = self.unfinished('md_')
            reason = next(iter(failed.values())).exit_message
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(count=len(failed), reason=reason)
        lengths = sorted(key.removeprefix('transport_') for key in self.ctx.plan if key.startswith('transport_'))
        for key in sorted(runs):
            _, size, replica = key.split('_')
            self.enqueue('make_analysis', [f'transport_{size}_{length}_{replica}' for length in lengths])
        return None

    def make_analysis(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the analysis ``transport_<s>_<t>_<r>``."""
        _, size, length, replica = key.split('_')
        return TransportCalculation, {
            'code': self.inputs.codes.python,
            'trajectories': dict(self.ctx.done[f'md_{size}_{replica}'].outputs.trajectories),
            'structure': self.cell_of(key),
            'parameters': self.ctx.plan[f'transport_{length}'],
            'metadata': {'options': self.options_for('transport')},
        }

    def tabulate(self) -> ExitCode | None:
        """Attach the table, and say whether anything is enough."""
        for key, node in self.unfinished('transport_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        found = {
            key.replace('transport', name, 1): node.outputs[name]
            for key, node in self.finished('transport_').items()
            for name in NAMES
        }
        table = tabulate_convergence(self.inputs.parameters, **found, metadata={'call_link_label': 'tabulate'})
        self.out('convergence', table)
        if table['recommended'] is None:
            return self.exit_codes.ERROR_NOT_CONVERGED.format(reason=table['reason'])
        return None
