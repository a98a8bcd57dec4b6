"""What all our work chains share: codes, machine options, a limit of programs at once, protocols."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, Process, ProcessBuilder, WorkChain
from aiida.engine.processes.workchains.awaitable import Awaitable
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.parameters import Parameters, parameters_validator
from aiida_dpasse.merging import merge
from aiida_dpasse.workflows.protocols.loader import expand_presets, machine, protocol
from aiida_dpasse.workflows.submit_once import SubmitOnce

CODE_HELP = {
    'dp': "DeePMD-kit's `dp`.",
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


def validate_code(code: orm.AbstractCode | None, _: Any) -> str | None:
    """Return one sentence if the executable of ``code`` is not there."""
    if not isinstance(code, orm.InstalledCode):
        return None
    try:
        code.validate_filepath_executable()
    except Exception as exception:  # transports raise whatever they like; every one of them means it cannot be used
        return f'The code `{code.full_label}` cannot be used ({exception}): correct it, or run `aiida-dpasse setup`.'
    return None


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

    def enqueue(self, maker: str, keys: Iterable[str]) -> None:
        """Queue one child per key; the method named ``maker`` turns the key into (process class, inputs).

        Keys only are kept, since the context must survive a restart of the daemon. A key is the call's link label.
        """
        self.ctx.setdefault('done', AttributeDict())
        self.ctx.queue = [*self.ctx.get('queue', []), *([maker, key] for key in keys)]

    def queue_left(self) -> bool:
        """Whether children wait to be submitted."""
        return bool(self.ctx.get('queue', []))

    def submit_queue(self) -> None:
        """Submit as many children as may run at once, the next whenever one ends; they come to lie in `ctx.done`."""
        self.fill(self.inputs.max_concurrent)

    def fill(self, count: int) -> None:
        """Submit the next ``count`` children of the queue and wait for them, and for those that follow them."""
        for _ in range(min(count, len(self.ctx.queue))):
            (maker, key), *self.ctx.queue = self.ctx.queue
            process, inputs = getattr(self, maker)(key)
            inputs.setdefault('metadata', {}).setdefault('call_link_label', key)
            self.to_context(**{f'{DONE}{key}': self.submit(process, **inputs)})

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        """Submit the next child in the place of one that ended: AiiDA itself goes on when all have ended only, and the
        slowest of them would hold the others up. One that was submitted before a worker was killed is found again."""
        if awaitable.key.startswith(DONE) and self.queue_left():
            known = len(self._awaitables)
            self.fill(1)
            for new in self._awaitables[known:]:
                follow = functools.partial(self.call_soon, self._on_awaitable_finished, new)
                self.runner.call_on_process_finish(new.pk, follow)
        super()._on_awaitable_finished(awaitable)

    def finished(self, prefix: str = '') -> dict[str, orm.ProcessNode]:
        """Return the children that ended well, by key, those whose key starts with ``prefix``."""
        children = self.ctx.get('done', {})
        return {key: node for key, node in children.items() if key.startswith(prefix) and node.is_finished_ok}

    def unfinished(self, prefix: str = '') -> dict[str, orm.ProcessNode]:
        """Return the children that did not end well, by key."""
        children = self.ctx.get('done', {})
        return {key: node for key, node in children.items() if key.startswith(prefix) and not node.is_finished_ok}

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
    def protocol_parameters(cls, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters of protocol ``name``: the children's, this chain's over them, ``overrides`` over all.

        A field that the chain's own protocol sets to null switches that child off.
        """
        own = merge(protocol(cls.PROTOCOL, name), overrides or {})
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
