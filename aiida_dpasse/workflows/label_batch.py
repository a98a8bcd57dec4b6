"""`BatchLabelWorkChain`: one batch of frames through a program that is not our driver, with the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, model_validator

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.workflows.chain import ONE_PROCESS, DpasseWorkChain


class KpointsParameters(Parameters):
    """A mesh of k-points, or how dense it is."""

    mesh: tuple[int, int, int] | None = Field(default=None, description='Numbers of points of the Monkhorst-Pack mesh.')
    spacing: float | None = Field(
        default=None, gt=0, description="Largest distance between points in 1/A, as VASP's KSPACING; null for a mesh."
    )

    @model_validator(mode='after')
    def _one(self) -> KpointsParameters:
        if (self.mesh is None) == (self.spacing is None):
            raise ValueError('give either `mesh` or `spacing`, the other null')
        if self.mesh is not None and min(self.mesh) < 1:
            raise ValueError(f'`mesh` should hold numbers of at least 1, got {self.mesh}')
        return self


class BatchLabelWorkChain(DpasseWorkChain):
    """Base of the chains that label one batch with a foreign program; frames and account are those of
    `LabelCalculation`.

    A subclass writes the frames for its program (`prepare`, which queues the jobs), says what a job is (`make_job`),
    and reads the answers (`collect`).
    """

    PROTOCOL = 'label'
    #: Whether the program relaxes frames as well.
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
        """Return one sentence if frames of ``elements`` cannot be labelled with ``parameters``, those of a batch.

        Every chain that labels asks it before it is submitted.
        """
        if message := check_parameters(cls.PARAMETERS, dict(parameters)):
            return f'parameters: {message}'
        if parameters.get('relaxation') is not None and not cls.RELAXES:
            return f'parameters: `{cls.CODES[0]}` cannot relax; set `relaxation` to null.'
        return None

    @classmethod
    def _validate(cls, inputs: Any, _: Any = None) -> str | None:
        if 'parameters' not in inputs or 'frames' not in inputs:
            return None  # their own ports say so
        return cls.objection(inputs['parameters'].get_dict(), inputs['frames'].elements)

    def prepare(self) -> None:
        """Write the frames for the program and queue its jobs."""
        raise NotImplementedError

    def make_job(self, key: str) -> tuple[Any, dict[str, Any]]:
        """Return job ``key``."""
        raise NotImplementedError

    def job_options(self) -> dict[str, Any]:
        """Return the scheduler options of a job: one process, unless those of `label`, or over them those of the
        program, say otherwise."""
        own = merge(self.options_for('label'), self.inputs.options.get(self.CODES[0], {}))
        return {**ONE_PROCESS, **own}

    def collect(self) -> dict[str, orm.Data]:
        """Return ``account`` and, if any frame is admitted, ``frames``, both made by a calcfunction."""
        raise NotImplementedError

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the account, whatever the jobs' exit codes."""
        for key, node in self.unfinished().items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        outputs = self.collect()
        self.out_many(outputs)
        if 'frames' in outputs:
            return None
        account = outputs['account']
        reason = [*account['failed'], *account['rejected']][0]['reason']
        return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(requested=account['requested'], reason=reason)
