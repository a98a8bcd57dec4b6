"""`TrainBaseWorkChain`: one training, carried on after a walltime and started again when it can be helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ProcessBuilder, ProcessHandlerReport, process_handler, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.functions.adjust_training import lower_learning_rate, reduce_batch, smaller_batch
from aiida_dpasse.merging import merge
from aiida_dpasse.workflows.protocols.loader import expand_presets, machine, protocol
from aiida_dpasse.workflows.submit_once import SubmitOnce


class TrainBaseWorkChain(SubmitOnce, BaseRestartWorkChain):
    """Train a potential; handlers for walltime, memory and a diverged loss."""

    _process_class = TrainCalculation
    PROTOCOL: ClassVar[str] = 'train'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(TrainCalculation, namespace='train')
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.expose_outputs(TrainCalculation)
        spec.exit_code(
            410,
            'ERROR_CANNOT_BE_HELPED',
            message='No change of the training helps here: see the report and the exit code of the last run.',
        )

    def setup(self) -> None:
        """Take the training's inputs into the context."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(TrainCalculation, 'train'))

    @process_handler(
        priority=400,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_INTERRUPTED,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
        ],
    )
    def carry_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last checkpoint, or start anew if there is none yet; `numb_steps` stays as it is."""
        step = node.outputs.results['checkpoint_step'] if 'results' in node.outputs else 0
        if step:
            self.ctx.inputs.restart_folder = node.outputs.remote_folder
        self.report(f'{node.process_label}<{node.pk}> was interrupted: it goes on from step {step}.')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=410, exit_codes=TrainCalculation.exit_codes.ERROR_OUT_OF_MEMORY)
    def use_less_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Start again with half the batch."""
        if smaller_batch(self.ctx.inputs.parameters.get_dict()) is None:
            self.report('Out of memory with the smallest batch: use a larger machine or a smaller model.')
            return ProcessHandlerReport(do_break=True, exit_code=self.exit_codes.ERROR_CANNOT_BE_HELPED)
        self.ctx.inputs.parameters = reduce_batch(
            self.ctx.inputs.parameters, metadata={'call_link_label': 'reduce_batch'}
        )
        self.report(f'{node.process_label}<{node.pk}> ran out of memory: started again with half the batch.')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=420, exit_codes=TrainCalculation.exit_codes.ERROR_DIVERGED)
    def learn_slower(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Start from the beginning with a lower learning rate: later checkpoints may hold nan."""
        parameters = lower_learning_rate(
            self.ctx.inputs.parameters, metadata={'call_link_label': 'lower_learning_rate'}
        )
        self.ctx.inputs.parameters = parameters
        self.ctx.inputs.pop('restart_folder', None)
        rate = parameters['input']['learning_rate']['start_lr']
        self.report(f'{node.process_label}<{node.pk}> diverged: started again with the learning rate {rate:.2g}.')
        return ProcessHandlerReport(do_break=True)

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
