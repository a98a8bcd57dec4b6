"""What all our work chains share: codes, machine options, a limit of programs at once, protocols."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, PortNamespace, Process, ProcessBuilder, WorkChain
from aiida.engine.processes.workchains.awaitable import Awaitable
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.jobs import FreezeBaseWorkChain, JobBaseWorkChain
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
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.make_supercell import make_supercell
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import Parameters, parameters_validator
from aiida_dpasse.runs import Run

CODE_HELP = {
    'dp': "DeePMD-kit's `dp`.",
    'torchrun': "PyTorch's `torchrun` beside `dp`: it starts a training in several `processes`.",
    'lmp': 'LAMMPS with the `deepmd` pair style.',
    'python': 'Python with DeePMD-kit and the ASE calculators in use; it runs the drivers.',
    'vasp': 'VASP, through aiida-vasp; it labels.',
    'cp2k': 'CP2K: density-functional theory that anyone can run; it labels.',
    'shell': 'A program of your own that reads extended XYZ and writes it with energies and forces; it labels.',
}


#: Scheduler options of another plugin's job where nothing else is asked for.
ONE_PROCESS = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False}
#: Where the children of the queue lie in the context.
DONE = 'done.'
#: A process to submit, and its inputs.
Child = tuple[type[Process], dict[str, Any]]


def validate_code(code: orm.AbstractCode | None, port: Any) -> str | None:
    """Return one sentence if ``code`` is another program, or its executable is not there.

    It opens a connection, so it looks once, in the shell of the user: in a worker, where a chain submits its children,
    one missed connection would end the study.
    """
    if code is not None and port is not None and (message := check_program(port.name, code)):
        return message
    if not isinstance(code, orm.InstalledCode) or Process.current() is not None:
        return None
    try:
        code.validate_filepath_executable()
    except Exception as exception:  # transports raise whatever they like; every one of them means it cannot be used
        return f'The code `{code.full_label}` cannot be used ({exception}): correct it, or run `aiida-dpasse setup`.'
    return None


def check_processes_of(inputs: Any) -> str | None:
    """Return one sentence if a training among the parameters takes several processes without `torchrun`."""
    parameters = inputs.get('parameters')
    return None if parameters is None else check_processes(parameters.get_dict(), inputs.get('codes', {}))


def validate_positive(value: int | orm.Int, _: Any) -> str | None:
    """Return one sentence if ``value`` is not positive."""
    number = value.value if isinstance(value, orm.Int) else value
    return None if number > 0 else f'It should be greater than 0, got {number}.'


class DpasseWorkChain(SubmitOnce, WorkChain):
    """Base of the work chains. A subclass says which codes it needs, its parameters and its protocol."""

    #: Codes that the chain or its children run.
    CODES: ClassVar[tuple[str, ...]] = ()
    #: Codes of which it may need some, depending on its other inputs.
    OPTIONAL_CODES: ClassVar[tuple[str, ...]] = ()
    #: Model of the `parameters` input.
    PARAMETERS: ClassVar[type[Parameters]]
    #: Name of the YAML file with the protocols.
    PROTOCOL: ClassVar[str]
    #: Ports of potentials, or namespaces of them, that LAMMPS runs: a checkpoint there is frozen first.
    RUNS_IN_LAMMPS: ClassVar[tuple[str, ...]] = ()
    #: Child chains whose protocols fill the parameters' fields of these names.
    CHILDREN: ClassVar[Mapping[str, type[DpasseWorkChain]]] = {}

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
                help=CODE_HELP[name],
            )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(cls.PARAMETERS),
            help='All physical settings, the seed among them.',
        )
        spec.input(
            'options',
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=validate_options,
            help='Scheduler options by program: `default`, and over it `train`, `md`, `label`, `evaluate`, '
            '`transport`; a program that labels takes those of `label` and, over them, those of its code.',
        )
        spec.input(
            'max_concurrent',
            valid_type=int,
            non_db=True,
            default=2,
            validator=validate_positive,
            help='How many programs may run at once.',
        )
        spec.input(
            'max_iterations',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Int(3),
            validator=validate_positive,
            help='How often a training or a molecular dynamics may be started, first time included.',
        )
        spec.input(
            'clean_workdir',
            valid_type=orm.Bool,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Bool(False),
            help='Whether the base chains remove their working directories when they are done.',
        )
        if cls.RUNS_IN_LAMMPS:
            exit_code(spec, 'ERROR_NOT_FROZEN', message='A checkpoint could not be frozen for LAMMPS: {reason}')

    @classmethod
    def spec(cls) -> WorkChainSpec:
        """Return the specification, which refuses labels and checkpoints that no chain can use."""
        first = '_spec' not in cls.__dict__
        spec = super().spec()
        if first:
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
        """The parameters as their model, with every default."""
        return self.PARAMETERS.model_validate(self.inputs.parameters.get_dict())

    def namespace(self, name: str) -> dict[str, Any]:
        """Return the inputs of a dynamic namespace by label, empty if it was not given."""
        return dict(self.inputs.get(name, {}))

    def make_cells(
        self, wanted: Mapping[str, tuple[orm.StructureData, orm.Dict]], link: str = 'supercell_{}'
    ) -> ExitCode | None:
        """Put supercells into `ctx.cells`, each a structure by a size; one that cannot be made ends the chain.

        :param link: link label of a call, with the key for ``{}``.
        """
        self.ctx.cells = {}
        for key, (structure, size) in wanted.items():
            try:
                cell = make_supercell(structure, size, metadata={'call_link_label': link.format(key)})
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
            self.ctx.cells[key] = cell
        return None

    # -- handing down -----------------------------------------------------------------------------------------------

    def shared(self, child: type[DpasseWorkChain], label: str) -> dict[str, Any]:
        """Return the shared inputs of ``child``, called under the link label ``label``."""
        return {
            'codes': {name: self.inputs.codes[name] for name in child.known_codes(self.inputs.codes)},
            'options': self.inputs.options,
            'max_concurrent': self.inputs.max_concurrent,
            **self.restart(label),
        }

    @classmethod
    def known_codes(cls, codes: Mapping[str, Any]) -> list[str]:
        """Return the names of the codes that the chain takes from ``codes``."""
        return [*cls.CODES, *(name for name in cls.OPTIONAL_CODES if name in codes)]

    def restart(self, label: str) -> dict[str, Any]:
        """Return the shared inputs of one of the base (restarting) chains."""
        return {
            'max_iterations': self.inputs.max_iterations,
            'clean_workdir': self.inputs.clean_workdir,
            'metadata': {'call_link_label': label},
        }

    def options_for(self, program: str) -> dict[str, Any]:
        """Return the scheduler options of ``program``: those of `default` with its own over them."""
        return dict(merge(self.inputs.options.get('default', {}), self.inputs.options.get(program, {})))

    # -- many children, few at once ---------------------------------------------------------------------------------

    def enqueue(self, maker: str, runs: Iterable[Run]) -> None:
        """Queue one child for each run; the method named ``maker`` turns the run into (process class, inputs).

        Records only are kept, since the context must survive a restart of the daemon.
        """
        self.ctx.setdefault('done', AttributeDict())
        self.ctx.setdefault('records', {})
        queued = list(runs)
        self.ctx.records |= {run.id: run.to_dict() for run in queued}
        self.ctx.queue = [*self.ctx.get('queue', []), *([maker, run.id] for run in queued)]

    def queue_left(self) -> bool:
        """Whether children wait to be submitted."""
        return bool(self.ctx.get('queue', []))

    def submit_queue(self) -> None:
        """Submit as many children as may run at once, the next whenever one ends; they come to lie in `ctx.done`."""
        self.ctx.slots = {}
        self.fill()

    def fill(self) -> None:
        """Submit children of the queue as long as the programs that they may run at once stay within the limit.

        A job takes one of `max_concurrent`; a chain is handed its share of them, and takes so many.
        """
        while self.ctx.queue and (free := self.inputs.max_concurrent - sum(self.ctx.slots.values())) > 0:
            (maker, key), *self.ctx.queue = self.ctx.queue
            run = self.record(key)
            process, inputs = getattr(self, maker)(run)
            self.ctx.slots[key] = 1
            if issubclass(process, DpasseWorkChain):
                waiting = 1 + len(self.ctx.queue)
                self.ctx.slots[key] = min(free, max(1, -(-free // waiting)))
                inputs['max_concurrent'] = self.ctx.slots[key]
            inputs.setdefault('metadata', {}).setdefault('call_link_label', run.label)
            self.to_context(**{f'{DONE}{key}': self.submit(process, **inputs)})

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        """Submit the next children in the place of one that ended: AiiDA itself goes on when all have ended only, and
        the slowest of them would hold the others up. One that was submitted before a worker was killed is found
        again."""
        if awaitable.key.startswith(DONE) and self.queue_left():
            known = len(self._awaitables)
            self.ctx.slots.pop(awaitable.key.removeprefix(DONE), None)
            self.fill()
            for new in self._awaitables[known:]:
                follow = functools.partial(self.call_soon, self._on_awaitable_finished, new)
                self.runner.call_on_process_finish(new.pk, follow)
        super()._on_awaitable_finished(awaitable)

    def record(self, key: str) -> Run:
        """Return the run whose id is ``key``."""
        return Run(**self.ctx.records[key])

    def ended(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the children that ended, by run, in the order in which they were queued.

        :param what: kind of the children.
        :param fields: values that the runs have.
        """
        runs = [Run(**record) for record in self.ctx.get('records', {}).values()]
        done = self.ctx.get('done', {})
        return {run: done[run.id] for run in runs if run.id in done and run.matches(what=what, **fields)}

    def succeeded(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the children that ended with exit status 0; parameters as in `ended`."""
        return {run: node for run, node in self.ended(what, **fields).items() if node.is_finished_ok}

    def failed(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Return the children that ended otherwise; parameters as in `ended`."""
        return {run: node for run, node in self.ended(what, **fields).items() if not node.is_finished_ok}

    def report_failures(self, what: str, **fields: Any) -> dict[Run, orm.ProcessNode]:
        """Report each child that failed, with its reason, and return them; parameters as in `ended`."""
        failed = self.failed(what, **fields)
        for run, node in failed.items():
            self.report(f'{run.label}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        return failed

    # -- potentials for LAMMPS --------------------------------------------------------------------------------------

    def freeze_checkpoints(self) -> None:
        """Queue the freezing of every potential of `RUNS_IN_LAMMPS` that is a checkpoint."""
        given: list[DeepPotentialData] = []
        for port in self.RUNS_IN_LAMMPS:
            value = self.inputs.get(port)
            given += [value] if isinstance(value, DeepPotentialData) else list((value or {}).values())
        unique = {node.uuid: node for node in given if node.form == 'checkpoint'}
        self.ctx.to_freeze = list(unique.values())
        self.enqueue('make_freezing', [Run('freeze', number) for number in range(len(unique))])

    def make_freezing(self, run: Run) -> Child:
        """Return the freezing of one checkpoint."""
        potential = self.ctx.to_freeze[run.number]
        return self.job(FreezeBaseWorkChain, 'freeze', run.label, code=self.inputs.codes.dp, potential=potential)

    def check_frozen(self) -> ExitCode | None:
        """Stop if a checkpoint could not be frozen."""
        if failed := self.report_failures('freeze'):
            return self.exit_codes.ERROR_NOT_FROZEN.format(reason=first_reason(failed))
        return None

    def runnable(self, potential: DeepPotentialData) -> DeepPotentialData:
        """Return the form of ``potential`` that LAMMPS runs: itself, or what `freeze_checkpoints` made of it."""
        numbers = [i for i, node in enumerate(self.ctx.get('to_freeze', [])) if node.uuid == potential.uuid]
        return self.ctx.done[Run('freeze', numbers[0]).id].outputs.frozen if numbers else potential

    # -- one child after the other ----------------------------------------------------------------------------------

    def job(self, process: type[JobBaseWorkChain], program: str, label: str, **inputs: Any) -> Child:
        """Return the restarting chain of one of our jobs with its inputs.

        :param process: the restarting chain.
        :param program: whose scheduler options it takes.
        :param label: its link label.
        :param inputs: those of the job, its code among them.
        """
        job = {**inputs, 'metadata': {'options': self.options_for(program)}}
        return process, {process.NAMESPACE: job, **self.restart(label)}

    def run_child(self, key: str, process: type[Process], inputs: dict[str, Any]) -> None:
        """Submit one child under the link label ``key`` and wait for it; it comes to lie in `ctx.<key>`."""
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
        """Return the parameters of protocol ``name``: the children's, this chain's over them, ``overrides`` over all.

        A field that the chain's own protocol sets to null switches that child off.
        """
        given = overrides.get_dict() if isinstance(overrides, orm.Dict) else overrides
        own = merge(protocol(cls.PROTOCOL, name), given or {})
        for field, child in cls.CHILDREN.items():
            if own.get(field, {}) is not None:
                own[field] = child.protocol_parameters(name, own.get(field))
        return dict(expand_presets(own))

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

        :param codes: codes, or their labels, by name: those of ``CODES``, and of ``OPTIONAL_CODES`` those that are
            needed; others are passed over.
        :param protocol: name of the protocol, the physics.
        :param overrides: parameters that differ from the protocol's.
        :param options: name of a machine preset, or scheduler options by program.
        :param inputs: the chain's own inputs.
        :raises ValueError: if a code, protocol or preset is missing.
        """
        missing = [name for name in cls.CODES if name not in codes]
        if missing:
            raise ValueError(f'The code `{missing[0]}` is missing: {CODE_HELP[missing[0]]} Run `aiida-dpasse setup`.')
        builder = cls.get_builder()
        for name in cls.known_codes(codes):
            code = codes[name]
            builder.codes[name] = orm.load_code(code) if isinstance(code, str) else code
        builder.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        builder.options = machine(options)
        for name, value in inputs.items():
            setattr(builder, name, value)
        return builder
