"""`TestSetsWorkChain`: labelled frames near equilibrium and along a heating run, for testing potentials."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.account_test_sets import account_test_sets
from aiida_dpasse.assess.plan_test_sets import plan_test_sets
from aiida_dpasse.assess.sample_runs import sample_runs
from aiida_dpasse.assess.test_sets_parameters import PARTS, TestSetsParameters, runs_of
from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, define_cells, define_structures
from aiida_dpasse.base.validators import check_dynamics_of
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.sources import LABEL_CODES, define_labeller, labeller_of, validate_labeller
from aiida_dpasse.runs import Run

#: The labelling potential has a separate name, since another potential drives the dynamics.
TEACHER = 'teacher'


def validate_test_sets(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if potential, structures, labeller and parameters are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    potential = inputs.get('potential')
    if potential is not None and 'parameters' in inputs:
        settings = TestSetsParameters.model_validate(inputs['parameters'].get_dict())
        for structure in (inputs.get('structures') or {}).values():
            for run in runs_of(settings.model_dump()).values():
                if message := check_dynamics_of('potential', potential, structure, inputs.get('codes') or {}, run):
                    return message
    return validate_labeller(inputs, port, teacher=TEACHER)


class TestSetsWorkChain(PlannedWorkChain):
    """Compute labelled test sets from a short cold run and a linear heating run of each crystal."""

    #: Prevents pytest from collecting this class because of its name.
    __test__ = False
    CODES = ('lmp',)
    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = TestSetsParameters
    PROTOCOL = 'test_sets'
    CHILDREN = {'label': LabelWorkChain}
    RUNS_IN_LAMMPS = ('potential',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structures(spec, 'Ordered crystals, by label: initial structures of the runs.')
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            help='Potential of the sampled dynamics; a checkpoint is frozen first by the code `dp`.',
        )
        define_labeller(spec, TEACHER)
        spec.inputs.validator = validate_test_sets
        spec.outline(
            *freeze_first(cls),
            cls.prepare,
            run_queue(cls),
            cls.sample,
            run_queue(cls),
            cls.results,
        )
        spec.output(
            'near_equilibrium',
            valid_type=FramesData,
            required=False,
            help='Labelled frames of the cold runs, with their steps; the source of a frame is its run.',
        )
        spec.output('heating', valid_type=FramesData, required=False, help='Labelled frames of the heating runs.')
        spec.output(
            'temperatures',
            valid_type=orm.Dict,
            help='Temperatures of the frames of each set: the parameter `temperatures` of `dpasse.validate`.',
        )
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`frames`: every planned frame with its run, step, temperature and state; `requested`, `admitted`, '
            '`rejected` and `failed` with reasons; `objections`; `runs`: last step of each run.',
        )
        define_cells(spec)
        exit_code(
            spec,
            'ERROR_NO_FRAME_SAMPLED',
            message='No run of `{part}` reached its first frame. The first failure: {reason} Decrease `md.timestep` '
            'or train the potential further. The other set is attached.',
        )
        exit_code(
            spec,
            'ERROR_LABEL_FAILED',
            message='The labelling of `{part}` failed: {reason} The accepted labels are attached.',
        )

    def prepare(self) -> ExitCode | None:
        """Plan the runs, create the supercells and queue the runs."""
        structures = self.namespace('structures')
        self.ctx.plan = plan_test_sets(
            self.inputs.parameters, structures=structures, metadata={'call_link_label': 'plan'}
        )
        self.ctx.samples = {}
        self.enqueue('make_run', self.runs.values())
        size = self.ctx.plan['supercell']
        return self.make_cells({label: (structure, size) for label, structure in structures.items()})

    @property
    def parts(self) -> list[str]:
        """The requested test sets."""
        return [part for part in PARTS if part in self.ctx.plan['sample']['lines']]

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one run."""
        potentials = {'potential': self.runnable(self.inputs.potential)}
        return lammps_run(self, run, self.ctx.cells[run.structure], potentials)

    def sample(self) -> None:
        """Collect the frames of each part, including those of runs that ended early, and queue their labelling."""
        self.report_failures('md')
        plan = self.ctx.plan
        for part in self.parts:
            ended = self.ended('md', data=part).items()
            samples = {run.id: node.outputs.frames for run, node in ended if self.sampled_a_frame(run, node)}
            if samples:
                metadata = {'call_link_label': f'sample_{part}'}
                self.ctx.samples[part] = sample_runs(plan['sample'], plan['runs'], samples=samples, metadata=metadata)
        self.enqueue('make_labels', [Run('label', number, data=part) for number, part in enumerate(self.ctx.samples)])

    def sampled_a_frame(self, run: Run, node: orm.ProcessNode) -> bool:
        """Whether a run reached the step of its first frame."""
        first = self.ctx.plan['sample']['steps'][run.id][0]
        return 'frames' in node.outputs and any(int(item.steps.max()) >= first for item in node.outputs.frames.sets())

    def make_labels(self, run: Run) -> Child:
        """Return the labelling of one part."""
        labeller = labeller_of(self.inputs, TEACHER)
        return labelling(self, run.label, self.ctx.samples[run.data], self.ctx.plan['label'], **labeller)

    def results(self) -> ExitCode | None:
        """Attach the sets, their temperatures and the account of all frames; report failures."""
        runs, labels = self.ended('md'), {str(run.data): node for run, node in self.ended('label').items()}
        for part, node in labels.items():
            if 'frames' in node.outputs:
                self.out(part, node.outputs.frames)
        found = account_test_sets(
            self.ctx.plan['sample'],
            self.ctx.plan['runs'],
            samples=dict(self.ctx.samples),
            results={run.id: node.outputs.results for run, node in runs.items() if 'results' in node.outputs},
            accounts={part: node.outputs.account for part, node in labels.items() if 'account' in node.outputs},
            metadata={'call_link_label': 'account'},
        )
        self.out_many(found)
        for part, node in labels.items():
            if not node.is_finished_ok:
                code = self.exit_codes.ERROR_LABEL_FAILED.format(part=part, reason=node.exit_message)
                return self.failure(node, code)
        for part in self.parts:
            if part not in labels:
                first = next(iter(self.ended('md', data=part).values()))
                code = self.exit_codes.ERROR_NO_FRAME_SAMPLED.format(part=part, reason=first.exit_message)
                return self.failure(first, code)
        return None
