"""`TrainBaseWorkChain`: one training, carried on after a walltime and started again when it can be helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.calculations.stash import StashCalculation
from aiida.common import AttributeDict
from aiida.engine import (
    ExitCode,
    ProcessBuilder,
    ToContext,
    if_,
    while_,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.adjust_training import watch_training
from aiida_dpasse.functions.merge_learning_curves import merge_learning_curves
from aiida_dpasse.merging import merge
from aiida_dpasse.workflows.protocols.loader import expand_presets, machine, protocol
from aiida_dpasse.workflows.train_restarts import TrainRestarts

#: What is kept of a finished training on the computer, if asked for.
STASHED = ('model.ckpt-*', 'checkpoint', 'lcurve.out', 'input.json', 'out.json')


class TrainBaseWorkChain(TrainRestarts):
    """Train a potential, in as many runs as it takes (`TrainRestarts`), watched for a divergence."""

    PROTOCOL: ClassVar[str] = 'train'
    NAMESPACE: ClassVar[str] = 'train'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(TrainCalculation, namespace='train')
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
        spec.inputs['max_iterations'].help = 'How many runs in a row may get no further than those before them.'
        spec.input(
            'stash_to',
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            help="Directory on the training's computer to which the checkpoints of the last run are copied.",
        )
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
            if_(cls.should_stash)(
                cls.stash,
                cls.take_stash,
            ),
        )
        spec.expose_outputs(TrainCalculation)
        spec.outputs['learning_curve'].help = 'The curve of the whole training, over all its runs.'
        spec.output(
            'stash',
            valid_type=orm.RemoteStashFolderData,
            required=False,
            help='Where the checkpoints lie on the computer.',
        )
        exit_code(
            spec,
            'ERROR_CANNOT_BE_HELPED',
            message='No change of the training helps here: see the report and the exit code of the last run.',
        )
        exit_code(
            spec,
            'ERROR_NO_PROGRESS',
            message='As many runs in a row as `max_iterations` allows ended before a new checkpoint: lower '
            '`training.save_freq` or ask for more walltime; the remote folder of the last run is the `restart_folder`.',
        )
        exit_code(
            spec,
            'ERROR_STASH_FAILED',
            message='The checkpoints could not be copied to `stash_to`: check that directory. The training is done.',
        )

    def setup(self) -> None:
        """Take the training's inputs into the context, and have it watched."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(TrainCalculation, 'train'))
        watch = watch_training(self.ctx.inputs.parameters, metadata={'call_link_label': 'watch_training'})
        self.ctx.inputs.monitors = {'diverged': watch, **self.ctx.inputs.get('monitors', {})}
        if 'restart_folder' in self.ctx.inputs:
            self.ctx.folders = [self.ctx.inputs.restart_folder]

    # -- results ------------------------------------------------------------------------------------------------------

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, orm.Node]:
        """Return the outputs of the last run, with the learning curve of all of them."""
        outputs = dict(super().get_outputs(node))
        curves = [child.outputs.learning_curve for child in self.ctx.children if 'learning_curve' in child.outputs]
        if len(curves) > 1:
            segments = {f'curve_{index:03d}': curve for index, curve in enumerate(curves)}
            outputs['learning_curve'] = merge_learning_curves(
                **segments, metadata={'call_link_label': 'merge_learning_curves'}
            )
        return outputs

    def should_stash(self) -> bool:
        """Whether the checkpoints are to be kept on the computer."""
        return 'stash_to' in self.inputs

    def stash(self) -> ToContext:
        """Copy the checkpoints to where nobody cleans up."""
        folder = self.ctx.children[-1].outputs.remote_folder
        stash = {'stash_mode': 'copy', 'target_base': self.inputs.stash_to.value, 'source_list': list(STASHED)}
        metadata = {'computer': folder.computer, 'options': {'stash': stash}, 'call_link_label': 'stash'}
        return ToContext(stash=self.submit(StashCalculation, source_node=folder, metadata=metadata))

    def take_stash(self) -> ExitCode | None:
        """Attach where the checkpoints lie."""
        if not self.ctx.stash.is_finished_ok or 'remote_stash' not in self.ctx.stash.outputs:
            return self.exit_codes.ERROR_STASH_FAILED
        self.out('stash', self.ctx.stash.outputs.remote_stash)
        return None

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def protocol_parameters(cls, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters of a training by protocol, ``overrides`` over them."""
        return dict(expand_presets(merge(protocol(cls.PROTOCOL, name), overrides or {})))

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode | str,
        training_data: FramesData,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: str | Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> ProcessBuilder:
        """Return a builder that is ready to be submitted.

        :param code: DeePMD-kit's ``dp``, or its label.
        :param training_data: labelled frames.
        :param protocol: name of the protocol, the physics.
        :param overrides: parameters that differ from the protocol's; ``{'preset': 'student-fast'}`` names a training.
        :param options: name of a machine preset, or scheduler options by program.
        :param inputs: further inputs of the training, for example ``validation_data``.
        :raises ValueError: if protocol or preset are unknown.
        """
        builder = cls.get_builder()
        builder.train.code = orm.load_code(code) if isinstance(code, str) else code
        builder.train.training_data = training_data
        builder.train.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        programs = machine(options)
        for key, value in merge(programs.get('default', {}), programs.get('train', {})).items():
            setattr(builder.train.metadata.options, key, value)
        for key, value in inputs.items():
            setattr(builder.train, key, value)
        return builder
