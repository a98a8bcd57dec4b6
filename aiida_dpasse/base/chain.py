"""Base class of the work chains: codes, scheduler options, a limit of concurrent jobs, protocols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, PortNamespace, Process, ProcessBuilder, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.each_child import EachChild
from aiida_dpasse.base.jobs import EvaluateBaseWorkChain, FreezeBaseWorkChain, JobBaseWorkChain
from aiida_dpasse.base.protocols import expand_presets, machine, protocol
from aiida_dpasse.base.reasons import first_reason
from aiida_dpasse.base.submit_once import SubmitOnce
from aiida_dpasse.base.validators import (
    check_checkpoints,
    check_labels,
    check_processes,
    check_program,
    validate_options,
)
from aiida_dpasse.calculations.ways import options_in_its_way
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PAIR_STYLE, PROGRAM
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.make_supercell import make_supercell
from aiida_dpasse.label_sources import load_source
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import Parameters, parameters_validator
from aiida_dpasse.runs import Run

CODE_HELP = {
    PROGRAM: f"DeePMD-kit's `{PROGRAM}`.",
    'torchrun': "PyTorch's `torchrun` from the environment of `dp`; it starts a training in several `processes`.",
    'lmp': f'LAMMPS with the pair style `{PAIR_STYLE}`.',
    'python': 'Python with DeePMD-kit and the ASE calculators in use; it runs the drivers.',
}
#: Default scheduler options of a job of another plugin.
ONE_PROCESS = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False}
#: Prefix of the context keys of queued children.
DONE = 'done.'
#: Extra of a chain: its share of the programs of the calling chain, where that has grown since the submission.
SHARE = 'dpasse_max_concurrent'
#: A process class and its inputs.
Child = tuple[type[Process], dict[str, Any]]


def code_help(name: str) -> str:
    """Return the description of the code ``name``, which is one of `CODE_HELP` or a label source."""
    return CODE_HELP[name] if name in CODE_HELP else str(load_source(name).HELP)


def validate_code(code: orm.AbstractCode | None, port: Any) -> str | None:
    """Check that ``code`` is the program of its port and that its executable exists.

    The check of the executable opens a connection. It is made once, in the user's shell, and skipped inside a process:
    in a daemon worker that submits children, a single failed connection would end the study.

    :param code: the code of the port, or None.
    :param port: the input port, whose name is that of the program.
    :returns: one sentence that states the problem, or None.
    """
    if code is not None and port is not None and (message := check_program(port.name, code)):
        return message
    if not isinstance(code, orm.InstalledCode) or Process.current() is not None:
        return None
    try:
        code.validate_filepath_executable()
    except Exception as exception:  # transports raise exceptions of any type; each means that the code is unusable
        return f'The code `{code.full_label}` cannot be used ({exception}): correct it, or run `aiida-dpasse setup`.'
    return None


def check_processes_of(inputs: Any) -> str | None:
    """Check that a training in several processes has the code `torchrun`.

    :param inputs: inputs of a chain, with ``parameters`` and ``codes``.
    :returns: one sentence that states the problem, or None.
    """
    parameters = inputs.get('parameters')
    return None if parameters is None else check_processes(parameters.get_dict(), inputs.get('codes', {}))


def validate_positive(value: int | orm.Int, _: Any) -> str | None:
    """Check that ``value`` is positive; return one sentence that states the problem, or None."""
    number = value.value if isinstance(value, orm.Int) else value
    return None if number > 0 else f'It should be greater than 0, got {number}.'


class DpasseWorkChain(EachChild, SubmitOnce, WorkChain):
    """Base class of the work chains. A subclass sets its codes, its parameters and its protocol."""

    #: Codes that the chain or its children run.
    CODES: ClassVar[tuple[str, ...]] = ()
    #: Codes that the chain needs only for some of its inputs.
    OPTIONAL_CODES: ClassVar[tuple[str, ...]] = ()
    #: Model of the `parameters` input.
    PARAMETERS: ClassVar[type[Parameters]]
    #: Name of the YAML file with the protocols.
    PROTOCOL: ClassVar[str]
    #: Ports or namespaces of potentials that LAMMPS runs. A checkpoint in one of them is frozen first, so the code of
    #: DeePMD-kit is added to the optional codes.
    RUNS_IN_LAMMPS: ClassVar[tuple[str, ...]] = ()
    #: Whether the chain runs its programs one after the other, whatever its share.
    ONE_AT_A_TIME: ClassVar[bool] = False
    #: Child chains, by the field of the parameters that their protocols fill.
    CHILDREN: ClassVar[Mapping[str, type[DpasseWorkChain]]] = {}
    #: Set by `spec` on each class, whose specification AiiDA makes once.
    VALIDATED: ClassVar[bool]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.RUNS_IN_LAMMPS and PROGRAM not in (*cls.CODES, *cls.OPTIONAL_CODES):
            cls.OPTIONAL_CODES = (*cls.OPTIONAL_CODES, PROGRAM)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define the shared ports and exit codes."""
        super().define(spec)
        for name in (*cls.CODES, *cls.OPTIONAL_CODES):
            spec.input(
                f'codes.{name}',
                valid_type=orm.AbstractCode,
                required=name in cls.CODES,
                validator=validate_code,
                help=code_help(name),
            )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(cls.PARAMETERS),
            help='All physical settings, including the seed.',
        )
        spec.input(
            'options',
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=validate_options,
            help='Scheduler options by program: `default`, updated by those of `train`, `md`, `label`, `evaluate`, '
            '`transport` or `scan`; for a program that labels, those of `label`, updated by those of its code.',
        )
        spec.input(
            'max_concurrent',
            valid_type=int,
            non_db=True,
            default=2,
            validator=validate_positive,
            help='Maximum number of programs that run at once.',
        )
        spec.input(
            'max_iterations',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Int(3),
            validator=validate_positive,
            help='Maximum number of starts of a training or a molecular dynamics run.',
        )
        spec.input(
            'clean_workdir',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help='Whether the base chains remove their working directories when they have finished.',
        )
        if cls.RUNS_IN_LAMMPS:
            exit_code(spec, 'ERROR_NOT_FROZEN', message='A checkpoint could not be frozen for LAMMPS: {reason}')

    @classmethod
    def spec(cls) -> WorkChainSpec:
        """Return the specification, with a validator of labels, checkpoints and training processes added."""
        spec = super().spec()
        if 'VALIDATED' not in cls.__dict__:
            cls.VALIDATED = True
            namespaces = [
                name for name, port in spec.inputs.items() if isinstance(port, PortNamespace) and port.dynamic
            ]
            own = spec.inputs.validator

            def validate(inputs: Any, port: Any) -> str | None:
                message = (
                    check_labels(inputs, namespaces)
                    or check_checkpoints(inputs, cls.RUNS_IN_LAMMPS)
                    or check_processes_of(inputs)
                )
                return message or (own(inputs, port) if own is not None else None)

            spec.inputs.validator = validate
        return spec

    @property
    def settings(self) -> Any:
        """The validated parameters, with all defaults."""
        return self.PARAMETERS.model_validate(self.inputs.parameters.get_dict())

    @property
    def engine_code(self) -> orm.AbstractCode:
        """The code of DeePMD-kit."""
        return self.inputs.codes[PROGRAM]

    def namespace(self, name: str) -> dict[str, Any]:
        """Return the inputs of a dynamic namespace by label; empty if it was not given."""
        return dict(self.inputs.get(name, {}))

    def make_cells(
        self, wanted: Mapping[str, tuple[orm.StructureData, orm.Dict]], link: str = 'supercell_{}'
    ) -> ExitCode | None:
        """Make supercells and store them in `ctx.cells`.

        :param wanted: structure and size of each supercell, by key.
        :param link: link label of the calcfunction; ``{}`` is replaced by the key.
        :returns: ERROR_STRUCTURES if a supercell cannot be made, otherwise None.
        """
        self.ctx.cells = {}
        for key, (structure, size) in wanted.items():
            try:
                cell = make_supercell(structure, size, metadata={'call_link_label': link.format(key)})
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
            self.ctx.cells[key] = cell
        return None

    # -- inputs of children ------------------------------------------------------------------------------------------

    def shared(self, child: type[DpasseWorkChain], label: str) -> dict[str, Any]:
        """Return the shared inputs of ``child``, called with the link label ``label``."""
        return {
            'codes': {name: self.inputs.codes[name] for name in child.known_codes(self.inputs.codes)},
            'options': self.inputs.options,
            'max_concurrent': self.programs,
            **self.restart(label),
        }

    @classmethod
    def known_codes(cls, codes: Mapping[str, Any]) -> list[str]:
        """Return the names of the codes in ``codes`` that the chain accepts; required ones are always included."""
        return [*cls.CODES, *(name for name in cls.OPTIONAL_CODES if name in codes)]

    def restart(self, label: str) -> dict[str, Any]:
        """Return the shared inputs of a restarting base chain, called with the link label ``label``."""
        return {
            'max_iterations': self.inputs.max_iterations,
            'clean_workdir': self.inputs.clean_workdir,
            'metadata': {'call_link_label': label},
        }

    def options_for(self, program: str) -> dict[str, Any]:
        """Return the scheduler options of ``program``: `default`, updated with the program's own."""
        return dict(merge(self.inputs.options.get('default', {}), self.inputs.options.get(program, {})))

    # -- queue of children -------------------------------------------------------------------------------------------

    def enqueue(self, maker: str, runs: Iterable[Run]) -> None:
        """Queue one child for each run.

        The queue holds records only, because the context must survive a restart of the daemon.

        :param maker: name of the method that returns process class and inputs of a run.
        :param runs: the runs, in the order of submission.
        """
        self.ctx.setdefault('done', AttributeDict())
        self.ctx.setdefault('records', {})
        queued = list(runs)
        self.ctx.records |= {run.id: run.to_dict() for run in queued}
        self.ctx.queue = [*self.ctx.get('queue', []), *([maker, run.id] for run in queued)]

    def queue_left(self) -> bool:
        """Return whether children are waiting to be submitted."""
        return bool(self.ctx.get('queue', []))

    def submit_queue(self) -> None:
        """Submit the queue, with a limited number of children at once.

        Another child is submitted whenever one finishes. Finished children are stored in `ctx.done`.
        """
        self.ctx.slots, self.ctx.chains = {}, {}
        self.fill()

    def fill(self) -> None:
        """Submit queued children while fewer programs run than may run at once."""
        while self.queue_left() and self.free_programs() > 0:
            (maker, key), *self.ctx.queue = self.ctx.queue
            run = self.record(key)
            process, inputs = getattr(self, maker)(run)
            inputs.setdefault('metadata', {}).setdefault('call_link_label', run.label)
            self.submit_with_share(f'{DONE}{key}', process, inputs, waiting=len(self.ctx.queue))

    def submit_with_share(self, key: str, process: type[Process], inputs: dict[str, Any], waiting: int) -> None:
        """Submit a child, which occupies a share of the programs that may run at once.

        A job occupies one, and so does a chain that runs its programs one after the other. Any other chain receives as
        many as each of the children that wait could have, as its own `max_concurrent`.

        :param key: key of the child in the context.
        :param process: process class.
        :param inputs: inputs of the child.
        :param waiting: number of children that are to be submitted after this one.
        """
        share = 1
        if issubclass(process, DpasseWorkChain):
            if not process.ONE_AT_A_TIME:
                share = max(1, -(-self.free_programs() // (1 + waiting)))
            inputs['max_concurrent'] = share
        node = self.submit(process, **inputs)
        self.ctx.slots[key] = share
        if issubclass(process, DpasseWorkChain) and not process.ONE_AT_A_TIME:
            self.ctx.chains[key] = node.uuid
        self.to_context(**{key: node})

    @property
    def programs(self) -> int:
        """The number of programs that this chain may run at once."""
        return int(self.node.base.extras.get(SHARE, self.inputs.max_concurrent))

    def free_programs(self) -> int:
        """Return how many more programs may run."""
        return self.programs - sum(self.ctx.slots.values())

    def child_finished(self, key: str) -> None:
        """Let other children use the share of one that finished: first those that wait, then the running chains.

        The slowest child does not delay the others. A child that was submitted before a worker was killed is found by
        `SubmitOnce.submit`.
        """
        if key not in self.ctx.get('slots', {}):
            return
        del self.ctx.slots[key]
        self.ctx.chains.pop(key, None)
        self.fill()
        for number, (chain, uuid) in enumerate(self.ctx.chains.items()):
            more = -(-self.free_programs() // (len(self.ctx.chains) - number))
            if more > 0:
                self.ctx.slots[chain] += more
                orm.load_node(uuid).base.extras.set(SHARE, self.ctx.slots[chain])

    def record(self, key: str) -> Run:
        """Return the run with the id ``key``."""
        return Run(**self.ctx.records[key])

    def ended(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the finished children by run, in the order in which they were queued.

        :param what: kind of the children.
        :param fields: values that the fields of the runs must have.
        """
        runs = [Run(**record) for record in self.ctx.get('records', {}).values()]
        done = self.ctx.get('done', {})
        return {run: done[run.id] for run in runs if run.id in done and run.matches(what=what, **fields)}

    def succeeded(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the children that finished with exit status 0; parameters as in `ended`."""
        return {run: node for run, node in self.ended(what, **fields).items() if node.is_finished_ok}

    def failed(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the children that did not finish with exit status 0; parameters as in `ended`."""
        return {run: node for run, node in self.ended(what, **fields).items() if not node.is_finished_ok}

    def report_failures(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Report each failed child with its exit message and return the failed children; parameters as in `ended`."""
        failed = self.failed(what, **fields)
        for run, node in failed.items():
            self.report(f'{run.label}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        return failed

    # -- potentials for LAMMPS --------------------------------------------------------------------------------------

    def freeze_checkpoints(self) -> None:
        """Queue a freezing job for each checkpoint in the ports `RUNS_IN_LAMMPS`."""
        given: list[Potential] = []
        for port in self.RUNS_IN_LAMMPS:
            value = self.inputs.get(port)
            given += [value] if isinstance(value, Potential) else list((value or {}).values())
        unique = {node.uuid: node for node in given if node.is_checkpoint}
        self.ctx.to_freeze = list(unique.values())
        self.enqueue('make_freezing', [Run('freeze', number) for number in range(len(unique))])

    def make_freezing(self, run: Run) -> Child:
        """Return the job that freezes one checkpoint."""
        potential = self.ctx.to_freeze[run.number]
        return self.job(FreezeBaseWorkChain, 'freeze', run.label, code=self.engine_code, potential=potential)

    def check_frozen(self) -> ExitCode | None:
        """Return ERROR_NOT_FROZEN if a checkpoint could not be frozen."""
        if failed := self.report_failures('freeze'):
            return self.exit_codes.ERROR_NOT_FROZEN.format(reason=first_reason(failed))
        return None

    def runnable(self, potential: Potential) -> Potential:
        """Return the potential that LAMMPS can run: the frozen one for a checkpoint, otherwise ``potential`` itself."""
        numbers = [i for i, node in enumerate(self.ctx.get('to_freeze', [])) if node.uuid == potential.uuid]
        return self.ctx.done[Run('freeze', numbers[0]).id].outputs.frozen if numbers else potential

    # -- single children ---------------------------------------------------------------------------------------------

    def job(self, process: type[JobBaseWorkChain], program: str, label: str, backend: str = '', **inputs: Any) -> Child:
        """Return the restarting chain of one of the plugin's jobs, with its inputs.

        :param process: the restarting chain.
        :param program: name of the program in `options`.
        :param label: call link label.
        :param backend: of the model, if the processes and threads of the program depend on it.
        :param inputs: inputs of the job, including its code.
        """
        options = options_in_its_way(self.options_for(program), inputs['code'], backend)
        job = {**inputs, 'metadata': {'options': options}}
        return process, {process.NAMESPACE: job, **self.restart(label)}

    def evaluation(
        self, label: str, potentials: Mapping[str, Potential], frames: FramesData, parameters: orm.Dict
    ) -> Child:
        """Return the evaluation of potentials on frames.

        :param label: call link label.
        :param potentials: potentials by name.
        :param frames: frames to evaluate.
        :param parameters: parameters of `dpasse.evaluate`.
        """
        given = {'potentials': dict(potentials), 'frames': frames, 'parameters': parameters}
        return self.job(EvaluateBaseWorkChain, 'evaluate', label, code=self.inputs.codes.python, **given)

    def run_child(self, key: str, process: type[Process], inputs: dict[str, Any]) -> None:
        """Submit one child with the link label ``key`` and wait for it; its node is stored in `ctx.<key>`."""
        inputs.setdefault('metadata', {}).setdefault('call_link_label', key)
        self.to_context(**{key: self.submit(process, **inputs)})

    def failure(self, node: orm.ProcessNode, code: ExitCode) -> ExitCode:
        """Report why a child failed and return ``code``."""
        self.report(f'{node.process_label}<{node.pk}> failed with exit code {node.exit_status}: {node.exit_message}')
        return code

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def protocol_parameters(
        cls, name: str | None = None, overrides: Mapping[str, Any] | orm.Dict | None = None
    ) -> dict[str, Any]:
        """Return the parameters of a protocol.

        The protocols of the children are updated with that of this chain, and the result with ``overrides``. A field
        that this chain's protocol sets to null disables the child.

        :param name: name of the protocol; None is the default protocol.
        :param overrides: parameters that differ from the protocol.
        :raises ValueError: if the protocol or a training preset is unknown.
        """
        given = overrides.get_dict() if isinstance(overrides, orm.Dict) else overrides
        own = merge(cls.own_protocol(name), given or {})
        for field, child in cls.CHILDREN.items():
            if own.get(field, {}) is not None:
                own[field] = child.protocol_parameters(name, own.get(field))
        return dict(expand_presets(own))

    @classmethod
    def own_protocol(cls, name: str | None = None) -> dict[str, Any]:
        """Return the protocol ``name`` of this chain, without those of its children.

        :raises ValueError: if the protocol is unknown.
        """
        return protocol(cls.PROTOCOL, name)

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | str],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: str | Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> ProcessBuilder:
        """Return a builder that is ready to be submitted.

        :param codes: codes, or their labels, by name: those of ``CODES``, and those of ``OPTIONAL_CODES`` that are
            needed; others are ignored.
        :param protocol: name of the protocol, which sets the physical parameters.
        :param overrides: parameters that differ from the protocol.
        :param options: name of a machine preset, or scheduler options by program.
        :param inputs: inputs of this chain.
        :raises ValueError: if a code, protocol or preset is missing.
        """
        missing = [name for name in cls.CODES if name not in codes]
        if missing:
            raise ValueError(f'The code `{missing[0]}` is missing: {code_help(missing[0])} Run `aiida-dpasse setup`.')
        builder = cls.get_builder()
        for name in cls.known_codes(codes):
            code = codes[name]
            builder.codes[name] = orm.load_code(code) if isinstance(code, str) else code
        builder.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        builder.options = machine(options)
        for name, value in inputs.items():
            setattr(builder, name, value)
        return builder
