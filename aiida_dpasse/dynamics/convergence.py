"""`ConvergenceWorkChain`: convergence of the diffusion coefficient with cell size and run length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.jobs import TransportBaseWorkChain
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements, define_cells, define_runs, define_structure
from aiida_dpasse.base.validators import check_ion, check_same_computer
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.dynamics.convergence_parameters import ConvergenceParameters
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.dynamics.plan_convergence import plan_convergence
from aiida_dpasse.dynamics.tabulate_convergence import tabulate_convergence
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.runs import Run


def validate_convergence(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Check that potential, structure, mobile ion and codes are consistent.

    :param inputs: inputs of `ConvergenceWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if 'parameters' not in inputs or 'structure' not in inputs:
        return None
    ion = ConvergenceParameters.model_validate(inputs['parameters'].get_dict()).transport.ion
    structures = {'structure': inputs['structure']}
    if message := check_ion(structures, ion):
        return message.removeprefix('structures.')
    return check_same_computer(inputs) or check_elements('potential', inputs.get('potential'), structures)


class ConvergenceWorkChain(PlannedWorkChain):
    """Determine the cell size and run length at which the diffusion coefficient is converged.

    Every cell size is simulated in several replicas. Each run has the longest of the lengths; shorter ones are analysed
    as its beginning. The spread between replicas gives the error of a single run.
    """

    CODES = ('lmp', 'python')
    PARAMETERS = ConvergenceParameters
    PROTOCOL = 'convergence'
    RUNS_IN_LAMMPS: ClassVar[tuple[str, ...]] = ('potential',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structure(spec, 'Unit cell of the conductor.')
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            help='The potential; a checkpoint is frozen first.',
        )
        spec.inputs.validator = validate_convergence
        spec.outline(
            *freeze_first(cls),
            cls.setup,
            run_queue(cls),
            cls.analyse,
            run_queue(cls),
            cls.tabulate,
        )
        spec.output(
            'convergence',
            valid_type=orm.Dict,
            help='`points`: diffusion by size and length, with its spread; the `recommended` point, and the `reason`.',
        )
        define_cells(spec)
        define_runs(spec)
        exit_code(spec, 'ERROR_NOT_CONVERGED', message='No size and length is converged. {reason}')

    def setup(self) -> ExitCode | None:
        """Make the supercells and queue all runs, the largest cells first because they take longest."""
        self.ctx.plan = plan_convergence(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        sizes = sorted(self.ctx.plan['supercells'].items())
        if code := self.make_cells({key: (self.inputs.structure, size) for key, size in sizes}, link='{}'):
            return code
        runs = self.runs.select(what='md')
        largest_first: list[Run] = sorted(runs, key=lambda run: (-len(self.cell_of(run).sites), run.number))
        self.enqueue('make_run', largest_first)
        return None

    def cell_of(self, run: Run) -> orm.StructureData:
        """Return the supercell in which ``run`` is simulated."""
        return self.ctx.cells[Run('supercell', int(run.size or 0)).id]

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one cell size and replica."""
        return lammps_run(self, run, self.cell_of(run), {'potential': self.runnable(self.inputs.potential)})

    def analyse(self) -> ExitCode | None:
        """Queue the analysis of each length of each successful run."""
        failed = self.report_failures('md')
        ended = self.succeeded('md')
        if not ended:
            return self.none_finished(failed)
        numbers = {run.number for run in ended}
        self.enqueue('make_analysis', [run for run in self.runs.select(what='transport') if run.number in numbers])
        return None

    def make_analysis(self, run: Run) -> Child:
        """Return the analysis of one length of a run."""
        [dynamics] = self.succeeded('md', number=run.number).values()
        return self.job(
            TransportBaseWorkChain,
            'transport',
            run.label,
            code=self.inputs.codes.python,
            trajectories=dict(dynamics.outputs.trajectories),
            structure=self.cell_of(run),
            parameters=self.ctx.plan['transport'][run.id],
        )

    def tabulate(self) -> ExitCode | None:
        """Attach the table and check whether any size and length is converged."""
        failed = self.report_failures('transport')
        found = {run.id: node for run, node in self.succeeded('transport').items()}
        if not found:
            return self.none_finished(failed)
        table = tabulate_convergence(
            self.inputs.parameters,
            self.ctx.plan['runs'],
            statistics={key: node.outputs.statistics for key, node in found.items()},
            results={key: node.outputs.results for key, node in found.items()},
            metadata={'call_link_label': 'tabulate'},
        )
        self.out('convergence', table)
        if table['recommended'] is None:
            return self.exit_codes.ERROR_NOT_CONVERGED.format(reason=table['reason'])
        return None
