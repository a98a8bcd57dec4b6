"""`LearningCurveWorkChain`: sample efficiency of fine-tuning a pre-trained potential (DPA-SSE, figure 4)."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.plugins import CalculationFactory

from aiida_dpasse.base.chain import ONE_PROCESS, Child
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.structures import PlannedWorkChain
from aiida_dpasse.base.validators import define_labelled
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.deepmd_dataset import deepmd_dataset
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.parameters.sizes import part_size
from aiida_dpasse.runs import Run
from aiida_dpasse.train.finetune import validate_pretrained
from aiida_dpasse.train.learning_curve_parameters import LearningCurveParameters
from aiida_dpasse.train.plan_learning_curve import ALIGNED, ZERO_SHOT, plan_learning_curve
from aiida_dpasse.train.read_potential import read_potential
from aiida_dpasse.train.tabulate_learning_curve import tabulate_learning_curve
from aiida_dpasse.train.train import training


def validate_learning_curve(inputs: Any, _: Any) -> str | None:
    """Check that the potential can be fine-tuned to the frames, and that there are enough frames.

    :param inputs: inputs of `LearningCurveWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if message := validate_pretrained(inputs):
        return message
    if 'frames' not in inputs or 'parameters' not in inputs:
        return None
    settings = LearningCurveParameters.model_validate(inputs['parameters'].get_dict())
    total = inputs['frames'].frames
    left = total - (0 if inputs.get('test_data') is not None else part_size(settings.test, total))
    left -= part_size(settings.validation, total)
    if max(settings.sizes) > left:
        return (
            f'parameters: `sizes` asks for {max(settings.sizes)} frames and {left} of {total} are left beside the '
            'test: lower it, or give more frames.'
        )
    return None


class LearningCurveWorkChain(PlannedWorkChain):
    """Determine how many frames of a new compound the fine-tuning of a pre-trained potential needs.

    The potential is fine-tuned on increasing numbers of frames. Optionally, potentials are trained from scratch, and
    the pre-trained one is used with shifted element energies only. All are tested on the same frames.
    """

    CODES = (PROGRAM, 'python')
    OPTIONAL_CODES = ('torchrun',)
    PARAMETERS = LearningCurveParameters
    PROTOCOL = 'learning_curve'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_labelled(spec, 'frames', 'Labelled frames to draw from.')
        spec.input(
            'pretrained',
            valid_type=Potential,
            validator=validate_potentials,
            help='Checkpoint of the pre-trained potential.',
        )
        define_labelled(spec, 'test_data', 'Labelled frames to test on, instead of a part of `frames`.', required=False)
        spec.inputs.validator = validate_learning_curve
        spec.outline(
            cls.draw,
            run_queue(cls),
            cls.evaluate,
            cls.finish,
        )
        spec.output('sample_efficiency', valid_type=orm.Dict, help='Errors of every potential, and their means.')
        spec.output('test_data', valid_type=FramesData, help='Frames that the errors are computed on.')
        spec.output_namespace(
            'potentials',
            valid_type=Potential,
            help='Frozen, tuned on the most frames, by the labels of the trainings.',
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='No fine-tuning succeeded, the first because {reason} Correct `parameters.tune`.',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the potentials, which are attached, failed: {reason}',
        )

    def draw(self) -> None:
        """Hold out the test frames, draw the frames of every point, and queue its trainings."""
        held_out = {'test_data': self.inputs.test_data} if 'test_data' in self.inputs else {}
        self.ctx.plan = plan_learning_curve(
            self.inputs.parameters, self.inputs.frames, **held_out, metadata={'call_link_label': 'plan'}
        )
        parts = {'training': self.inputs.frames}
        if any(self.ctx.plan['split'][part] for part in ('test', 'validation')):
            parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
        self.ctx.test = self.inputs.test_data if held_out else parts['test']
        self.ctx.watched = {'validation_data': parts['validation']} if 'validation' in parts else {}
        self.out('test_data', self.ctx.test)
        self.ctx.everything, self.ctx.drawn = parts['training'], {}
        for run in self.runs.select(what='draw'):
            plan, metadata = self.ctx.plan['frames'][run.id], {'call_link_label': run.label}
            self.ctx.drawn[run.id] = draw_frames(parts['training'], plan, metadata=metadata)
        self.enqueue('make_alignment', self.runs.select(what='aligned'))
        self.enqueue('make_training', [*self.runs.select(what='tuned'), *self.runs.select(what='scratch')])

    def frames_for(self, run: Run) -> FramesData:
        """Return the frames of a run; all kinds of training share those of their size and repeat."""
        drawn = self.runs.select(what='draw', size=run.size, replica=run.replica)
        frames: FramesData = self.ctx.drawn[drawn[0].id] if drawn else self.ctx.everything
        return frames

    def make_training(self, run: Run) -> Child:
        """Return one training."""
        return training(
            self,
            run.label,
            training_data=self.frames_for(run),
            parameters=self.ctx.plan['train'][run.id],
            **({'pretrained': self.inputs.pretrained} if run.what == 'tuned' else {}),
            **self.ctx.watched,
        )

    def make_alignment(self, run: Run) -> Child:
        """Return the job that shifts the element energies to those of the frames."""
        frames = deepmd_dataset(self.frames_for(run), metadata={'call_link_label': f'dataset_{run.label}'})
        return CalculationFactory('core.shell'), {
            'code': self.engine_code,
            'nodes': {'pretrained': self.inputs.pretrained, 'frames': frames},
            'arguments': self.ctx.plan['align_arguments'],
            'outputs': self.ctx.plan['align_outputs'],
            'filenames': self.ctx.plan['align_filenames'],
            'metadata': {'options': {**ONE_PROCESS, **self.options_for('train'), 'redirect_stderr': True}},
        }

    def evaluate(self) -> ExitCode | None:
        """Test all potentials in one job, so that the comparison is exact."""
        for what in ('aligned', 'scratch'):
            self.report_failures(what)
        failed, tuned = self.report_failures('tuned'), self.succeeded('tuned')
        if not tuned:
            reason = next(iter(failed.values())).exit_message
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=reason)
        most = self.succeeded('tuned', size=max(self.settings.sizes))
        self.out('potentials', {run.label: node.outputs.frozen for run, node in most.items()})
        potentials = {ZERO_SHOT.id: self.inputs.pretrained}
        trained = {**tuned, **self.succeeded('scratch')}
        potentials |= {run.id: node.outputs.checkpoint for run, node in trained.items()}
        for run, node in self.succeeded('aligned').items():
            file = node.outputs[ALIGNED.replace('.', '_')]
            potentials[run.id] = read_potential(file, metadata={'call_link_label': f'read_{run.label}'})
        settings = self.ctx.plan['evaluate']
        self.run_child('evaluate', *self.evaluation('evaluate', potentials, self.ctx.test, settings))
        return None

    def finish(self) -> ExitCode | None:
        """Attach the table."""
        node = self.ctx['evaluate']
        if not node.is_finished_ok:
            return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED.format(reason=node.exit_message))
        results, metadata = node.outputs.results, {'call_link_label': 'tabulate'}
        self.out('sample_efficiency', tabulate_learning_curve(results, self.ctx.plan['runs'], metadata=metadata))
        return None
