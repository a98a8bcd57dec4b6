"""Base chains of our jobs: each is started again where that can help, by the same handlers for all."""

from __future__ import annotations

from typing import ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md_ase import AseMDCalculation
from aiida_dpasse.calculations.migrate import MigrateCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.workflows.submit_once import SubmitOnce


class JobBaseWorkChain(SubmitOnce, BaseRestartWorkChain):
    """Base of the restarting chains."""

    #: Name of the namespace of the job's inputs.
    NAMESPACE: ClassVar[str] = 'job'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline and outputs: those of the job."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, namespace=cls.NAMESPACE)
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
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
        """Take the inputs of the job into the context."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(self._process_class, self.NAMESPACE))

    def inspect_process(self) -> ExitCode | None:
        """Let the handlers judge; the exit code of a job that cannot be helped is the chain's own, with its outputs."""
        code: ExitCode | None = super().inspect_process()
        node = self.ctx.children[-1]
        if code is not None and code.status and node.is_failed:
            self.attach_outputs(node)
            if code == self.exit_codes.ERROR_UNHANDLED_FAILURE:
                return ExitCode(node.exit_status, node.exit_message)
        return code

    def attach_outputs(self, node: orm.ProcessNode) -> None:
        """Attach what a job that failed left."""
        for name, output in self.exposed_outputs(node, self._process_class).items():
            self.out(name, output)


class EvaluateBaseWorkChain(JobBaseWorkChain):
    """Evaluation of potentials over frames."""

    _process_class = EvaluateCalculation


class TransportBaseWorkChain(JobBaseWorkChain):
    """Statistics of a trajectory where it lies."""

    _process_class = TransportCalculation


class LabelJobWorkChain(JobBaseWorkChain):
    """Labels by our driver."""

    _process_class = LabelCalculation


class AseMDBaseWorkChain(JobBaseWorkChain):
    """Molecular dynamics by an ASE calculator."""

    _process_class = AseMDCalculation

    def on_terminated(self) -> None:
        """Keep the working directory, whatever `clean_workdir` says: the trajectory lies there to be read."""
        WorkChain.on_terminated(self)


class FreezeBaseWorkChain(JobBaseWorkChain):
    """Freezing of a checkpoint: inputs ``code``, ``potential``, ``parameters``; output ``frozen``, also compressed."""

    _process_class = MigrateCalculation  # until `FreezeCalculation` is there


class MigrateBaseWorkChain(JobBaseWorkChain):
    """Migration of a checkpoint of an earlier release."""

    _process_class = MigrateCalculation
