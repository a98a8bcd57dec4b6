"""What pre-training and fine-tuning share: labelled frames are split, trained on, and tested on what was held out."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.train import TrainParameters
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.split_frames import split_frames
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.split import SplitParameters
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.train import TrainBaseWorkChain
from aiida_dpasse.workflows.validators import validate_labelled

HELD_OUT = ('validation_data', 'test_data')


class HeldOutParameters(Parameters):
    """Settings of a training with held-out frames."""

    train: TrainParameters = Field(description='Parameters of the training.')
    split: SplitParameters = Field(default=SplitParameters(), description='Frames held out of the training.')
    seed: int = Field(
        ge=0,
        description='Seed of split, weights and order of the frames; a chain that calls this one replaces it by one '
        'derived from its own.',
    )


def validate_held_out(inputs: Any, _: Any) -> str | None:
    """Return one sentence if nothing would be left for training, or to test on."""
    if 'frames' not in inputs or 'parameters' not in inputs:
        return None
    split = inputs['parameters'].get_dict().get('split', {})
    frames = inputs['frames'].frames
    sizes = {}
    for part, default in (('validation', 0.0), ('test', 0.1)):
        size = split.get(part, default)
        sizes[part] = 0 if f'{part}_data' in inputs else round(size * frames) if 0 < size < 1 else int(size)
    if sum(sizes.values()) >= frames:
        return (
            f'parameters: `split` takes {sum(sizes.values())} of the {frames} frames, which leaves none to train '
            'on: lower `split.validation` or `split.test`, or give more frames.'
        )
    if 'test_data' not in inputs and sizes['test'] == 0:
        return (
            f'parameters: `split.test` leaves none of the {frames} frames for the test: raise it or give `test_data`.'
        )
    return None


class HeldOutWorkChain(DpasseWorkChain):
    """Base of the chains that train one potential and test it on frames it never saw."""

    CODES = ('dp', 'python')
    PARAMETERS = HeldOutParameters

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the shared ports, outline and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, validator=validate_labelled, help='Labelled frames to train on.')
        for name, use in zip(HELD_OUT, ('watch the training', 'test the finished potential'), strict=True):
            spec.input(
                name,
                valid_type=FramesData,
                required=False,
                validator=validate_labelled,
                help=f'Labelled frames to {use}, instead of a part of `frames`.',
            )
        spec.inputs.validator = validate_held_out
        spec.outline(cls.make_plan, cls.split, cls.train, cls.evaluate, cls.finish)
        spec.output('checkpoint', valid_type=DeepPotentialData, help='Checkpoint: to fine-tune or to go on from.')
        spec.output('frozen', valid_type=DeepPotentialData, help='Frozen potential: for LAMMPS and for labelling.')
        spec.output('learning_curve', valid_type=orm.ArrayData, help='Losses against the step.')
        spec.output('training_data', valid_type=FramesData, help='Frames that the potential was trained on.')
        spec.output('test_data', valid_type=FramesData, help='Frames that the errors are computed on.')
        spec.output('errors', valid_type=orm.Dict, help='Errors on the test data, by potential.')
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='The training failed: see its exit code, correct `parameters.train` and submit again.',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the potential failed: see the exit code of `evaluate`; the potential is attached.',
        )
        exit_code(
            spec,
            'ERROR_NO_POTENTIAL',
            message='The training left no checkpoint or frozen potential: set `parameters.train.freeze` and the '
            'backend `pytorch`.',
        )

    @property
    def held_out(self) -> dict[str, FramesData]:
        """The held-out frames that were handed in."""
        return {name: self.inputs[name] for name in HELD_OUT if name in self.inputs}

    def make_plan(self) -> None:
        """Turn the parameters into those of the steps, as `self.ctx.plan`."""
        raise NotImplementedError

    def finetuned(self) -> dict[str, Any]:
        """Return further inputs of the training."""
        return {}

    def potentials(self) -> dict[str, DeepPotentialData]:
        """Return the potentials to test, by label."""
        raise NotImplementedError

    def split(self) -> None:
        """Hold frames out at random, unless they were all handed in."""
        parts: dict[str, FramesData] = {'training': self.inputs.frames}
        if any(self.ctx.plan['split'][part] for part in ('validation', 'test')):
            parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
        self.ctx.parts = {**parts, **{name.removesuffix('_data'): node for name, node in self.held_out.items()}}
        self.out('training_data', self.ctx.parts['training'])
        self.out('test_data', self.ctx.parts['test'])

    def train(self) -> None:
        """Train on what is left."""
        inputs: dict[str, Any] = {
            'code': self.inputs.codes.dp,
            'training_data': self.ctx.parts['training'],
            'parameters': self.ctx.plan['train'],
            'metadata': {'options': self.options_for('train')},
            **self.finetuned(),
        }
        if 'validation' in self.ctx.parts:
            inputs['validation_data'] = self.ctx.parts['validation']
        self.run_child('train', TrainBaseWorkChain, {'train': inputs, **self.restart('train')})

    def evaluate(self) -> ExitCode | None:
        """Compare with the labels of the test data."""
        if not self.ctx.train.is_finished_ok:
            return self.failure(self.ctx.train, self.exit_codes.ERROR_TRAINING_FAILED)
        outputs = self.ctx.train.outputs
        if 'checkpoint' not in outputs or 'frozen' not in outputs:
            return self.exit_codes.ERROR_NO_POTENTIAL
        for name in ('checkpoint', 'frozen', 'learning_curve'):
            self.out(name, outputs[name])
        inputs = {
            'code': self.inputs.codes.python,
            'potentials': self.potentials(),
            'frames': self.ctx.parts['test'],
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate')},
        }
        self.run_child('evaluate', EvaluateCalculation, inputs)
        return None

    def finish(self) -> ExitCode | None:
        """Attach the errors."""
        if not self.ctx.evaluate.is_finished_ok:
            return self.failure(self.ctx.evaluate, self.exit_codes.ERROR_EVALUATION_FAILED)
        self.out('errors', self.ctx.evaluate.outputs.results)
        return None
