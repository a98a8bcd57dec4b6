"""`DistillWorkChain`: distillation of a large potential into a small, fast one (section 3.5 of DPA-SSE)."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.reasons import first_reason, reason_of
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements, define_structures, sampled_frames
from aiida_dpasse.base.validators import best_form, define_labelled
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.distill.acceptance import AcceptanceWorkChain, validate_acceptance
from aiida_dpasse.distill.account_distillation import account_distillation
from aiida_dpasse.distill.compare_errors import compare_errors
from aiida_dpasse.distill.compare_speed import compare_speed
from aiida_dpasse.distill.distill_parameters import DistillParameters
from aiida_dpasse.distill.plan_distill import plan_distill
from aiida_dpasse.distill.select_compounds import frames_of, select_compounds
from aiida_dpasse.distill.tabulate_rounds import tabulate_rounds
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.close_contacts import close_contacts
from aiida_dpasse.frames.collect_samples import after_start, collect_samples
from aiida_dpasse.frames.perturb_frames import perturb_frames
from aiida_dpasse.frames.perturb_structures import perturb_structures
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.frames.structures_from_frames import structures_from_frames
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.runs import Run
from aiida_dpasse.train.train import training


def validate_distill(inputs: Any, _: Any = None) -> str | None:
    """Return an error message if the teacher cannot run the structures, or there are too few initial structures.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    structures = inputs.get('structures', {})
    teacher = inputs.get('teacher')
    if message := check_elements('teacher', teacher, structures):
        return message
    python = version_of(inputs.get('codes', {}).get('python'))
    if teacher is not None and (message := teacher.check_usable_in_python(python)):
        return f'teacher: {message}'
    if 'parameters' not in inputs:
        return None
    recipe = DistillParameters.model_validate(inputs['parameters'].get_dict())
    perturbed = len(structures) * len(recipe.scales) * recipe.perturbations.number
    if recipe.dynamics.starts > perturbed:
        return (
            f'parameters: `dynamics.starts` ({recipe.dynamics.starts}) should not exceed the number of perturbed '
            f'structures ({perturbed}): increase `perturbations.number`.'
        )
    if recipe.acceptance is not None:
        # The student and the frames labelled by the teacher do not exist yet.
        known = {'codes': inputs.get('codes', {}), 'structures': structures, 'frames': None}
        message = validate_acceptance({**known, 'parameters': orm.Dict(recipe.acceptance.model_dump())})
        return message and f'{message} (`acceptance` in the parameters)'
    return None


