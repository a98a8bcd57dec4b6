"""`DistillWorkChain`: a large potential teaches a small, fast one (the recipe of DPA-SSE's section 3.5)."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.account_distillation import account_distillation
from aiida_dpasse.functions.collect_samples import collect_samples
from aiida_dpasse.functions.compare_errors import compare_errors
from aiida_dpasse.functions.compare_speed import compare_speed
from aiida_dpasse.functions.perturb_frames import perturb_frames
from aiida_dpasse.functions.perturb_structures import perturb_structures
from aiida_dpasse.functions.plan_distill import plan_distill
from aiida_dpasse.functions.select_compounds import frames_of, select_compounds
from aiida_dpasse.functions.split_frames import split_frames
from aiida_dpasse.functions.structures_from_frames import structures_from_frames
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.committee import best_form, validate_labelled
from aiida_dpasse.workflows.distill_parameters import DistillParameters, validate_distill
from aiida_dpasse.workflows.initial_data import validate_structures
from aiida_dpasse.workflows.label import LabelWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain
from aiida_dpasse.workflows.train import TrainBaseWorkChain


class DistillWorkChain(DpasseWorkChain):
    """Perturb, run the teacher, perturb again, label with the teacher, train the student, compare."""

    CODES = ('dp', 'lmp', 'python')
    PARAMETERS = DistillParameters
    PROTOCOL = 'distill'
    CHILDREN = {'label': LabelWorkChain}

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
            cls.train,
            cls.compare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.finish,
        )
        spec.output('student', valid_type=DeepPotentialData, help='Compressed if that was asked for, else frozen.')
        spec.output('frames', valid_type=FramesData, help='All frames that the teacher labelled.')
        spec.output('account', valid_type=orm.Dict, help='What became of every frame and of every run.')
        spec.output('learning_curve', valid_type=orm.ArrayData, help='Losses against the step.')
        spec.output(
            'errors',
            valid_type=orm.Dict,
            help='`against_teacher`: of `student` on held-out frames; `against_reference`: of `student` and `teacher` '
            'on `test_data`, null without.',
        )
        spec.output('speed', valid_type=orm.Dict, required=False, help='katom-step/s of both, and their `ratio`.')
        spec.exit_code(
            400,
            'ERROR_DYNAMICS_FAILED',
            message='Only {count} of {starts} runs of the teacher ended well: shorten `dynamics.md.timestep`, lower '
            'its temperature, or train the teacher on more frames.',
        )
        spec.exit_code(
            401, 'ERROR_LABEL_FAILED', message='The teacher did not label: see the exit code of the child `label`.'
        )
        spec.exit_code(
            402,
            'ERROR_TRAINING_FAILED',
            message='The student was not trained: see the exit code of the child `train`, correct `parameters.train`.',
        )
        spec.exit_code(
            403,
            'ERROR_EVALUATION_FAILED',
            message='The test of the student failed: see the exit code of the child `{key}`; the student is attached.',
        )
        spec.exit_code(
            610,
            'ERROR_STUDENT_UNSTABLE',
            message="The student does not survive the teacher's first run: train it longer or on more frames.",
        )

    def perturb(self) -> None:
        """Perturb the structures, draw the starts and queue the teacher's runs."""
        structures = self.inputs.structures
        self.ctx.plan = plan_distill(self.inputs.parameters, **structures, metadata={'call_link_label': 'plan'})
        self.ctx.perturbed = perturb_structures(
            self.ctx.plan['perturb'], **structures, metadata={'call_link_label': 'perturb'}
        )
        self.ctx.starts = structures_from_frames(
            self.ctx.perturbed, self.ctx.plan['starts'], metadata={'call_link_label': 'starts'}
        )
        self.enqueue('make_run', sorted(key for key in self.ctx.plan if key.startswith('md_')))

    def make_run(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return the teacher's run ``key``."""
        return self.dynamics(key, self.inputs.teacher, 'teacher')

    def make_student(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return the student's repetition of the teacher's first finished run."""
        return self.dynamics(self.ctx.reference, self.ctx.student, 'student', key)

    def dynamics(
        self, key: str, potential: DeepPotentialData, name: str, label: str | None = None
    ) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return run ``key``: its start and its settings, with ``potential``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.starts[key.replace('md_', 'frame_0')],
            'potentials': {name: potential},
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(label or key)}

    def label(self) -> ExitCode | None:
        """Perturb what the runs sampled, and have the teacher label it all."""
        for key, node in self.unfinished('md_').items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        runs = self.finished('md_')
        dynamics = self.inputs.parameters['dynamics']
        minimum = dynamics.get('minimum_success', 0.6) * dynamics['starts']
        if not runs or len(runs) < minimum:
            return self.exit_codes.ERROR_DYNAMICS_FAILED.format(count=len(runs), starts=dynamics['starts'])
        self.ctx.reference = sorted(runs)[0]
        samples = collect_samples(
            **{key: node.outputs.frames for key, node in runs.items()}, metadata={'call_link_label': 'samples'}
        )
        again = perturb_frames(
            samples, self.ctx.plan['perturb_samples'], metadata={'call_link_label': 'perturb_samples'}
        )
        chosen = self.of_compounds('frames')
        further = {} if chosen is None else {'further': chosen}
        frames = union_frames(
            perturbed=self.ctx.perturbed,
            samples=samples,
            samples_perturbed=again,
            **further,
            metadata={'call_link_label': 'union'},
        )
        inputs = {'frames': frames, 'potential': self.inputs.teacher, 'parameters': self.ctx.plan['label']}
        self.run_child('labels', LabelWorkChain, {**inputs, **self.shared(LabelWorkChain, 'label')})
        return None

    def of_compounds(self, port: str) -> FramesData | None:
        """Return the frames at ``port`` that are of the structures' compounds; None, and a report, if none is."""
        if port not in self.inputs:
            return None
        frames, wanted = self.inputs[port], self.ctx.plan['compounds']
        known = frames_of(frames.formulas, wanted['compounds'])
        if known == frames.frames:
            return frames
        if not known:
            self.report(f"none of `{port}` is of the structures' compounds: they are left out")
            return None
        return select_compounds(frames, wanted, metadata={'call_link_label': f'select_{port}'})

    def train(self) -> ExitCode | None:
        """Hold frames out and train the student on the others."""
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
        self.out('frames', labels.outputs.frames)
        self.ctx.parts = split_frames(
            labels.outputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'}
        )
        inputs = {
            'code': self.inputs.codes.dp,
            'training_data': self.ctx.parts['training'],
            'parameters': self.ctx.plan['train'],
            'metadata': {'options': self.options_for('train')},
        }
        if 'validation' in self.ctx.parts:
            inputs['validation_data'] = self.ctx.parts['validation']
        self.run_child('training', TrainBaseWorkChain, {'train': inputs, **self.restart('train')})
        return None

    def compare(self) -> ExitCode | None:
        """Queue the tests of the student and its run beside the teacher's."""
        training = self.ctx.training
        if not training.is_finished_ok:
            return self.failure(training, self.exit_codes.ERROR_TRAINING_FAILED)
        self.ctx.student = best_form(training.outputs)
        self.out('student', self.ctx.student)
        self.out('learning_curve', training.outputs.learning_curve)
        # The student runs beside a test, as the teacher's runs ran beside each other: the speeds are comparable.
        self.enqueue('make_student', ['student'])
        self.enqueue('make_evaluation', ['evaluate_held_out', *self.reference_tests()])
        return None

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
