"""`FinetuneStudyWorkChain`: how many frames of a new compound a pre-trained potential needs (DPA-SSE, figure 4)."""

from __future__ import annotations

from typing import Any, Literal

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.plugins import CalculationFactory
from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.train import TrainParameters
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.draw_frames import draw_frames
from aiida_dpasse.functions.plan_finetune_study import ALIGNED, plan_finetune_study
from aiida_dpasse.functions.read_potential import read_potential
from aiida_dpasse.functions.split_frames import part_size, split_frames
from aiida_dpasse.functions.tabulate_finetune_study import tabulate_finetune_study
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.chain import ONE_PROCESS, DpasseWorkChain
from aiida_dpasse.workflows.finetune import validate_pretrained
from aiida_dpasse.workflows.train import TrainBaseWorkChain
from aiida_dpasse.workflows.validators import validate_labelled


class FinetuneStudyParameters(Parameters):
    """How many frames, how often, and how each training goes."""

    sizes: list[PositiveInt] = Field(min_length=1, description='Numbers of frames to tune on.')
    repeats: int = Field(gt=0, description='Trainings of each size, with frames and weights drawn anew.')
    test: float = Field(gt=0, description='Number, or fraction below 1, of `frames` that only the test sees.')
    validation: float = Field(
        default=0,
        ge=0,
        description='Number, or fraction below 1, of `frames` that is watched while training, for `early_stop`.',
    )
    choice: Literal['random', 'diverse'] = Field(
        default='random', description='How frames are drawn: as in the paper, or the farthest from each other.'
    )
    align: bool = Field(
        default=True, description="Whether `dp change-bias` alone, which shifts the elements' energies, is tested."
    )
    from_scratch: bool = Field(
        default=True, description='Whether potentials are trained from scratch as well, on these sizes and on all.'
    )
    epochs: float | None = Field(
        gt=0, description='How often a training sees each of its frames; null keeps `numb_steps` whatever the size.'
    )
    tune: TrainParameters = Field(description='Training from the pre-trained weights.')
    scratch: TrainParameters = Field(description='Training from scratch.')
    seed: int = Field(ge=0, description='Seed of every random choice.')

    @model_validator(mode='after')
    def _trainings(self) -> FinetuneStudyParameters:
        if self.tune.finetune is None:
            raise ValueError('`tune.finetune` is missing: give it')
        if self.scratch.finetune is not None:
            raise ValueError('`scratch.finetune` should be null: what is trained from scratch starts from nothing')
        if (self.tune.early_stop or self.scratch.early_stop) and not self.validation:
            raise ValueError('`validation` is 0, and `early_stop` watches these frames: raise it')
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError('`sizes` should name each number once')
        return self


def validate_finetune_study(inputs: Any, _: Any) -> str | None:
    """Return one sentence if the potential cannot be tuned to these frames, or they are too few."""
    if message := validate_pretrained(inputs):
        return message
    if 'frames' not in inputs or 'parameters' not in inputs:
        return None
    settings = inputs['parameters'].get_dict()
    total = inputs['frames'].frames
    left = total - (0 if 'test_data' in inputs else part_size(settings['test'], total))
    left -= part_size(settings.get('validation', 0), total)
    if max(settings['sizes']) > left:
        return (
            f'parameters: `sizes` asks for {max(settings["sizes"])} frames and {left} of {total} are left beside the '
            'test: lower it, or give more frames.'
        )
    return None


