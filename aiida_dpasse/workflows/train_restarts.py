"""How a training goes on after a run that did not come to its end: from which checkpoint, with which settings."""

from __future__ import annotations

from aiida import orm
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, process_handler

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.functions.adjust_training import last_good_step, lower_learning_rate, reduce_batch, smaller_batch
from aiida_dpasse.workflows.submit_once import SubmitOnce


class TrainRestarts(SubmitOnce, BaseRestartWorkChain):
    """Handlers for walltime, a killed job, memory, a diverged loss and broken checkpoints.

    Runs that got further than all before them do not count against `max_iterations`: a long training on a cluster is
    cut off as often as its walltime asks for.
    """

    _process_class = TrainCalculation

    def setup(self) -> None:
        """Begin to count."""
        super().setup()
        #: Folders to go on from, the newest last; the largest step of a checkpoint; runs that got no further than it.
        self.ctx.folders = []
        self.ctx.reached = 0
        self.ctx.fruitless = 0
        self.ctx.given_up = None

    def inspect_process(self) -> ExitCode | None:
        """Call the handlers; AiiDA counts every run, here only those that got no further count."""
        outcome: ExitCode | None = super().inspect_process()
        if outcome != self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            return outcome
        if self.ctx.given_up is not None:
            return getattr(self.exit_codes, self.ctx.given_up)
        if self._may_try_again:
            self.report('It is not given up: runs that got further do not count.')
            return None
        return outcome

    @property
    def _may_try_again(self) -> bool:
        return bool(self.ctx.fruitless < self.inputs.max_iterations.value)

    def _again(self, node: orm.CalcJobNode, message: str) -> ProcessHandlerReport:
        self.report(f'{node.process_label}<{node.pk}> {message}.')
        return ProcessHandlerReport(do_break=True)

    def _give_up(self, code: str, message: str) -> ProcessHandlerReport:
        self.report(message)
        self.ctx.given_up = code
        return ProcessHandlerReport(do_break=True, exit_code=getattr(self.exit_codes, code))

    def _take_progress(self, node: orm.CalcJobNode) -> int:
        """Note whether ``node`` got further, and return the step of its last checkpoint."""
        step = int(node.outputs.results['checkpoint_step']) if 'results' in node.outputs else 0
        self.ctx.fruitless = 0 if step > self.ctx.reached else self.ctx.fruitless + 1
        self.ctx.reached = max(step, self.ctx.reached)
        return step

    def _go_on_from(self, node: orm.CalcJobNode, step: int) -> None:
        """Let the next run start from a checkpoint of ``node``; if it has none, from where ``node`` started."""
        self.ctx.inputs.pop('restart_step', None)
        if step:
            self.ctx.folders = [*self.ctx.folders, node.outputs.remote_folder]
            self.ctx.inputs.restart_folder = node.outputs.remote_folder

    @process_handler(
        priority=400,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_INTERRUPTED,
            TrainCalculation.exit_codes.ERROR_BROKEN_CHECKPOINT,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def carry_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last whole checkpoint, or start anew if there is none yet; `numb_steps` stays as it is."""
        step = self._take_progress(node)
        if not self._may_try_again:
            return self._give_up('ERROR_NO_PROGRESS', f'{self.ctx.fruitless} runs in a row wrote no new checkpoint.')
        self._go_on_from(node, step)
        return self._again(node, f'was interrupted: it goes on from step {step}')

    @process_handler(priority=405, exit_codes=TrainCalculation.exit_codes.ERROR_NO_WHOLE_CHECKPOINT)
    def go_further_back(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the run before that one, or start anew."""
        self.ctx.fruitless += 1
        self.ctx.folders = self.ctx.folders[:-1]
        if self.ctx.folders:
            self.ctx.inputs.restart_folder = self.ctx.folders[-1]
            return self._again(node, f'found no checkpoint to use: it goes on from that of a run before {node.pk}')
        for name in ('restart_folder', 'restart_step'):
            self.ctx.inputs.pop(name, None)
        return self._again(node, 'found no checkpoint to use: it starts anew')

    @process_handler(
        priority=410,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_OUT_OF_MEMORY,
            TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY,
        ],
    )
    def use_less_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on with half the batch. Halving comes to its end by itself, so it is not counted."""
        if smaller_batch(self.ctx.inputs.parameters.get_dict()) is None:
            return self._give_up(
                'ERROR_CANNOT_BE_HELPED',
                'Out of memory with the smallest batch: use a larger machine or a smaller model.',
            )
        before = self.ctx.fruitless
        step = self._take_progress(node)
        self.ctx.fruitless = min(self.ctx.fruitless, before)
        self._go_on_from(node, step)
        self.ctx.inputs.parameters = reduce_batch(
            self.ctx.inputs.parameters, metadata={'call_link_label': f'reduce_batch_{self.ctx.iteration:02d}'}
        )
        return self._again(node, f'ran out of memory: it goes on from step {step} with half the batch')

    @process_handler(priority=420, exit_codes=TrainCalculation.exit_codes.ERROR_DIVERGED)
    def learn_slower(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on with a lower learning rate from a checkpoint before the divergence, or start anew."""
        self.ctx.fruitless += 1
        label = f'{self.ctx.iteration:02d}'
        results = node.outputs.results
        parameters = lower_learning_rate(
            self.ctx.inputs.parameters, metadata={'call_link_label': f'lower_learning_rate_{label}'}
        )
        self._go_on_from(node, results['checkpoint_step'])
        if 'learning_curve' in node.outputs and 'restart_folder' in self.ctx.inputs:
            good = last_good_step(
                node.outputs.learning_curve, results, metadata={'call_link_label': f'last_good_step_{label}'}
            )
            if good.value < parameters['input']['training'].get('save_freq', 1000):
                self.ctx.folders = []
                self.ctx.inputs.pop('restart_folder')
            else:
                self.ctx.inputs.restart_step = good
        self.ctx.inputs.parameters = parameters
        rate, start = parameters['input']['learning_rate']['start_lr'], self.ctx.inputs.get('restart_step')
        place = 'starts anew' if start is None else f'goes on from step {start.value} at most'
        return self._again(node, f'diverged: it {place} with the learning rate {rate:.2g}')
