"""Base of pre-training and fine-tuning: split labelled frames, train, and test on held-out frames."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.base.validators import check_processes, define_labelled
from aiida_dpasse.calculations.train_inputs import validate_inputs as validate_training
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.parameters.sizes import part_size
from aiida_dpasse.train.held_out_parameters import HeldOutParameters
from aiida_dpasse.train.train import training

#: Optional input that replaces a part split off `frames`, by part.
HELD_OUT = {'validation': 'validation_data', 'test': 'test_data'}


def validate_held_out(inputs: Any, _: Any = None) -> str | None:
    """Check that frames remain for training and test, and that the training accepts the frames.

    :param inputs: inputs of `HeldOutWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if inputs.get('frames') is None or inputs.get('parameters') is None:
        return None
    settings = HeldOutParameters.model_validate(inputs['parameters'].get_dict())
    return _check_split(inputs, settings) or _check_training(inputs, settings)


def _check_split(inputs: Any, settings: HeldOutParameters) -> str | None:
    frames = inputs['frames'].frames
    asked = settings.split.model_dump()
    sizes = {
        part: 0 if inputs.get(port) is not None else part_size(asked[part], frames) for part, port in HELD_OUT.items()
    }
    if sum(sizes.values()) >= frames:
        return (
            f'parameters: `split` takes {sum(sizes.values())} of the {frames} frames, which leaves none to train '
            'on: lower `split.validation` or `split.test`, or give more frames.'
        )
    if inputs.get('test_data') is None and sizes['test'] == 0:
        return (
            f'parameters: `split.test` leaves none of the {frames} frames for the test: raise it or give `test_data`.'
        )
    return None


def _check_training(inputs: Any, settings: HeldOutParameters) -> str | None:
    codes = inputs.get('codes', {})
    if message := check_processes(inputs['parameters'].get_dict(), codes):
        return message
    training = {'parameters': orm.Dict(settings.train.model_dump()), 'training_data': inputs['frames']}
    if inputs.get('validation_data') is not None or settings.split.validation:
        training['validation_data'] = inputs.get('validation_data') or inputs['frames']
    for port, code in (('code', PROGRAM), ('torchrun', 'torchrun')):
        if codes.get(code) is not None:
            training[port] = codes[code]
    if (pretrained := inputs.get('pretrained')) is not None:
        if pretrained.needs_migration:
            return None  # the training starts from the migrated checkpoint
        training['pretrained'] = pretrained
    elif settings.train.finetune is not None:
        return None  # a calling chain validates before the potential exists
    message = validate_training(training, None)
    return message and f'parameters: `train`: {message}'


class HeldOutWorkChain(DpasseWorkChain):
    """Base class of the chains that train one potential and test it on held-out frames."""

    CODES = (PROGRAM, 'python')
    OPTIONAL_CODES = ('torchrun',)
    PARAMETERS = HeldOutParameters
    ONE_AT_A_TIME = True

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the shared ports, outline and exit codes."""
        super().define(spec)
        define_labelled(spec, 'frames', 'Labelled frames to train on.')
        for part, use in {'validation': 'monitor the training', 'test': 'test the trained potential'}.items():
            define_labelled(
                spec, HELD_OUT[part], f'Labelled frames to {use}, instead of a part of `frames`.', required=False
            )
        spec.inputs.validator = validate_held_out
        spec.outline(cls.make_plan, cls.split, cls.train, cls.evaluate, cls.finish)
        spec.output('checkpoint', valid_type=Potential, help='Checkpoint, to fine-tune or to continue.')
        spec.output('frozen', valid_type=Potential, help='Frozen potential, for LAMMPS and for labelling.')
        spec.output('learning_curve', valid_type=orm.ArrayData, help='Losses against the step.')
        spec.output('training_data', valid_type=FramesData, help='Frames that the potential was trained on.')
        spec.output('test_data', valid_type=FramesData, help='Frames that the errors are computed on.')
        spec.output('errors', valid_type=orm.Dict, help='Errors on the test data, by potential.')
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='The training failed, correct `parameters.train` and submit again: {reason}',
        )
        exit_code(
            spec,
            'ERROR_EVALUATION_FAILED',
            message='The test of the potential failed, and the potential is attached: {reason}',
        )
        exit_code(
            spec,
            'ERROR_NO_POTENTIAL',
            message='The training left no checkpoint or frozen potential: set `parameters.train.freeze` and the '
            'backend `pytorch`.',
        )

    @property
    def held_out(self) -> dict[str, FramesData]:
        """The given held-out frames, by part."""
        return {part: self.inputs[port] for part, port in HELD_OUT.items() if port in self.inputs}

    def make_plan(self) -> None:
        """Derive the parameters of the steps and store them as `self.ctx.plan`."""
        raise NotImplementedError

    def finetuned(self) -> dict[str, Any]:
        """Return additional inputs of the training."""
        return {}

    def potentials(self) -> dict[str, Potential]:
        """Return the potentials to test, by label."""
        raise NotImplementedError

    def split(self) -> None:
        """Split off held-out frames at random, unless they are given."""
        parts: dict[str, FramesData] = {'training': self.inputs.frames}
        if any(self.ctx.plan['split'][part] for part in HELD_OUT):
            parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
        self.ctx.parts = {**parts, **self.held_out}
        self.out('training_data', self.ctx.parts['training'])
        self.out('test_data', self.ctx.parts['test'])

    def train(self) -> None:
        """Train on the remaining frames."""
        inputs: dict[str, Any] = {
            'training_data': self.ctx.parts['training'],
            'parameters': self.ctx.plan['train'],
            **self.finetuned(),
        }
        if 'validation' in self.ctx.parts:
            inputs['validation_data'] = self.ctx.parts['validation']
        self.run_child('train', *training(self, 'train', **inputs))

    def evaluate(self) -> ExitCode | None:
        """Compute the errors on the test data."""
        if not self.ctx.train.is_finished_ok:
            code = self.exit_codes.ERROR_TRAINING_FAILED.format(reason=self.ctx.train.exit_message)
            return self.failure(self.ctx.train, code)
        outputs = self.ctx.train.outputs
        if 'checkpoint' not in outputs or 'frozen' not in outputs:
            return self.exit_codes.ERROR_NO_POTENTIAL
        for name in ('checkpoint', 'frozen', 'learning_curve'):
            self.out(name, outputs[name])
        test, settings = self.ctx.parts['test'], self.ctx.plan['evaluate']
        self.run_child('evaluate', *self.evaluation('evaluate', self.potentials(), test, settings))
        return None

    def finish(self) -> ExitCode | None:
        """Attach the errors."""
        if not self.ctx.evaluate.is_finished_ok:
            code = self.exit_codes.ERROR_EVALUATION_FAILED.format(reason=self.ctx.evaluate.exit_message)
            return self.failure(self.ctx.evaluate, code)
        self.out('errors', self.ctx.evaluate.outputs.results)
        return None
