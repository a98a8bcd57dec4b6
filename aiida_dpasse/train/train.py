"""`TrainBaseWorkChain`: one training, continued after interruptions and repeated with adjusted parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.calculations.stash import StashCalculation
from aiida.engine import (
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    ToContext,
    if_,
    process_handler,
    while_,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.jobs import JobBaseWorkChain
from aiida_dpasse.base.protocols import expand_presets, machine, protocol
from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.calculations.ways import options_in_its_way
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.merging import merge
from aiida_dpasse.train.adjust_training import (
    last_good_step,
    lower_learning_rate,
    reduce_batch,
    smaller_batch,
    watch_training,
)
from aiida_dpasse.train.merge_learning_curves import merge_learning_curves

#: Files of a finished training that are stashed on the computer, if requested.
STASHED = ('model.ckpt-*', 'checkpoint', 'lcurve.out', 'input.json', 'out.json')
#: Inputs that define the start of a training.
STARTS = ('restart_folder', 'restart_step', 'finished_folder')


def checkpoint_step(node: orm.CalcJobNode) -> int:
    """Return the step of the last checkpoint of ``node``, or 0 if it has none."""
    return int(node.outputs.results['checkpoint_step']) if 'results' in node.outputs else 0


class TrainBaseWorkChain(JobBaseWorkChain):
    """Train a potential with DeePMD-kit, continue interrupted jobs, and monitor it for divergence.

    Handlers cover time limits, killed jobs, memory, a diverged loss and broken checkpoints. Runs that make progress do
    not count against `max_iterations`: on a cluster, a long training is interrupted by every time limit. A training
    that finished is never repeated, even if its freezing fails.
    """

    _process_class = TrainCalculation
    PROTOCOL: ClassVar[str] = 'train'
    NAMESPACE: ClassVar[str] = 'train'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
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
        spec.outputs['learning_curve'].help = 'Learning curve of all runs of the training.'
        spec.output(
            'stash',
            valid_type=orm.RemoteStashFolderData,
            required=False,
            help='Directory of the checkpoints on the computer.',
        )
        exit_code(
            spec,
            'ERROR_CANNOT_BE_HELPED',
            message='The training cannot be adjusted any further: {reason}',
        )
        exit_code(
            spec,
            'ERROR_NO_PROGRESS',
            message='`max_iterations` consecutive runs ended before a new checkpoint (the last: {reason}): lower '
            '`training.save_freq` or request more walltime, and continue from the last run: its remote folder is the '
            '`restart_folder`.',
        )
        exit_code(
            spec,
            'ERROR_STASH_FAILED',
            message='The checkpoints could not be copied to `stash_to`: check that directory. The training finished.',
        )

    def setup(self) -> None:
        """Initialise the progress counter and add the monitor of the divergence."""
        super().setup()
        #: Folders from which the training can continue, the newest last, and the largest step of a checkpoint.
        self.ctx.folders = [self.ctx.inputs.restart_folder] if 'restart_folder' in self.ctx.inputs else []
        self.ctx.reached = 0
        watch = watch_training(self.ctx.inputs.parameters, metadata={'call_link_label': 'watch_training'})
        self.ctx.inputs.monitors = {'diverged': watch, **self.ctx.inputs.get('monitors', {})}

    # -- continuation -----------------------------------------------------------------------------------------------

    @staticmethod
    def is_trained(node: orm.CalcJobNode) -> bool:
        """Return whether the training of ``node`` finished and left a checkpoint."""
        if 'results' not in node.outputs:
            return False
        results = node.outputs.results
        return bool((results['finished'] or results['stopped_early'] is not None) and results['checkpoint_step'])

    def start_from(self, **folder: orm.RemoteData) -> None:
        """Let the next run start from ``folder`` (one of `STARTS`), or anew without one."""
        for name in STARTS:
            self.ctx.inputs.pop(name, None)
        self.ctx.inputs.update(folder)

    def go_on_from(self, node: orm.CalcJobNode) -> bool:
        """Let the next run freeze the finished training of ``node``, or continue from its last checkpoint.

        Without a checkpoint, the next run starts as ``node`` did.
        """
        if self.is_trained(node):
            self.start_from(finished_folder=node.outputs.remote_folder)
            return True
        return self.go_on_training(node)

    def go_on_training(self, node: orm.CalcJobNode) -> bool:
        """Let the next run continue from the last checkpoint of ``node``, and return whether there is one."""
        if not checkpoint_step(node):
            return False
        self.ctx.folders = [*self.ctx.folders, node.outputs.remote_folder]
        self.start_from(restart_folder=node.outputs.remote_folder)
        return True

    def take_progress(self, node: orm.CalcJobNode) -> bool:
        """Return whether ``node`` progressed beyond the runs before it, and record its step."""
        step = checkpoint_step(node)
        further = bool(step > self.ctx.reached)
        self.ctx.reached = max(step, self.ctx.reached)
        return further

    # -- handlers ---------------------------------------------------------------------------------------------------

    @process_handler(
        priority=460,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_NO_POTENTIAL,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def keep_the_training(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Repeat the freezing of a finished training; if no output is missing, the chain is finished."""
        if not self.is_trained(node):
            return None
        parameters = node.inputs.parameters.get_dict()
        wanted = {'frozen': parameters.get('freeze', True), 'compressed': parameters.get('compress', False)}
        missing = [name for name, asked in wanted.items() if asked and name not in node.outputs]
        if not missing:
            self.report(f'{node.process_label}<{node.pk}> was ended after its last program: no output is missing.')
            self.ctx.is_finished = True
            return ProcessHandlerReport(do_break=True)
        further = self.take_progress(node)
        self.go_on_from(node)
        message = f'was trained, and has no {missing[0]} potential ({node.exit_message}): it is frozen again'
        return self.again(node, message, in_vain=not further)

    @process_handler(
        priority=400,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_INTERRUPTED,
            TrainCalculation.exit_codes.ERROR_BROKEN_CHECKPOINT,
            TrainCalculation.exit_codes.ERROR_NO_LEARNING_CURVE,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def carry_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue from the last complete checkpoint, or start anew without one; `numb_steps` is unchanged."""
        further = self.take_progress(node)
        if not further and self.ctx.fruitless + 1 >= self.inputs.max_iterations.value:
            reason = str(node.exit_message).rstrip('.')
            return self.give_up(self.exit_codes.ERROR_NO_PROGRESS.format(reason=reason))
        self.go_on_training(node)
        message = f'was interrupted: it continues from step {checkpoint_step(node)}'
        return self.again(node, message, in_vain=not further)

    @process_handler(priority=405, exit_codes=TrainCalculation.exit_codes.ERROR_NO_WHOLE_CHECKPOINT)
    def go_further_back(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue from an earlier checkpoint, of the same folder if it was to be frozen, or of the previous run."""
        if 'finished_folder' in self.ctx.inputs:
            self.ctx.folders = [*self.ctx.folders, self.ctx.inputs.finished_folder]
        else:
            self.ctx.folders = self.ctx.folders[:-1]
        if self.ctx.folders:
            self.start_from(restart_folder=self.ctx.folders[-1])
            return self.again(node, 'found no usable checkpoint: it continues from an earlier one')
        self.start_from()
        return self.again(node, 'found no usable checkpoint: it starts again')

    @process_handler(
        priority=410,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_OUT_OF_MEMORY,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY,
        ],
    )
    def use_less_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue with half the batch, which is not counted because halving ends; repeat the smallest batch once."""
        further = self.take_progress(node)
        self.go_on_from(node)
        if smaller_batch(self.ctx.inputs.parameters.get_dict()) is None:
            limit = 'is out of memory with the smallest batch'
            reason = f'it {limit}; use a larger machine or a smaller model.'
            code = self.exit_codes.ERROR_CANNOT_BE_HELPED.format(reason=reason)
            return self.once_more(node, limit, code, in_vain=not further)
        if further:
            self.ctx.fruitless = 0
        self.ctx.inputs.parameters = reduce_batch(
            self.ctx.inputs.parameters, metadata={'call_link_label': f'reduce_batch_{self.ctx.iteration:02d}'}
        )
        step = checkpoint_step(node)
        self.report(f'{node.process_label}<{node.pk}> ran out of memory: half the batch, from step {step}.')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=420, exit_codes=TrainCalculation.exit_codes.ERROR_DIVERGED)
    def learn_slower(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue with a lower learning rate from a checkpoint before the divergence, or start anew."""
        label = f'{self.ctx.iteration:02d}'
        results = node.outputs.results
        parameters = lower_learning_rate(
            self.ctx.inputs.parameters, metadata={'call_link_label': f'lower_learning_rate_{label}'}
        )
        self.go_on_training(node)
        if 'learning_curve' in node.outputs and 'restart_folder' in self.ctx.inputs:
            good = last_good_step(
                node.outputs.learning_curve, results, metadata={'call_link_label': f'last_good_step_{label}'}
            )
            if good.value < parameters['input']['training'].get('save_freq', 1000):
                self.ctx.folders = []
                self.start_from()
            else:
                self.ctx.inputs.restart_step = good
        self.ctx.inputs.parameters = parameters
        rate, start = parameters['input']['learning_rate']['start_lr'], self.ctx.inputs.get('restart_step')
        place = 'starts again' if start is None else f'continues from step {start.value} at most'
        return self.again(node, f'diverged: it {place} with the learning rate {rate:.2g}')

    # -- results ------------------------------------------------------------------------------------------------------

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, Any]:
        """Return the outputs of the last run, with the merged learning curve of all runs."""
        outputs = dict(super().get_outputs(node))
        curves = [child.outputs.learning_curve for child in self.ctx.children if 'learning_curve' in child.outputs]
        if len(curves) > 1:
            segments = {f'curve_{index:03d}': curve for index, curve in enumerate(curves)}
            outputs['learning_curve'] = merge_learning_curves(
                **segments, metadata={'call_link_label': 'merge_learning_curves'}
            )
        return outputs

    def should_stash(self) -> bool:
        """Return whether the checkpoints are to be kept on the computer."""
        return 'stash_to' in self.inputs

    def stash(self) -> ToContext:
        """Copy the checkpoints to permanent storage on the computer."""
        folder = self.ctx.children[-1].outputs.remote_folder
        stash = {'stash_mode': 'copy', 'target_base': self.inputs.stash_to.value, 'source_list': list(STASHED)}
        metadata = {'computer': folder.computer, 'options': {'stash': stash}, 'call_link_label': 'stash'}
        return ToContext(stash=self.submit(StashCalculation, source_node=folder, metadata=metadata))

    def take_stash(self) -> ExitCode | None:
        """Attach the stash folder."""
        if not self.ctx.stash.is_finished_ok or 'remote_stash' not in self.ctx.stash.outputs:
            return self.exit_codes.ERROR_STASH_FAILED
        self.out('stash', self.ctx.stash.outputs.remote_stash)
        return None

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def protocol_parameters(cls, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters of a protocol, updated with ``overrides``.

        :raises ValueError: if the protocol or a training preset is unknown.
        """
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
        :param protocol: name of the protocol, which sets the physical parameters.
        :param overrides: parameters that differ from the protocol; ``{'preset': 'student-fast'}`` selects a training
            preset.
        :param options: name of a machine preset, or scheduler options by program.
        :param inputs: further inputs of the training, for example ``validation_data``.
        :raises ValueError: if the protocol or a preset is unknown.
        """
        builder = cls.get_builder()
        builder.train.code = orm.load_code(code) if isinstance(code, str) else code
        builder.train.training_data = training_data
        builder.train.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        programs = machine(options)
        given = merge(programs.get('default', {}), programs.get('train', {}))
        backend = backend_in_threads(builder.train.parameters)
        for key, value in options_in_its_way(given, builder.train.code, backend).items():
            setattr(builder.train.metadata.options, key, value)
        for key, value in inputs.items():
            setattr(builder.train, key, value)
        return builder


def training(chain: DpasseWorkChain, label: str, **inputs: Any) -> Child:
    """Return a training as a child of ``chain``, with the codes of the chain.

    :param chain: calling chain.
    :param label: call link label.
    :param inputs: inputs of the training.
    """
    codes = {'code': chain.engine_code}
    if 'torchrun' in chain.inputs.codes:
        codes['torchrun'] = chain.inputs.codes.torchrun
    backend = backend_in_threads(inputs['parameters'])
    return chain.job(TrainBaseWorkChain, 'train', label, backend, **codes, **inputs)


def backend_in_threads(parameters: orm.Dict) -> str:
    """Return the backend of a training, and nothing if it has several processes, which share the cores already.

    :param parameters: of the training.
    """
    settings = parameters.get_dict()
    return settings.get('backend', '') if settings.get('processes', 1) == 1 else ''
