"""`ExploreWorkChain`: molecular dynamics with a committee, and selection of uncertain frames."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.reasons import first_reason
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements, define_cells, define_structures
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.explore_parameters import ExploreParameters
from aiida_dpasse.explore.plan_explore import plan_explore
from aiida_dpasse.frames.select_candidates import select_candidates
from aiida_dpasse.runs import Run


def validate_committee(potentials: Any, _: Any = None) -> str | None:
    """Check that there are at least two potentials; return one sentence that states the problem, or None."""
    count = len(potentials or {})
    if count < 2:
        return f'potentials: a committee has at least two members, got {count}.'
    return None


def validate_elements(inputs: Any, _: Any = None) -> str | None:
    """Check that every potential contains the elements of every structure.

    :param inputs: inputs of `ExploreWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    for member, potential in inputs.get('potentials', {}).items():
        if message := check_elements(f'potentials.{member}', potential, inputs.get('structures', {})):
            return message
    return None


class ExploreWorkChain(PlannedWorkChain):
    """Explore structures with molecular dynamics and select the frames with uncertain predictions.

    A committee of potentials is run at combinations of structure, temperature and pressure. The deviation of the
    predicted forces classifies each sampled frame as accurate, candidate or failed.
    """

    CODES = ('lmp',)
    RUNS_IN_LAMMPS = ('potentials',)
    PARAMETERS = ExploreParameters
    PROTOCOL = 'explore'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structures(spec, 'Initial structures of the runs.')
        spec.input_namespace(
            'potentials',
            valid_type=Potential,
            validator=validate_committee,
            help='The committee; the first by name drives the dynamics. Checkpoints are frozen first by the code `dp`.',
        )
        spec.input_namespace('known', valid_type=FramesData, required=False, help='Frames that are not selected again.')
        spec.input_namespace(
            'calibration',
            valid_type=orm.Dict,
            required=False,
            help='Deviations and errors of frames labelled before, for calibrated trust levels.',
        )
        spec.inputs.validator = validate_elements
        spec.outline(
            *freeze_first(cls),
            cls.setup,
            run_queue(cls),
            cls.select,
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help='Selected frames, without labels, if there are any.',
        )
        spec.output(
            'statistics',
            valid_type=orm.Dict,
            help='Numbers of sampled, accurate, candidate, failed and chosen frames, also by run, and trust levels.',
        )
        define_cells(spec)
        exit_code(
            spec,
            'ERROR_NO_RUN_FINISHED',
            message='No run sampled a frame: use a shorter timestep or train longer. {reason}',
        )
        exit_code(
            spec,
            'ERROR_ONLY_FAILURES',
            message='All frames after the initial ones failed; {failed} deviate by more than {high:.3g} eV/A: train '
            'longer or on more frames, start at lower temperatures, or increase `trust.high`.',
        )

    def setup(self) -> ExitCode | None:
        """Draw the runs, make the supercells of their structures, and queue them."""
        self.ctx.plan = plan_explore(
            self.inputs.parameters, structures=self.namespace('structures'), metadata={'call_link_label': 'plan'}
        )
        runs = self.runs.values()
        self.enqueue('make_run', runs)
        drawn, size = sorted({str(run.structure) for run in runs}), self.ctx.plan['supercell']
        return self.make_cells({label: (self.inputs.structures[label], size) for label in drawn})

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one run."""
        potentials = {name: self.runnable(node) for name, node in self.namespace('potentials').items()}
        return lammps_run(self, run, self.ctx.cells[run.structure], potentials)

    def select(self) -> ExitCode | None:
        """Select candidates among the frames of all runs, including those before the end of a failed run."""
        failed = self.report_failures('md')
        samples = {run.id: node.outputs.frames for run, node in self.ended('md').items() if 'frames' in node.outputs}
        outputs = select_candidates(
            self.ctx.plan['selection'],
            self.ctx.plan['runs'],
            samples=samples,
            known=self.namespace('known'),
            calibration=self.namespace('calibration'),
            metadata={'call_link_label': 'select'},
        )
        statistics = outputs['statistics']
        self.out('statistics', statistics)
        if not samples:
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(reason=first_reason(failed))
        if statistics['only_failures']:
            return self.exit_codes.ERROR_ONLY_FAILURES.format(
                failed=statistics['failed'], high=statistics['trust_high']
            )
        if 'candidates' in outputs:
            self.out('candidates', outputs['candidates'])
        counts = ', '.join(f'{statistics[name]} {name}' for name in ('accurate', 'candidate', 'failed', 'chosen'))
        self.report(f'{statistics["sampled"]} frames sampled: {counts}')
        return None
