"""`BatchLabelWorkChain`: base of the chains that label one batch of frames with an external program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import ONE_PROCESS, Child, DpasseWorkChain
from aiida_dpasse.base.protocols import expand_presets, protocol
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.label import job_parameters
from aiida_dpasse.runs import Run


class BatchLabelWorkChain(DpasseWorkChain):
    """Base class of the chains that label one batch with an external program.

    Outputs ``frames`` and ``account`` are those of `LabelCalculation`. A subclass writes the frames for its program and
    queues the jobs (`prepare`), defines a job (`make_job`) and reads the results (`collect`).
    """

    PROTOCOL = 'label'
    #: Whether the program can relax frames.
    RELAXES: ClassVar[bool] = True

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or to start dynamics from.')
        spec.inputs.validator = cls._validate
        spec.outline(
            cls.prepare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Admitted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, and `rejected`, `failed` and `objections` as lists of `id` and `reason`.',
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was admitted, the first because {reason}: see `account`.',
        )

    @classmethod
    def objection(cls, parameters: Mapping[str, Any], elements: Iterable[str]) -> str | None:
        """Check that frames of ``elements`` can be labelled with ``parameters``.

        Every chain that labels calls this before its submission.

        :param parameters: parameters of a batch.
        :param elements: symbols of the elements in the frames.
        :returns: one sentence that states the problem, or None.
        """
        if message := check_parameters(cls.PARAMETERS, dict(parameters)):
            return f'parameters: {message}'
        if parameters.get('relaxation') is not None and not cls.RELAXES:
            return f'parameters: `{cls.CODES[0]}` cannot relax; set `relaxation` to null.'
        return None

    @classmethod
    def protocol_parameters(
        cls, name: str | None = None, overrides: Mapping[str, Any] | orm.Dict | None = None
    ) -> dict[str, Any]:
        """Return the batch parameters of the labelling protocol ``name``, updated with ``overrides``.

        :raises ValueError: if the protocol is unknown.
        """
        given = overrides.get_dict() if isinstance(overrides, orm.Dict) else overrides
        own = job_parameters(protocol(cls.PROTOCOL, name), cls.CODES[0])
        return dict(expand_presets(merge(own, given or {})))

    @classmethod
    def _validate(cls, inputs: Any, _: Any = None) -> str | None:
        if inputs.get('parameters') is None or inputs.get('frames') is None:
            return None  # reported by the ports themselves
        return cls.objection(inputs['parameters'].get_dict(), inputs['frames'].elements)

    def prepare(self) -> None:
        """Write the frames for the program and queue its jobs."""
        raise NotImplementedError

    def make_job(self, run: Run) -> Child:
        """Return process class and inputs of the job of ``run``."""
        raise NotImplementedError

    def job_options(self) -> dict[str, Any]:
        """Return the scheduler options of a job: one process, updated with those of `label` and then of the program."""
        own = merge(self.options_for('label'), self.inputs.options.get(self.CODES[0], {}))
        return {**ONE_PROCESS, **own}

    def collect(self) -> dict[str, orm.Data]:
        """Return ``account`` and, if any frame is accepted, ``frames``, both created by a calcfunction."""
        raise NotImplementedError

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the account, regardless of the exit codes of the jobs."""
        self.report_failures(self.CODES[0])
        outputs = self.collect()
        self.out_many(outputs)
        if 'frames' in outputs:
            return None
        account = outputs['account']
        reason = [*account['failed'], *account['rejected']][0]['reason']
        return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(requested=account['requested'], reason=reason)