class DistillWorkChain(PlannedWorkChain):
    """Compute a fast student potential from a larger teacher potential.

    The chain perturbs the structures, samples molecular dynamics of the teacher, perturbs the samples, labels all
    frames with the teacher and trains the student. Optionally, in further rounds the student explores with its own
    dynamics and is retrained on the frames sampled there. A committee of further students is trained on the same frames
    with other seeds. Finally, student and teacher are compared, and the student can be put through the acceptance test.
    """

    CODES = (PROGRAM, 'lmp', 'python')
    OPTIONAL_CODES = ('torchrun',)
    PARAMETERS = DistillParameters
    PROTOCOL = 'distill'
    CHILDREN = {'label': LabelWorkChain, 'acceptance': AcceptanceWorkChain}
    RUNS_IN_LAMMPS = ('teacher',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input(
            'teacher',
            valid_type=Potential,
            validator=validate_potentials,
            help='Potential that labels the frames: frozen, or a checkpoint.',
        )
        define_structures(spec, 'Structures for which the student is trained.')
        define_labelled(
            spec,
            'test_data',
            'Frames with reference labels; those with the composition of a structure test student and teacher.',
            required=False,
        )
        spec.input(
            'frames',
            valid_type=FramesData,
            required=False,
            help='Further frames for the teacher to label, for example those of an active learning; frames without the '
            'composition of a structure are ignored.',
        )
        spec.inputs.validator = validate_distill
        spec.outline(
            *freeze_first(cls),
            cls.perturb,
            run_queue(cls),
            cls.label,
            cls.hold_out,
            cls.train,
            run_queue(cls),
            cls.take_student,
            while_(cls.explores)(
                cls.explore,
                run_queue(cls),
                cls.relabel,
                cls.examine,
                cls.settle,
                if_(cls.learns_more)(
                    cls.train,
                    run_queue(cls),
                    cls.take_student,
                ),
            ),
            cls.train_committee,
            run_queue(cls),
            cls.compare,
            run_queue(cls),
            cls.finish,
            if_(cls.accepts)(
                cls.accept,
                cls.take_verdict,
            ),
        )
        spec.output('student', valid_type=Potential, help='The student, compressed if requested, otherwise frozen.')
        spec.output_namespace(
            'committee',
            valid_type=Potential,
            dynamic=True,
            required=False,
            help='Further students, trained on the same frames with other seeds. The spread of the results of all '
            'students estimates the error of the potential.',
        )
        spec.output('frames', valid_type=FramesData, help='All frames labelled by the teacher.')
        spec.output('test_data', valid_type=FramesData, help='Labelled frames held out of the training.')
        spec.output(
            'rounds',
            valid_type=orm.Dict,
            required=False,
            help='Runs of the student in each round, its errors on their frames, and whether it is `settled`.',
        )
        spec.output('account', valid_type=orm.Dict, help='Account of every frame and of every run.')
        spec.output('learning_curve', valid_type=orm.ArrayData, help='Losses by step.')
        spec.output(
            'errors',
            valid_type=orm.Dict,
            help='`against_teacher`: errors of `student` on held-out frames; `against_reference`: errors of `student` '
            'and `teacher` on `test_data`, null without it.',
        )
        spec.output(
            'speed', valid_type=orm.Dict, required=False, help='Speeds of both in katom-step/s, and their `ratio`.'
        )
        spec.output(
            'verdict', valid_type=orm.Dict, required=False, help='Whether the student is accepted, and all checks.'
        )
        spec.output(
            'visited',
            valid_type=FramesData,
            required=False,
            help='Frames of failed dynamics, or of a refused student, for labelling with the reference method.',
        )
        exit_code(
            spec,
            'ERROR_DYNAMICS_FAILED',
            message='Only {count} of {starts} runs of the teacher succeeded: decrease `dynamics.md.timestep` or the '
            'temperature, or train the teacher on more frames. The first failure: {reason}',
        )
        exit_code(spec, 'ERROR_LABEL_FAILED', message='The labelling by the teacher failed: {reason}')
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='The training of the student failed: {reason} Correct `parameters.train`.',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the student failed: {reason} The student is attached.',
        )
        exit_code(
            spec,
            'ERROR_STUDENT_UNSTABLE',
            message='The molecular dynamics of the student failed: {reason} Train it longer or on more frames.',
        )
        exit_code(
            spec,
            'ERROR_ACCEPTANCE_FAILED',
            message='The acceptance test failed: {reason} The student is attached.',
        )
        exit_code(spec, 'ERROR_REFUSED', message='The student is attached but not accepted. {reason}')

    # -- frames -----------------------------------------------------------------------------------------------------

    def perturb(self) -> None:
        """Perturb the structures, draw the initial structures and queue the runs of the teacher."""
        self.ctx.teacher = self.runnable(self.inputs.teacher)
        structures = self.namespace('structures')
        self.ctx.plan = plan_distill(
            self.inputs.parameters, structures=structures, metadata={'call_link_label': 'plan'}
        )
        self.ctx.perturbed = perturb_structures(
            self.ctx.plan['perturb'], structures=structures, metadata={'call_link_label': 'perturb'}
        )
        self.ctx.starts = structures_from_frames(
            self.ctx.perturbed, self.ctx.plan['starts'], metadata={'call_link_label': 'starts'}
        )
        # `round` counts the rounds of the student, 0 before the first; `taught` holds the frames added in each round,
        # and `results` the outputs attached at the end.
        self.ctx.round, self.ctx.settled, self.ctx.taught, self.ctx.results = 0, False, {}, {}
        self.ctx.errors, self.ctx.accounts = {}, {}
        self.enqueue('make_run', self.planned('md'))

    def planned(self, what: str, **fields: Any) -> list[Run]:
        """Return the planned runs of the kind ``what``."""
        return self.runs.select(what=what, **fields)

    def make_run(self, run: Run) -> Child:
        """Return one run of the teacher."""
        return self.dynamics(run, 'teacher', self.ctx.teacher)

    def dynamics(self, run: Run, name: str, potential: Potential) -> Child:
        """Return the molecular dynamics of ``run``, with its structure and settings, driven by ``potential``."""
        structure, parameters = (
            self.ctx.starts[f'frame_{run.number:04d}'],
            self.ctx.plan['md'][Run('md', run.number).id],
        )
        return lammps_run(self, run, structure, {name: potential}, parameters)

    def label(self) -> ExitCode | None:
        """Perturb the sampled frames, and label all frames with the teacher."""
        failed, runs = self.report_failures('md'), self.succeeded('md')
        dynamics = self.settings.dynamics
        if not runs or len(runs) < dynamics.minimum_success * dynamics.starts:
            self.attach_visited(sampled_frames(failed))
            return self.exit_codes.ERROR_DYNAMICS_FAILED.format(
                count=len(runs), starts=dynamics.starts, reason=first_reason(failed)
            )
        self.ctx.reference = next(iter(runs)).id
        samples = collect_samples(
            samples={run.id: node.outputs.frames for run, node in runs.items()}, metadata={'call_link_label': 'samples'}
        )
        again = perturb_frames(
            samples, self.ctx.plan['perturb_samples'], metadata={'call_link_label': 'perturb_samples'}
        )
        parts = {'perturbed': self.ctx.perturbed, 'samples': samples, 'samples_perturbed': again}
        if 'contacts' in self.ctx.plan:
            contacts = close_contacts(
                self.ctx.plan['contacts'],
                structures=self.namespace('structures'),
                metadata={'call_link_label': 'contacts'},
            )
            if 'frames' in contacts:
                parts['contacts'] = contacts['frames']
        if (chosen := self.of_compounds('frames')) is not None:
            parts['further'] = chosen
        self.label_by_teacher('labels', union_frames(frames=parts, metadata={'call_link_label': 'union'}), 'label')
        return None

    def label_by_teacher(self, key: str, frames: FramesData, label: str) -> None:
        """Label ``frames`` with the teacher; the labelling is stored as `ctx.<key>`."""
        self.run_child(key, *labelling(self, label, frames, self.ctx.plan['label'], potential=self.ctx.teacher))

    def of_compounds(self, port: str) -> FramesData | None:
        """Return the frames at ``port`` with the composition of one of the structures, or None if there are no such
        frames.
        """
        if port not in self.inputs:
            return None
        frames, wanted = self.inputs[port], self.ctx.plan['compounds']
        known = frames_of(frames.formulas, wanted['compounds'])
        if known == frames.frames:
            return frames
        if not known:
            self.report(f'`{port}` is ignored: no frame has the composition of a structure')
            return None
        return select_compounds(frames, wanted, metadata={'call_link_label': f'select_{port}'})

    def hold_out(self) -> ExitCode | None:
        """Account for runs and labels, and hold frames out of the training."""
        labels = self.ctx.labels
        if 'account' in labels.outputs:
            account = account_distillation(
                self.ctx.plan['runs'],
                labels.outputs.account,
                results={run.id: node.outputs.results for run, node in self.succeeded('md').items()},
                metadata={'call_link_label': 'account'},
            )
            self.out('account', account)
        if not labels.is_finished_ok:
            return self.give_up(labels, 'ERROR_LABEL_FAILED')
        self.ctx.results['frames'] = labels.outputs.frames
        self.ctx.parts = split_frames(
            labels.outputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'}
        )
        self.out('test_data', self.ctx.parts['test'])
        return None

    # -- the student ------------------------------------------------------------------------------------------------

    def key(self, step: str) -> str:
        """Return the link label of ``step`` in this round; the first training has no round number."""
        return f'{step}_{self.ctx.round:02d}' if self.ctx.round else step

    def train(self) -> None:
        """Queue the training of a student on all frames collected so far.

        If no round follows, the committee is trained at the same time.
        """
        self.ctx.collected = self.ctx.parts['training']
        if self.ctx.taught:
            self.ctx.collected = union_frames(
                frames={'initial': self.ctx.collected, **self.ctx.taught},
                metadata={'call_link_label': self.key('union')},
            )
        self.enqueue('make_training', [Run('train', iteration=self.ctx.round)])
        if not self.planned('round'):
            self.train_committee()

    def train_committee(self) -> None:
        """Queue the training of the further students on the frames of the last training, unless it is done."""
        self.enqueue('make_training', [run for run in self.planned('member') if run.id not in self.ctx.records])

    def make_training(self, run: Run) -> Child:
        """Return the training of a student, or of a member of the committee."""
        member = run.what == 'member'
        inputs = {
            'training_data': self.ctx.collected,
            'parameters': self.ctx.plan['members'][run.id] if member else self.ctx.plan['train'],
        }
        if 'validation' in self.ctx.parts:
            inputs['validation_data'] = self.ctx.parts['validation']
        return training(self, run.label if member else self.key('train'), **inputs)

    def take_student(self) -> ExitCode | None:
        """Store the trained student, or stop with an error."""
        training = self.ctx.done[Run('train', iteration=self.ctx.round).id]
        if not training.is_finished_ok:
            return self.give_up(training, 'ERROR_TRAINING_FAILED')
        self.ctx.student = best_form(training.outputs)
        self.ctx.results |= {'student': self.ctx.student, 'learning_curve': training.outputs.learning_curve}
        return None

    # -- exploration rounds -----------------------------------------------------------------------------------------

    def explores(self) -> bool:
        """Whether another round follows.

        The student visits configurations that its teacher never visits, and extrapolates there.
        """
        return not self.ctx.settled and bool(self.planned('round', iteration=self.ctx.round + 1))

    def explore(self) -> None:
        """Queue the runs of the student from the initial structures of the teacher's runs."""
        self.ctx.round += 1
        self.enqueue('make_exploration', self.planned('explore', iteration=self.ctx.round))

    def make_exploration(self, run: Run) -> Child:
        """Return one run of the student."""
        return self.dynamics(run, 'student', self.ctx.student)

    def relabel(self) -> ExitCode | None:
        """Label the frames that the student sampled with the teacher, including those of failed runs, which improve it
        most.
        """
        failed = self.report_failures('explore', iteration=self.ctx.round)
        sampled = after_start(sampled_frames(self.ended('explore', iteration=self.ctx.round)))
        if not sampled:
            self.attach()
            return self.exit_codes.ERROR_STUDENT_UNSTABLE.format(reason=first_reason(failed))
        samples = collect_samples(samples=sampled, metadata={'call_link_label': self.key('samples')})
        self.label_by_teacher('relabelled', samples, self.key('relabel'))
        return None

    def examine(self) -> ExitCode | None:
        """Compare the student with its teacher on the frames that the student sampled."""
        labels = self.ctx.relabelled
        none_admitted = LabelWorkChain.get_exit_statuses(['ERROR_NO_FRAME_ADMITTED'])
        if labels.exit_status in none_admitted:
            # No label in the visited region is trusted, so there is nothing to train on.
            return self.give_up(labels, 'ERROR_STUDENT_UNSTABLE')
        if not labels.is_finished_ok:
            return self.give_up(labels, 'ERROR_LABEL_FAILED')
        self.run_child('examination', *self.test_of(self.key('examine'), ['student'], labels.outputs.frames))
        return None

    def test_of(self, label: str, names: list[str], frames: FramesData) -> Child:
        """Return the test of the potentials ``names`` on ``frames``."""
        potentials = {'student': self.ctx.student, 'teacher': self.ctx.teacher}
        return self.evaluation(label, {name: potentials[name] for name in names}, frames, self.ctx.plan['evaluate'])

    def settle(self) -> ExitCode | None:
        """Tabulate the rounds, decide whether the student is settled, and add the new frames to its training data."""
        node, labels = self.ctx.examination, self.ctx.relabelled
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_EVALUATION_FAILED')
        [turn] = self.planned('round', iteration=self.ctx.round)
        self.ctx.errors[turn.id] = node.outputs.results
        self.ctx.accounts[turn.id] = labels.outputs.account
        rounds = tabulate_rounds(
            self.ctx.plan['rounds'],
            self.ctx.plan['runs'],
            results={
                run.id: child.outputs.results
                for run, child in self.ended('explore').items()
                if 'results' in child.outputs
            },
            errors=self.ctx.errors,
            accounts=self.ctx.accounts,
            metadata={'call_link_label': self.key('table')},
        )
        self.ctx.settled = rounds['settled']
        self.report(f'round {self.ctx.round}: {rounds["verdict"]}')
        self.ctx.taught[turn.id] = labels.outputs.frames
        self.ctx.results['rounds'] = rounds
        self.ctx.results['frames'] = union_frames(
            frames={'initial': self.ctx.labels.outputs.frames, **self.ctx.taught},
            metadata={'call_link_label': self.key('collect')},
        )
        return None

    def learns_more(self) -> bool:
        """Whether the student has to be retrained on the frames of this round."""
        return not self.ctx.settled

    # -- comparison with the teacher --------------------------------------------------------------------------------

    def compare(self) -> None:
        """Attach the students, and queue the tests and a run of the first for comparison with the teacher.

        The committee lacks a student whose training failed.
        """
        self.report_failures('member')
        self.ctx.members = {run.id: best_form(node.outputs) for run, node in self.succeeded('member').items()}
        self.attach()
        # The student runs concurrently with a test, as the runs of the teacher did with each other: the speeds are
        # comparable.
        self.enqueue('make_student_run', [self.record(self.ctx.reference).follow('student')])
        self.ctx.reference_frames = self.of_compounds('test_data')
        tests = [Run('against_teacher')]
        tests += [] if self.ctx.reference_frames is None else [Run('against_reference')]
        self.enqueue('make_test', tests)

    def make_student_run(self, run: Run) -> Child:
        """Return the student's repetition of the first successful run of the teacher."""
        return self.dynamics(run, 'student', self.ctx.student)

    def make_test(self, run: Run) -> Child:
        """Return the test on the held-out frames, or the test of both potentials on reference labels."""
        if run.what == 'against_teacher':
            return self.test_of(run.label, ['student'], self.ctx.parts['test'])
        return self.test_of(run.label, ['student', 'teacher'], self.ctx.reference_frames)

    def finish(self) -> ExitCode | None:
        """Attach errors and speed, and report whether the run of the student was stable."""
        tables = {}
        for what in ('against_teacher', 'against_reference'):
            for node in self.report_failures(what).values():
                return self.give_up(node, 'ERROR_EVALUATION_FAILED')
            for node in self.succeeded(what).values():
                tables[what] = node.outputs.results
        self.out('errors', compare_errors(**tables, metadata={'call_link_label': 'compare_errors'}))
        [student] = self.ended('student').values()
        if not student.is_finished_ok:
            self.attach_visited(sampled_frames(self.failed('student')))
            return self.give_up(student, 'ERROR_STUDENT_UNSTABLE')
        speed = compare_speed(
            student.outputs.results,
            self.ctx.done[self.ctx.reference].outputs.results,
            metadata={'call_link_label': 'compare_speed'},
        )
        self.out('speed', speed)
        return None

    def accepts(self) -> bool:
        """Whether an acceptance test is requested."""
        return 'acceptance' in self.ctx.plan

    def accept(self) -> None:
        """Run the acceptance test."""
        inputs = {
            'student': self.ctx.student,
            'teacher': self.ctx.teacher,
            'structures': self.namespace('structures'),
            'frames': self.ctx.parts['test'],
            'parameters': self.ctx.plan['acceptance'],
            **self.shared(AcceptanceWorkChain, 'accept'),
        }
        if self.ctx.reference_frames is not None:
            inputs['test_data'] = self.ctx.reference_frames
        self.run_child('accept', AcceptanceWorkChain, inputs)

    def take_verdict(self) -> ExitCode | None:
        """Attach the verdict, and stop with an error if the student is refused."""
        node = self.ctx['accept']
        if 'verdict' not in node.outputs:
            return self.give_up(node, 'ERROR_ACCEPTANCE_FAILED')
        self.out('verdict', node.outputs.verdict)
        if not node.is_finished_ok:
            if 'visited' in node.outputs:
                self.out('visited', node.outputs.visited)
            return self.exit_codes.ERROR_REFUSED.format(reason=node.outputs.verdict['reason'])
        return None

    # -- outputs ----------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Attach the last student, the committee and the training data."""
        self.out_many(self.ctx.results)
        if members := self.ctx.get('members'):
            self.out('committee', dict(members))

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Attach the available outputs, and return the exit code ``name`` with the reason of ``node``."""
        self.attach()
        return getattr(self.exit_codes, name).format(reason=reason_of(node))
