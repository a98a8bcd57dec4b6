"""`BatchLabelWorkChain`: base of the chains that label one batch of frames with an external program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import ONE_PROCESS, Child, DpasseWorkChain
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.protocols import expand_presets, protocol, read_protocol
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.label.job_parameters import job_parameters
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.runs import Run, Runs


class BatchLabelWorkChain(DpasseWorkChain):
    """Base class of the chains that label one batch with an external program.

    Outputs ``frames`` and ``account`` are those of `LabelCalculation`. A subclass sets the attributes below, defines a
    job (`make_job`) and passes the results of the jobs to its reader (`answers`). Its entry point is
    `dpasse.label.<code>`; see the page "Add a label source" of the documentation. `CODES` contains one code, and
    `PARAMETERS` is a subclass of `LabelJobParameters` with one more field, the settings of the program, which has the
    name of the code. If the settings have protocols, they are in ``<code>.yaml`` beside the module of the chain.
    """

    PROTOCOL = 'label'
    #: Description of the code.
    HELP: ClassVar[str]
    #: Prefixes of executables and of CalcJob plugins that identify the program; empty if it can have any name.
    EXECUTABLES: ClassVar[tuple[str, ...]] = ()
    #: Calcfunction that writes the frames for the program: ``frames`` and ``parameters`` in; ``runs``, the records of
    #: the jobs, and their inputs out.
    PLAN: ClassVar[Callable[..., Any]]
    #: Calcfunction that reads the labels: ``frames``, ``parameters`` and `answers` in; ``account`` and, if any frame is
    #: accepted, ``frames`` out.
    READ: ClassVar[Callable[..., Any]]
    #: Whether the program can relax frames.
    RELAXES: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a source whose settings cannot be found.

        :raises TypeError: if `PARAMETERS` has no field with the name of the code.
        """
        super().__init_subclass__(**options)
        if cls.CODES[0] not in cls.PARAMETERS.model_fields:
            raise TypeError(f'{cls.__name__}: `PARAMETERS` should have the field `{cls.CODES[0]}`.')

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or initial frames of dynamics.')
        spec.inputs.validator = cls._validate
        spec.outline(
            cls.prepare,
            run_queue(cls),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Accepted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, and `rejected`, `failed` and `objections` as lists of `id` and `reason`.',
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was accepted; the first reason is: {reason}. See `account`.',
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
        settings = {**protocol(cls.PROTOCOL, name), cls.CODES[0]: cls.program_protocol(name)}
        return dict(expand_presets(merge(job_parameters(settings, cls.CODES[0]), given or {})))

    @classmethod
    def program_protocol(cls, name: str | None = None) -> dict[str, Any] | None:
        """Return the settings of the program in the protocol ``name``, or None if it has no protocols.

        :raises ValueError: if the protocol is unknown.
        """
        path = cls.program_file()
        return None if path is None else read_protocol(path, name)

    @classmethod
    def program_file(cls) -> Traversable | None:
        """Return the YAML file with the protocols of the program, ``<code>.yaml`` beside the chain, or None."""
        package = import_module(cls.__module__).__package__
        path = files(package) / f'{cls.CODES[0]}.yaml' if package else None
        return path if path is not None and path.is_file() else None

    @classmethod
    def plugin_nodes(cls) -> dict[str, tuple[type[orm.Data], ...]]:
        """Return the types of nodes that the plugin stores without a creator, by the entry point of its process."""
        return {}

    @classmethod
    def _validate(cls, inputs: Any, _: Any = None) -> str | None:
        if inputs.get('parameters') is None or inputs.get('frames') is None:
            return None  # reported by the ports themselves
        return cls.objection(inputs['parameters'].get_dict(), inputs['frames'].elements)

    def prepare(self) -> None:
        """Write the frames for the program and queue its jobs."""
        self.ctx.plan = self.PLAN(self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.enqueue('make_job', Runs.from_dict(self.ctx.plan['runs']).values())

    def make_job(self, run: Run) -> Child:
        """Return process class and inputs of the job of ``run``."""
        raise NotImplementedError

    def job_options(self) -> dict[str, Any]:
        """Return the scheduler options of a job: one process, updated with those of `label` and then of the program."""
        own = merge(self.options_for('label'), self.inputs.options.get(self.CODES[0], {}))
        return {**ONE_PROCESS, **own}

    def answers(self) -> dict[str, Any]:
        """Return the arguments of `READ` besides frames and parameters: namespaces of nodes by the id of the run."""
        raise NotImplementedError

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the account, regardless of the exit codes of the jobs."""
        self.report_failures(self.CODES[0])
        outputs = self.READ(
            self.inputs.frames, self.inputs.parameters, **self.answers(), metadata={'call_link_label': 'collect'}
        )
        self.out_many(outputs)
        if 'frames' in outputs:
            return None
        account = outputs['account']
        reason = [*account['failed'], *account['rejected']][0]['reason']
        return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(requested=account['requested'], reason=reason)
