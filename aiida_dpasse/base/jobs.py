"""Base chains of our jobs: each is started again where that can help, by the same handlers for all."""

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
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.exit_codes import STATUSES
from aiida_dpasse.parameters.base import given


def coded(*names: str) -> list[ExitCode]:
    """Return the exit codes of these names, by their numbers alone: a handler serves every process that has them."""
    return [ExitCode(STATUSES[name]) for name in names]


class JobBaseWorkChain(SubmitOnce, BaseRestartWorkChain):
    """Base of the restarting chains.

    A job of which nothing readable came home is run again, `max_iterations` times in all; runs that got further than
    those before them do not count (AiiDA itself counts every run). A full disk pauses the chain. Whatever else went
    wrong is the chain's own exit code, with the job's message and what outputs it left.
    """

    #: Name of the namespace of the job's inputs.
    NAMESPACE: ClassVar[str] = 'job'
    #: Whether the chain above asks again for what a job at its limit did not come to.
    ASKED_AGAIN: ClassVar[bool] = False

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline and outputs: those of the job."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, namespace=cls.NAMESPACE)
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
        spec.inputs['max_iterations'].help = 'How many runs may get no further than those before them.'
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
        """Take the inputs of the job into the context, and begin to count."""
        super().setup()
        self.ctx.inputs = AttributeDict(given(self.exposed_inputs(self._process_class, self.NAMESPACE)))
        self.ctx.fruitless = 0
        #: Exit statuses of the limits that a run of this chain has met.
        self.ctx.limits_met = []
        #: Exit status and message with which the last handler ended the chain.
        self.ctx.given_up = None

    # -- judging a run ----------------------------------------------------------------------------------------------

    def inspect_process(self) -> ExitCode | None:
        """Let the handlers judge; the exit code of a job that cannot be helped is the chain's own, with its outputs."""
        node = self.ctx.children[-1]
        self.ctx.given_up = None
        if node.is_excepted and not self.ctx.get('excepted', False):
            # A connection that was lost at the wrong moment ends so too; an error of ours ends so twice.
            self.ctx.excepted = True
            self.report(f'{node.process_label}<{node.pk}> excepted: it is run once more.')
            return None
        code: ExitCode | None = super().inspect_process()
        if code == self.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED:
            if self.ctx.given_up is None:
                self.report('It is not given up: only runs that got no further count.')
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
        """Attach what a job that failed left."""
        for name, output in self.get_outputs(node).items():
            if name in self.spec().outputs:
                self.out(name, output)

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, Any]:
        """Return the outputs of the chain, those of its last run."""
        return dict(self.exposed_outputs(node, self._process_class))

    def go_on_from(self, node: orm.CalcJobNode) -> bool:
        """Let the next run go on from what ``node`` left, and return whether it left anything.

        A program that begins anew each time, as here, leaves nothing.
        """
        return False

    def again(self, node: orm.CalcJobNode, message: str, in_vain: bool = True) -> ProcessHandlerReport:
        """Run the job again, unless too many runs were in vain.

        :param message: what happened and what comes next, without a full stop.
        :param in_vain: whether ``node`` got no further than the runs before it.
        """
        self.ctx.fruitless = self.ctx.fruitless + 1 if in_vain else 0
        if self.ctx.fruitless >= self.inputs.max_iterations.value:
            runs = f'{self.ctx.fruitless} runs in a row ended' if self.ctx.fruitless > 1 else 'The one run ended'
            return self.give_up(ExitCode(node.exit_status, f'{node.exit_message} {runs} without getting further.'))
        self.report(f'{node.process_label}<{node.pk}> {message}.')
        return ProcessHandlerReport(do_break=True)

    def once_more(
        self, node: orm.CalcJobNode, limit: str, code: ExitCode, in_vain: bool = True
    ) -> ProcessHandlerReport:
        """Run a job that met a limit again the first time, and end with ``code`` the second time.

        A node that hangs, or whose memory others take, looks like a job that is too large.

        :param limit: what the job met, as a verb with its object.
        :param code: what to change is its message.
        :param in_vain: whether ``node`` got no further than the runs before it.
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

    # -- handlers, the most urgent first ----------------------------------------------------------------------------

    @process_handler(priority=600, exit_codes=coded('ERROR_DISK_FULL'))
    def wait_for_room(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Pause: a run that is played goes on where this one ended; it does not count."""
        self.go_on_from(node)
        message = (
            f'The disk of {node.computer.label} is full or a quota is reached: make room there '
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
        """Run a job again that was lost: killed, on a node that failed, or with its output damaged on the way home."""
        went_on = self.go_on_from(node)
        return self.again(node, f'was lost ({node.exit_message}): it {"goes on" if went_on else "is run again"}')

    @process_handler(priority=190, exit_codes=CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME)
    def ask_for_time(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Run again what can go on, and once what begins anew, else end with what to change."""
        limit = 'reached its time limit'
        if self.go_on_from(node):
            return self.again(node, f'{limit}: it goes on from there')
        advice = 'ask for more `max_wallclock_seconds` in `options`, or for less work in one job.'
        return self.once_more(node, limit, ExitCode(node.exit_status, f'The job {limit}: {advice}'))

    @process_handler(priority=190, exit_codes=CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY)
    def ask_for_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Run it once more, then end with what to change."""
        limit = 'ran out of memory'
        advice = 'ask for more in `options` (`max_memory_kb` or `custom_scheduler_commands`), or take a larger machine.'
        return self.once_more(node, limit, ExitCode(node.exit_status, f'The job {limit}: {advice}'))


class EvaluateBaseWorkChain(JobBaseWorkChain):
    """Evaluation of potentials over frames."""

    _process_class = EvaluateCalculation


class TransportBaseWorkChain(JobBaseWorkChain):
    """Statistics of a trajectory where it lies."""

    _process_class = TransportCalculation


class LabelJobWorkChain(JobBaseWorkChain):
    """Labels by our driver."""

    _process_class = LabelCalculation
    ASKED_AGAIN = True


class AseMDBaseWorkChain(JobBaseWorkChain):
    """Molecular dynamics by an ASE calculator."""

    _process_class = AseMDCalculation

    def on_terminated(self) -> None:
        """Keep the working directory, whatever `clean_workdir` says: the trajectory lies there to be read."""
        WorkChain.on_terminated(self)


class FreezeBaseWorkChain(JobBaseWorkChain):
    """Freezing of a checkpoint."""

    _process_class = FreezeCalculation


class MigrateBaseWorkChain(JobBaseWorkChain):
    """Migration of a checkpoint of an earlier release."""

    _process_class = MigrateCalculation
