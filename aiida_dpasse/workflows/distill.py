"""`DistillWorkChain`: a large potential teaches a small, fast one (the recipe of DPA-SSE's section 3.5)."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.account_distillation import account_distillation
from aiida_dpasse.functions.compare_errors import compare_errors
from aiida_dpasse.functions.compare_speed import compare_speed
from aiida_dpasse.functions.split_frames import split_frames
from aiida_dpasse.workflows.acceptance import AcceptanceWorkChain
from aiida_dpasse.workflows.distill_parameters import DistillParameters, validate_distill
from aiida_dpasse.workflows.label import LabelWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain
from aiida_dpasse.workflows.taught_rounds import TaughtRoundsWorkChain
from aiida_dpasse.workflows.validators import validate_labelled, validate_structures


class DistillWorkChain(TaughtRoundsWorkChain):
    """Perturb, run the teacher, perturb again, label with the teacher, train the student, compare."""

    CODES = ('dp', 'lmp', 'python')
    PARAMETERS = DistillParameters
    PROTOCOL = 'distill'
    CHILDREN = {'label': LabelWorkChain, 'acceptance': AcceptanceWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('teacher', valid_type=DeepPotentialData, help='Frozen potential that labels.')
        spec.input_namespace(
            'structures', valid_type=orm.StructureData, validator=validate_structures, help='What the student is for.'
        )
        spec.input(
            'test_data',
            valid_type=FramesData,
            required=False,
            validator=validate_labelled,
            help="Frames with reference labels; student and teacher are tested on those of the structures' compounds.",
        )
        spec.input(
            'frames',
            valid_type=FramesData,
            required=False,
            help="More frames for the teacher to label: those of the structures' compounds are taken. What an active "
            'learning collected shows the student where potentials of its kind went astray.',
        )
        spec.inputs.validator = validate_distill
        spec.outline(
            cls.perturb,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.label,
            cls.hold_out,
            cls.train,
            cls.take_student,
            while_(cls.explores)(
                cls.explore,
                while_(cls.queue_left)(
                    cls.submit_queue,
                ),
                cls.relabel,
                cls.examine,
                cls.settle,
                if_(cls.learns_more)(
                    cls.train,
                    cls.take_student,
                ),
            ),
            cls.compare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.finish,
            if_(cls.accepts)(
                cls.accept,
                cls.take_verdict,
            ),
        )
        spec.output('student', valid_type=DeepPotentialData, help='Compressed if that was asked for, else frozen.')
        spec.output('frames', valid_type=FramesData, help='All frames that the teacher labelled.')
        spec.output('test_data', valid_type=FramesData, help='Those of them that the student never saw.')
        spec.output(
            'rounds',
            valid_type=orm.Dict,
            required=False,
            help='What the student met by itself in each round, its errors there, and whether it is `settled`.',
        )
        spec.output('account', valid_type=orm.Dict, help='What became of every frame and of every run.')
        spec.output('learning_curve', valid_type=orm.ArrayData, help='Losses against the step.')
        spec.output(
            'errors',
            valid_type=orm.Dict,
            help='`against_teacher`: of `student` on held-out frames; `against_reference`: of `student` and `teacher` '
            'on `test_data`, null without.',
        )
        spec.output('speed', valid_type=orm.Dict, required=False, help='katom-step/s of both, and their `ratio`.')
        spec.output(
            'verdict', valid_type=orm.Dict, required=False, help='Whether the student is accepted, and every check.'
        )
        exit_code(
            spec,
            'ERROR_DYNAMICS_FAILED',
            message='Only {count} of {starts} runs of the teacher ended well: shorten `dynamics.md.timestep`, lower '
            'its temperature, or train the teacher on more frames.',
        )
        exit_code(
            spec, 'ERROR_LABEL_FAILED', message='The teacher did not label: see the exit code of the child `label`.'
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='The student was not trained: see the exit code of the child `train`, correct `parameters.train`.',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the student failed: see the exit code of the child `{key}`; the student is attached.',
        )
        exit_code(
            spec,
            'ERROR_STUDENT_UNSTABLE',
            message="The student does not survive the teacher's first run: train it longer or on more frames.",
        )
        exit_code(
            spec,
            'ERROR_ACCEPTANCE_FAILED',
            message='Nothing was judged: see the child `accept`; the student is attached.',
        )
        exit_code(spec, 'ERROR_REFUSED', message='The student is refused, and attached. {reason}')

    def hold_out(self) -> ExitCode | None:
        """Account for runs and labels, and hold frames out of the training."""
        labels = self.ctx.labels
        if 'account' in labels.outputs:
            results = {key: node.outputs.results for key, node in self.finished('md_').items()}
            account = account_distillation(
                self.ctx.plan['starts'],
                labels.outputs.account,
                **results,
                metadata={'call_link_label': 'account'},
            )
            self.out('account', account)
        if not labels.is_finished_ok:
            return self.failure(labels, self.exit_codes.ERROR_LABEL_FAILED)
        self.ctx.results = {'frames': labels.outputs.frames}
        self.ctx.parts = split_frames(
            labels.outputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'}
        )
        self.out('test_data', self.ctx.parts['test'])
        self.ctx.round, self.ctx.settled, self.ctx.taught, self.ctx.table = 0, False, {}, {}
        return None

    def compare(self) -> None:
        """Attach the student, and queue its tests and its run beside the teacher's."""
        self.attach()
        # The student runs beside a test, as the teacher's runs ran beside each other: the speeds are comparable.
        self.enqueue('make_student', ['student'])
        self.enqueue('make_evaluation', ['evaluate_held_out', *self.reference_tests()])

    def make_student(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return the student's repetition of the teacher's first finished run."""
        return self.dynamics(self.ctx.reference, self.ctx.student, 'student', key)

    def reference_tests(self) -> list[str]:
        """Return the key of the test against reference labels, if there are any of these compounds."""
        frames = self.of_compounds('test_data')
        if frames is None:
            return []
        self.ctx.reference_frames = frames
        return ['evaluate_reference']

    def make_evaluation(self, key: str) -> tuple[type[EvaluateCalculation], dict[str, Any]]:
        """Return the test ``key``."""
        potentials = {'student': self.ctx.student}
        frames = self.ctx.parts['test']
        if key == 'evaluate_reference':
            potentials['teacher'] = self.inputs.teacher
            frames = self.ctx.reference_frames
        return EvaluateCalculation, {
            'code': self.inputs.codes.python,
            'potentials': potentials,
            'frames': frames,
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate')},
        }

    def finish(self) -> ExitCode | None:
        """Attach errors and speed, and say whether the student survived."""
        for key, node in self.unfinished('evaluate').items():
            return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED.format(key=key))
        tables = {
            f'against_{key.removeprefix("evaluate_")}'.replace('held_out', 'teacher'): node.outputs.results
            for key, node in self.finished('evaluate').items()
        }
        self.out('errors', compare_errors(**tables, metadata={'call_link_label': 'compare_errors'}))
        student = self.ctx.done['student']
        if not student.is_finished_ok:
            return self.failure(student, self.exit_codes.ERROR_STUDENT_UNSTABLE)
        speed = compare_speed(
            student.outputs.results,
            self.ctx.done[self.ctx.reference].outputs.results,
            metadata={'call_link_label': 'compare_speed'},
        )
        self.out('speed', speed)
        return None

    def accepts(self) -> bool:
        """Whether the student has to show that it may replace its teacher."""
        return 'acceptance' in self.ctx.plan

    def accept(self) -> None:
        """Let it show that."""
        inputs = {
            'student': self.ctx.student,
            'teacher': self.inputs.teacher,
            'structures': dict(self.inputs.structures),
            'frames': self.ctx.parts['test'],
            'parameters': self.ctx.plan['acceptance'],
            **self.shared(AcceptanceWorkChain, 'accept'),
        }
        if 'reference_frames' in self.ctx:
            inputs['test_data'] = self.ctx.reference_frames
        self.run_child('accept', AcceptanceWorkChain, inputs)

    def take_verdict(self) -> ExitCode | None:
        """Attach the verdict, and stop at a student that is refused."""
        node = self.ctx['accept']
        if 'verdict' not in node.outputs:
            return self.failure(node, self.exit_codes.ERROR_ACCEPTANCE_FAILED)
        self.out('verdict', node.outputs.verdict)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_REFUSED.format(reason=node.outputs.verdict['reason'])
        return None