class FinetuneStudyWorkChain(DpasseWorkChain):
    """Tune on few frames and on more, align only, train from scratch; test all on the same frames."""

    CODES = ('dp', 'python')
    PARAMETERS = FinetuneStudyParameters
    PROTOCOL = 'finetune_study'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, validator=validate_labelled, help='Labelled frames to draw from.')
        spec.input('pretrained', valid_type=DeepPotentialData, help='Checkpoint of the pre-trained potential.')
        spec.input(
            'test_data',
            valid_type=FramesData,
            required=False,
            validator=validate_labelled,
            help='Labelled frames to test on, instead of a part of `frames`.',
        )
        spec.inputs.validator = validate_finetune_study
        spec.outline(
            cls.draw,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.evaluate,
            cls.finish,
        )
        spec.output('sample_efficiency', valid_type=orm.Dict, help='Errors of every potential, and their means.')
        spec.output('test_data', valid_type=FramesData, help='Frames that the errors are computed on.')
        spec.output_namespace(
            'potentials', valid_type=DeepPotentialData, help='Frozen, tuned on the most frames, by repeat.'
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='No fine-tuning succeeded: see the exit codes of the trainings, correct `parameters.tune`.',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the potentials failed: see the exit code of `evaluate`; the potentials are attached.',
        )

    def draw(self) -> None:
        """Hold the test out, draw the frames of every point, and queue its trainings."""
        held_out = {'test_data': self.inputs.test_data} if 'test_data' in self.inputs else {}
        self.ctx.plan = plan_finetune_study(
            self.inputs.parameters, self.inputs.frames, **held_out, metadata={'call_link_label': 'plan'}
        )
        parts = {'training': self.inputs.frames}
        if any(self.ctx.plan['split'][part] for part in ('test', 'validation')):
            parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
        self.ctx.test = self.inputs.test_data if held_out else parts['test']
        self.ctx.watched = {'validation_data': parts['validation']} if 'validation' in parts else {}
        self.out('test_data', self.ctx.test)
        self.ctx.drawn = {}
        for key in sorted(name for name in self.ctx.plan if name.startswith('frames_')):
            metadata = {'call_link_label': key}
            self.ctx.drawn[key] = draw_frames(parts['training'], self.ctx.plan[key], metadata=metadata)
        self.ctx.everything = parts['training']
        if 'align_arguments' in self.ctx.plan:
            self.enqueue('make_alignment', sorted(key.replace('frames', 'aligned', 1) for key in self.ctx.drawn))
        self.enqueue('make_training', sorted(key for key in self.ctx.plan if key.startswith(('tuned_', 'scratch_'))))

    def frames_for(self, key: str) -> FramesData:
        """Return the frames of the point ``<kind>_<n>_<repeat>``: of each kind the same."""
        return self.ctx.drawn.get(f'frames_{key.partition("_")[2]}', self.ctx.everything)

    def make_training(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return one training."""
        inputs: dict[str, Any] = {
            'code': self.inputs.codes.dp,
            'training_data': self.frames_for(key),
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('train')},
            **self.ctx.watched,
        }
        if key.startswith('tuned_'):
            inputs['pretrained'] = self.inputs.pretrained
        return TrainBaseWorkChain, {'train': inputs, **self.restart(key)}

    def make_alignment(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the job that shifts the energies of the elements to those of the frames."""
        return CalculationFactory('core.shell'), {
            'code': self.inputs.codes.dp,
            'nodes': {'pretrained': self.inputs.pretrained, 'frames': self.frames_for(key)},
            'arguments': self.ctx.plan['align_arguments'],
            'outputs': self.ctx.plan['align_outputs'],
            'filenames': self.ctx.plan['align_filenames'],
            'metadata': {'options': {**ONE_PROCESS, **self.options_for('train'), 'redirect_stderr': True}},
        }

    def evaluate(self) -> ExitCode | None:
        """Test every potential that came to be, in one job: they are compared on exactly the same terms."""
        for key, node in self.unfinished().items():
            self.report(f'{key}<{node.pk}> failed with exit code {node.exit_status}: {node.exit_message}')
        tuned = self.finished('tuned_')
        if not tuned:
            return self.exit_codes.ERROR_TRAINING_FAILED
        most = max(self.inputs.parameters['sizes'])
        best = {key: node for key, node in tuned.items() if key.startswith(f'tuned_{most:05d}_')}
        self.out('potentials', {key: node.outputs.frozen for key, node in best.items()})
        potentials = {'zero_shot': self.inputs.pretrained}
        potentials |= {key: node.outputs.checkpoint for key, node in {**tuned, **self.finished('scratch_')}.items()}
        for key, node in self.finished('aligned_').items():
            file = node.outputs[ALIGNED.replace('.', '_')]
            potentials[key] = read_potential(file, metadata={'call_link_label': f'read_{key}'})
        inputs = {
            'code': self.inputs.codes.python,
            'potentials': potentials,
            'frames': self.ctx.test,
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate')},
        }
        self.run_child('evaluate', EvaluateCalculation, inputs)
        return None

    def finish(self) -> ExitCode | None:
        """Attach the table."""
        node = self.ctx['evaluate']
        if not node.is_finished_ok:
            return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED)
        self.out(
            'sample_efficiency',
            tabulate_finetune_study(node.outputs.results, metadata={'call_link_label': 'tabulate'}),
        )
        return None
