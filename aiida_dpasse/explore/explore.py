"""`ExploreWorkChain`: molecular dynamics with a committee, and selection of uncertain frames."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.reasons import first_reason
from aiida_dpasse.base.validators import validate_structures
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.md import MDBaseWorkChain
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.explore_parameters import ExploreParameters
from aiida_dpasse.explore.plan_explore import plan_explore
from aiida_dpasse.frames.select_candidates import select_candidates
from aiida_dpasse.runs import Run, Runs


def validate_committee(potentials: Any, _: Any = None) -> str | None:
    """Check that there are at least two potentials; return one sentence that states the problem, or None."""
    count = len(potentials or {})
    if count < 2:
        return f'potentials: a deviation needs a committee of at least two, got {count}.'
    return None


def validate_elements(inputs: Any, _: Any = None) -> str | None:
    """Check that every potential contains the elements of every structure.

    :param inputs: inputs of `ExploreWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    for label, structure in inputs.get('structures', {}).items():
        for member, potential in inputs.get('potentials', {}).items():
            if missing := potential.missing_elements(sorted(structure.get_symbols_set())):
                return (
                    f'structures.{label}: the type map of the potential {member} lacks {", ".join(missing)}; '
                    'train the committee on frames with these elements.'
                )
    return None


class ExploreWorkChain(DpasseWorkChain):
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
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='Where the runs start.',
        )
        spec.input_namespace(
            'potentials',
            valid_type=Potential,
            validator=validate_committee,
            help='The committee; the first by name drives the dynamics. A checkpoint is frozen first, with `dp`.',
        )
        spec.input_namespace(
            'known', valid_type=FramesData, required=False, help='Frames that are not to be chosen again.'
        )
        spec.input_namespace(
            'calibration',
            valid_type=orm.Dict,
            required=False,
            help='Deviations and errors of frames labelled before, for trust levels that are calibrated.',
        )
        spec.inputs.validator = validate_elements
        spec.outline(
            cls.freeze_checkpoints,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.check_frozen,
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.select,
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help='Chosen frames, without labels; absent if none.',
        )
        spec.output(
            'statistics',
            valid_type=orm.Dict,
            help='Frames sampled, accurate, candidate, failed and chosen, also by run, and the trust levels.',
        )
        exit_code(spec, 'ERROR_STRUCTURES', message='The structures cannot be repeated. {reason}')
        exit_code(
            spec,
            'ERROR_NO_RUN_FINISHED',
            message='No run gave a frame: shorten the timestep or train longer. {reason}',
        )
        exit_code(
            spec,
            'ERROR_ONLY_FAILURES',
            message='No frame but the starts is trusted, {failed} deviate by more than {high:.3g} eV/A: train longer '
            'or on more frames, start at lower temperatures, or raise `trust.high`.',
        )

    def setup(self) -> ExitCode | None:
        """Draw the runs, make the supercells of their structures, and queue them."""
        self.ctx.plan = plan_explore(
            self.inputs.parameters, structures=self.namespace('structures'), metadata={'call_link_label': 'plan'}
        )
        runs = Runs.from_dict(self.ctx.plan['runs'])
        self.enqueue('make_run', runs.values())
        drawn, size = sorted({str(run.structure) for run in runs.values()}), self.ctx.plan['supercell']
        return self.make_cells({label: (self.inputs.structures[label], size) for label in drawn})

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one run."""
        return self.job(
            MDBaseWorkChain,
            'md',
            run.label,
            code=self.inputs.codes.lmp,
            structure=self.ctx.cells[run.structure],
            potentials={name: self.runnable(node) for name, node in self.namespace('potentials').items()},
            parameters=self.ctx.plan['md'][run.id],
        )

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
