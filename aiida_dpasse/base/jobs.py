"""Restarting base chains of the plugin's jobs, with common error handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import (
    BaseRestartWorkChain,
    CalcJob,
    ExitCode,
    ProcessHandlerReport,
    WorkChain,
    process_handler,
    while_,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.submit_once import SubmitOnce
from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.freeze import FreezeCalculation
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md_ase import AseMDCalculation
from aiida_dpasse.calculations.migrate import MigrateCalculation
from aiida_dpasse.calculations.scan import ScanCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.drivers.job import OUTPUT
from aiida_dpasse.drivers.scan import ENERGIES
from aiida_dpasse.exit_codes import STATUSES
from aiida_dpasse.parameters.base import given


def coded(*names: str) -> list[ExitCode]:
    """Return exit codes by name, with their status only, so that one handler serves every process that defines them.

    :param names: names in `exit_codes.STATUSES`.
    """
    return [ExitCode(STATUSES[name]) for name in names]


class JobBaseWorkChain(SubmitOnce, BaseRestartWorkChain):
    """Base class of the restarting chains.

    A job without readable output is repeated; `max_iterations` limits the consecutive runs without progress, whereas
    AiiDA counts every run. A full disk pauses the chain. For any other failure the chain returns the exit code and
    message of the job and attaches the outputs that it left.
    """

    #: Namespace of the inputs of the job.
    NAMESPACE: ClassVar[str] = 'job'
    #: Whether the calling chain itself resubmits the part that a job did not complete before it reached a limit.
    ASKED_AGAIN: ClassVar[bool] = False

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline and outputs; the outputs are those of the job."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, namespace=cls.NAMESPACE)
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
        spec.inputs['max_iterations'].help = 'Limit of consecutive runs without progress.'
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.expose_outputs(cls._process_class)

    def setup(self) -> None:
        """Store the inputs of the job in the context and initialise the counters."""
        super().setup()
        self.ctx.inputs = AttributeDict(given(self.exposed_inputs(self._process_class, self.NAMESPACE)))
        self.ctx.fruitless = 0
        #: Exit statuses of the limits that a run of this chain has reached.
        self.ctx.limits_met = []
        #: Exit status and message set by the last handler that ended the chain.
        self.ctx.given_up = None

    # -- inspection of a run ----------------------------------------------------------------------------------------

    def inspect_process(self) -> ExitCode | None:
        """Call the handlers. If none can help, return the exit code of the job and attach its outputs."""
        node = self.ctx.children[-1]
        self.ctx.given_up = None
        if node.is_excepted and not self.ctx.get('excepted', False):
            # A lost connection can also cause an exception; a programming error causes one again in the repeated run.
            self.ctx.excepted = True
            self.report(f'{node.process_label}<{node.pk}> excepted: it is run again once.')
            return None
        code: ExitCode | None = super().inspect_process()
        if code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            if self.ctx.given_up is None:
                self.report('The limit is not reached: only runs without progress count.')
                return None
            code = ExitCode(*self.ctx.given_up)
        if code is None or not code.status:
            return code
        self.attach_outputs(node)
        if code == self.exit_codes.ERROR_UNHANDLED_FAILURE:
            return ExitCode(node.exit_status, node.exit_message)
        if node.is_excepted:
            reason = (node.exception or 'no reason is known').strip().splitlines()[-1]
            return ExitCode(code.status, f'{node.process_label}<{node.pk}> excepted: {reason}')
        return code

    def attach_outputs(self, node: orm.ProcessNode) -> None:
        """Attach the outputs of a failed job."""
        for name, output in self.get_outputs(node).items():
            if name in self.spec().outputs:
                self.out(name, output)

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, Any]:
        """Return the outputs of the last run as outputs of the chain."""
        return dict(self.exposed_outputs(node, self._process_class))

    def go_on_from(self, node: orm.CalcJobNode) -> bool:
        """Let the next run continue from the output of ``node``, and return whether that is possible.

        Here it is not: the program starts anew each time. A subclass with restart files overrides this.
        """
        return False

    def again(self, node: orm.CalcJobNode, message: str, in_vain: bool = True) -> ProcessHandlerReport:
        """Repeat the job unless `max_iterations` consecutive runs made no progress.

        :param node: the last run.
        :param message: what happened and what follows, without a full stop.
        :param in_vain: whether ``node`` made no progress over the runs before it.
        """
        self.ctx.fruitless = self.ctx.fruitless + 1 if in_vain else 0
        if self.ctx.fruitless >= self.inputs.max_iterations.value:
            runs = f'{self.ctx.fruitless} runs in a row ended' if self.ctx.fruitless > 1 else 'The one run ended'
            return self.give_up(ExitCode(node.exit_status, f'{node.exit_message} {runs} without progress.'))
        self.report(f'{node.process_label}<{node.pk}> {message}.')
        return ProcessHandlerReport(do_break=True)

    def once_more(
        self, node: orm.CalcJobNode, limit: str, code: ExitCode, in_vain: bool = True
    ) -> ProcessHandlerReport:
        """Repeat a job the first time it reaches a limit; end the chain with ``code`` the second time.

        A job on a node that hangs, or that shares memory with others, cannot be distinguished from a job that is too
        large.

        :param node: the last run.
        :param limit: the limit as a verb with its object, for the report.
        :param code: exit code, whose message states what to change.
        :param in_vain: whether ``node`` made no progress over the runs before it.
        """
        last = in_vain and self.ctx.fruitless + 1 >= self.inputs.max_iterations.value
        if self.ASKED_AGAIN or last or node.exit_status in self.ctx.limits_met:
            return self.give_up(code)
        self.ctx.limits_met = [*self.ctx.limits_met, node.exit_status]
        return self.again(node, f'{limit}: it is run again, once', in_vain=in_vain)

    def give_up(self, code: ExitCode) -> ProcessHandlerReport:
        """End the chain with ``code``."""
        self.report(code.message)
        self.ctx.given_up = [code.status, code.message]
        return ProcessHandlerReport(do_break=True, exit_code=code)

    # -- handlers, by decreasing priority ---------------------------------------------------------------------------

    @process_handler(priority=600, exit_codes=coded('ERROR_DISK_FULL'))
    def wait_for_room(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Pause the chain if the disk is full. When played, it continues from this run, which is not counted."""
        self.go_on_from(node)
        message = (
            f'The disk of {node.computer.label} is full or a quota is reached: free space there '
            f'({node.get_remote_workdir()}), then `verdi process play {self.node.pk}` runs the job again.'
        )
        self.report(message)
        self.pause(message)
        return ProcessHandlerReport(do_break=True)

    @process_handler(
        priority=200,
        exit_codes=[
            *coded(
                'ERROR_NO_RETRIEVED_FOLDER',
                'ERROR_NO_RESULT',
                'ERROR_DAMAGED_OUTPUT',
                'ERROR_OUTFILE_MISSING',
            ),
            CalcJob.exit_codes.ERROR_NO_RETRIEVED_FOLDER,
            CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def run_again(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Repeat a job that was killed, whose node failed, or whose output was damaged during the transfer."""
        went_on = self.go_on_from(node)
        return self.again(node, f'was lost ({node.exit_message}): it {"continues" if went_on else "is run again"}')

    @process_handler(priority=190, exit_codes=CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME)
    def ask_for_time(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """At the time limit, continue if possible or repeat once; then end and state what to change."""
        limit = 'reached its time limit'
        if self.go_on_from(node):
            return self.again(node, f'{limit}: it continues from there')
        advice = 'request more `max_wallclock_seconds` in `options`, or less work in one job.'
        return self.once_more(node, limit, ExitCode(node.exit_status, f'The job {limit}: {advice}'))

    @process_handler(priority=190, exit_codes=CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY)
    def ask_for_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """If the job ran out of memory, repeat it once; then end and state what to change."""
        limit = 'ran out of memory'
        advice = 'request more in `options` (`max_memory_kb` or `custom_scheduler_commands`), or use a larger machine.'
        return self.once_more(node, limit, ExitCode(node.exit_status, f'The job {limit}: {advice}'))


class EvaluateBaseWorkChain(JobBaseWorkChain):
    """Evaluate potentials on frames, with restarts."""

    _process_class = EvaluateCalculation


class TransportBaseWorkChain(JobBaseWorkChain):
    """Compute the statistics of a trajectory on the computer where it is stored, with restarts."""

    _process_class = TransportCalculation


class LabelJobWorkChain(JobBaseWorkChain):
    """Label frames with the plugin's driver, with restarts."""

    _process_class = LabelCalculation
    ASKED_AGAIN = True


class AseMDBaseWorkChain(JobBaseWorkChain):
    """Run a molecular dynamics with an ASE calculator, with restarts."""

    _process_class = AseMDCalculation

    def on_terminated(self) -> None:
        """Keep the working directory regardless of `clean_workdir`: the analysis reads the trajectory there."""
        WorkChain.on_terminated(self)


class FreezeBaseWorkChain(JobBaseWorkChain):
    """Freeze a checkpoint, with restarts."""

    _process_class = FreezeCalculation


class MigrateBaseWorkChain(JobBaseWorkChain):
    """Migrate a checkpoint of an earlier DeePMD-kit release, with restarts."""

    _process_class = MigrateCalculation


class ScanBaseWorkChain(JobBaseWorkChain):
    """Scan a crystal with its mobile ions; an interrupted job is continued."""

    _process_class = ScanCalculation

    def go_on_from(self, node: orm.CalcJobNode) -> bool:
        """Let the next run read the energies that ``node`` has calculated, if it wrote them."""
        if 'retrieved' not in node.outputs or ENERGIES not in node.outputs.retrieved.list_object_names(OUTPUT):
            return False
        self.ctx.inputs.earlier = node.outputs.retrieved
        return True

    @process_handler(priority=210, exit_codes=coded('ERROR_INTERRUPTED'))
    def go_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue a job that ended before its time limit: each calculates some energies at least."""
        return self.again(
            node, 'ended before its time limit: it continues from there', in_vain=not self.go_on_from(node)
        )
