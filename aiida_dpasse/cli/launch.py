"""`aiida-dpasse launch`: a work chain from a protocol and stored nodes; its plan is shown before it is submitted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click
import yaml

from aiida_dpasse import quoting
from aiida_dpasse.cli.importing import add_to_group
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal, pairs

#: Ports to which the options for nodes belong; the first that a chain has is taken.
PORTS = {
    'structure': ('structures', 'structure'),
    'potential': ('potential', 'potentials', 'pretrained', 'teacher'),
    'frames': ('frames', 'training_data'),
}
PREFIX = 'dpasse.'


@click.command()
@click.argument('chain')
@click.option('--protocol', metavar='NAME', help='dpa-sse, balanced, fast or demo.  [default: balanced]')
@click.option('--structure', 'structures', multiple=True, metavar='[LABEL=]NODE', help='Structure; repeat for several.')
@click.option('--potential', 'potentials', multiple=True, metavar='[LABEL=]NODE', help='Potential.')
@click.option('--frames', 'frames', multiple=True, metavar='NODE', help='Labelled frames.')
@click.option('--calculator', metavar='NAME', help='ASE calculator that labels, for example sevennet-l3i5.')
@click.option('--input', 'others', multiple=True, metavar='PORT=NODE', help='Node of any other port, with its dots.')
@click.option('--set', 'settings', multiple=True, metavar='KEY=VALUE', help='Parameter, for example md.steps=50000.')
@click.option('--computer', default='localhost', show_default=True, help='Computer whose codes are used.')
@click.option(
    '--code', 'codes', multiple=True, metavar='NAME=CODE', help='Another code, for example cp2k=cp2k@cluster.'
)
@click.option('--options', metavar='PRESET', help='Machine preset with scheduler options, for example slurm-gpu.')
@click.option('--max-concurrent', type=click.IntRange(min=1), help='Programs that run at once.  [default: 2]')
@click.option('--label', help='Label of the process.')
@click.option('--group', metavar='NAME', help='Group to which the process is added; made if it does not exist.')
@click.option('-n', '--dry-run', is_flag=True, help='Show the plan only.')
@click.option('-y', '--yes', is_flag=True, help='Submit without asking.')
@with_profile
def launch(
    chain: str,
    protocol: str | None,
    structures: tuple[str, ...],
    potentials: tuple[str, ...],
    frames: tuple[str, ...],
    calculator: str | None,
    others: tuple[str, ...],
    settings: tuple[str, ...],
    computer: str,
    codes: tuple[str, ...],
    options: str | None,
    max_concurrent: int | None,
    label: str | None,
    group: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show the plan of a work chain, and submit it after confirmation.

    CHAIN is the name of a work chain without `dpasse.`, for example conductivity. NODE is a PK, a UUID or a label of a
    stored node. The parameters are those of the protocol, updated with each KEY, whose VALUE is YAML.
    """
    process = find_chain(chain)
    known = codes_for(process, computer, pairs(codes, '--code'))
    inputs = nodes_for(process, {'structure': structures, 'potential': potentials, 'frames': frames}, others)
    if calculator is not None:
        require_port(process, 'calculator')
        inputs['calculator'] = {'name': calculator}
    if max_concurrent is not None:
        inputs['max_concurrent'] = max_concurrent
    try:
        builder = process.get_builder_from_protocol(
            known, protocol=protocol, overrides=nested(pairs(settings, '--set')), options=options, **inputs
        )
        given = given_inputs(builder)
        ports = process.spec().inputs
        error = ports.validate(ports.pre_process(dict(given)))
    except ValueError as exception:
        raise Refusal(str(exception).removeprefix('invalid attribute value ')) from exception
    if error:
        raise Refusal(error.message)
    say(plan_text(process, given, known, computer))
    if dry_run:
        return
    if not yes and not click.confirm('\nSubmit?'):
        raise click.Abort
    submit(builder, label, group)


def find_chain(name: str) -> Any:
    """Return the work chain with the entry point ``dpasse.<name>``.

    :param name: name of the chain, with or without the prefix.
    :raises Refusal: if the name is not that of a work chain with protocols.
    """
    from aiida.common import EntryPointError
    from aiida.plugins import WorkflowFactory
    from aiida.plugins.entry_point import get_entry_point_names

    from aiida_dpasse.base.chain import DpasseWorkChain

    entry = PREFIX + name.removeprefix(PREFIX)
    try:
        process = WorkflowFactory(entry)
    except EntryPointError:
        process = None
    if process is None or not issubclass(process, DpasseWorkChain):
        names = [item for item in get_entry_point_names('aiida.workflows') if item.startswith(PREFIX)]
        chains = [item.removeprefix(PREFIX) for item in names if issubclass(WorkflowFactory(item), DpasseWorkChain)]
        raise Refusal(f'There is no chain `{name}`: choose one of {", ".join(sorted(chains))}.')
    return process


def nested(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return settings with dotted keys as nested mappings, with the values read as YAML.

    :param settings: values by key.
    :raises Refusal: for a value that is not YAML, or a key at or below another one.

    >>> nested({'md.steps': '50000', 'temperatures': '[500, 600]', 'precision': 'null'})
    {'md': {'steps': 50000}, 'temperatures': [500, 600], 'precision': None}
    """
    tree: dict[str, Any] = {}
    for key, text in settings.items():
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise Refusal(f'`--set {key}`: {text[:60]!r} is not YAML: quote it, for example "[500, 600]".') from error
        put(tree, key, value, '--set')
    return tree


def put(tree: dict[str, Any], key: str, value: Any, option: str) -> None:
    """Set a value in nested mappings.

    :param tree: the mappings, which are changed.
    :param key: path of the value, with dots.
    :param value: the value.
    :param option: option that gives it, for messages.
    :raises Refusal: if the path, or a part of it, has a value already.
    """
    *path, last = key.split('.')
    branch = tree
    for name in path:
        branch = branch.setdefault(name, {})
        if not isinstance(branch, dict):
            raise Refusal(f'`{option} {key}`: `{name}` is set to a value as well: give one of them.')
    if last in branch:
        raise Refusal(f'`{option} {key}`: `{key}`, or something below it, is given as well: give one of them.')
    branch[last] = value


def codes_for(process: Any, computer: str, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return the codes of a chain by name: those chosen, and otherwise those of a computer.

    A program that labels is used only if it is chosen, since a chain labels with one source.

    :param process: the work chain.
    :param computer: label of the computer.
    :param chosen: labels of codes, by name.
    :raises Refusal: if a code does not exist, or several have its label.
    """
    from aiida import orm
    from aiida.common import MultipleObjectsError, NotExistent

    from aiida_dpasse.label_sources import source_names

    names = (*process.CODES, *process.OPTIONAL_CODES)
    if unknown := sorted(set(chosen) - set(names)):
        raise Refusal(f'`--code {unknown[0]}`: the chain has the codes {", ".join(names)}.')
    found = {}
    for name in names:
        optional = name not in process.CODES
        if name not in chosen and optional and name in source_names():
            continue
        identifier = chosen.get(name, f'{name}@{computer}')
        try:
            found[name] = orm.load_code(identifier)
        except MultipleObjectsError as error:
            raise Refusal(
                f'Several codes are called `{identifier}`: give the PK of one, `--code {name}=PK`.'
            ) from error
        except (NotExistent, ValueError) as error:
            if name in chosen or not optional:
                raise Refusal(
                    f'There is no code `{identifier}`: run `aiida-dpasse setup`, or give `--code {name}=...`.'
                ) from error
    return found


def nodes_for(process: Any, options: Mapping[str, tuple[str, ...]], others: tuple[str, ...]) -> dict[str, Any]:
    """Return the nodes of the inputs of a chain, with namespaces as mappings.

    :param process: the work chain.
    :param options: identifiers of nodes by option, each with a label before ``=`` if its port is a namespace.
    :param others: further inputs, ``PORT=NODE`` with dots for namespaces.
    :raises Refusal: if a node does not exist, or the chain has no such port.
    """
    from aiida.engine import PortNamespace

    ports = process.spec().inputs
    inputs: dict[str, Any] = {}
    for option, texts in options.items():
        if not texts:
            continue
        port = next((name for name in PORTS[option] if name in ports), None)
        if port is None:
            raise Refusal(f'The chain has no input for `--{option}`: {inputs_of(process)}')
        for text in texts:
            label, equals, identifier = text.rpartition('=')
            node = node_of(identifier, ports[port].valid_type)
            if isinstance(ports[port], PortNamespace) and ports[port].dynamic:
                key = label if equals else label_of(node)
                if key in inputs.setdefault(port, {}):
                    raise Refusal(f'`--{option}`: the label `{key}` is given twice: put another one before the node.')
                inputs[port][key] = node
            elif port in inputs:
                raise Refusal(f'`--{option}`: the chain takes one.')
            else:
                inputs[port] = node
    for name, identifier in pairs(others, '--input').items():
        path = name.split('.')
        require_port(process, path[0])
        put(inputs, name, node_of(identifier, valid_types(ports, path)), '--input')
    return inputs


def node_of(identifier: str, valid: Any = None) -> Any:
    """Return the node with a PK, UUID or label.

    :param identifier: the identifier.
    :param valid: type or types of the nodes that are searched by label, None for all.
    :raises Refusal: if there is no such node, or several.
    """
    from aiida import orm

    # A CIF and the cell made from it have the same label, and only one of them fits the port.
    given = valid if isinstance(valid, tuple) else (valid,)
    types = tuple(kind for kind in given if isinstance(kind, type) and issubclass(kind, orm.Data)) or (orm.Data,)
    query = orm.QueryBuilder().append(types, filters={'label': identifier}, project='id')
    found = [] if identifier.isdecimal() else query.all(flat=True)
    if len(found) > 1:
        listed = ', '.join(map(str, found[:5]))
        raise Refusal(f'{len(found)} nodes have the label `{identifier}`: give one of their PKs, for example {listed}.')
    if found:
        return orm.load_node(found[0])
    return find_node(
        int(identifier) if identifier.isdecimal() else identifier,
        f'There is no node `{identifier}`: give a PK, UUID or label, or import the file with `aiida-dpasse import`.',
    )


def valid_types(ports: Any, path: list[str]) -> Any:
    """Return the type or types of the nodes of a port, None if it has none.

    :param ports: a namespace of ports.
    :param path: names of the port, from the outermost namespace.
    """
    from aiida.engine import PortNamespace

    port = ports
    for name in path:
        if not isinstance(port, PortNamespace) or name not in port:
            break  # a label in a dynamic namespace, whose nodes have the type of the namespace
        port = port[name]
    return getattr(port, 'valid_type', None)


def label_of(node: Any) -> str:
    """Return a link label for a node: its label or formula, with other characters replaced.

    :param node: the node.
    """
    text = node.label or (node.get_formula() if hasattr(node, 'get_formula') else '') or f'node_{node.pk}'
    return re.sub(r'\W', '_', text.rsplit('.', 1)[0] if '.' in text else text, flags=re.ASCII).strip('_')


def require_port(process: Any, name: str) -> None:
    """Refuse an input that a chain does not have.

    :param process: the work chain.
    :param name: name of the port.
    :raises Refusal: if there is no such port.
    """
    if name not in process.spec().inputs:
        raise Refusal(f'The chain has no input `{name}`: {inputs_of(process)}')


def inputs_of(process: Any) -> str:
    """Return one sentence that lists the inputs of a chain for nodes."""
    others = ('metadata', 'parameters', 'codes', 'options', 'max_concurrent', 'max_iterations', 'clean_workdir')
    return f'its inputs are {", ".join(name for name in process.spec().inputs if name not in others)}.'


def given_inputs(builder: Any) -> dict[str, Any]:
    """Return the inputs that are set in a builder, with namespaces as mappings and without empty ones.

    :param builder: the process builder.
    """
    given = {}
    for name, value in builder.items():
        content = given_inputs(value) if isinstance(value, Mapping) and name != 'options' else value
        if content is not None and content != {}:
            given[name] = content
    return given


def plan_text(process: Any, inputs: Mapping[str, Any], codes: Mapping[str, Any], computer: str) -> str:
    """Return the plan of a chain: its programs, and for each phase its jobs, work and core-hours.

    :param process: the work chain.
    :param inputs: inputs by port.
    :param codes: codes by name.
    :param computer: label of the computer whose finished jobs give the core-hours.
    """
    from aiida import orm
    from tabulate import tabulate

    from aiida_dpasse.study.expected_work import work_of
    from aiida_dpasse.study.rates import core_hours, measured_rates

    parameters = process.PARAMETERS.model_validate(inputs['parameters'].get_dict())
    lines = [f'{process.__name__}']
    lines += [
        quoting.line(f'  {name:10s} {code.full_label}  {getattr(code, "filepath_executable", "")}')
        for name, code in codes.items()
    ]
    plain = {name: value.get_dict() if isinstance(value, orm.Dict) else value for name, value in inputs.items()}
    try:
        works = work_of(parameters, {**plain, 'parameters': inputs['parameters']})
    except NotImplementedError:
        return '\n'.join([*lines, '', 'The jobs of this chain depend on its results: they are not listed in advance.'])
    rates = measured_rates(computer)
    hours = [core_hours(work, rates) for work in works]
    rows = [
        (
            quoting.line(work.phase.replace('_', ' ')),
            work.program,
            f'{"≤ " if work.bound else ""}{work.jobs}',
            f'{amount(work.amount)} {work.unit}' if work.unit else '',
            '?' if spent is None else f'{spent:.2g}' if work.unit else '',
        )
        for work, spent in zip(works, hours, strict=True)
    ]
    headers = ('phase', 'code', 'jobs', 'work', 'core-hours')
    known = sum(spent for spent in hours if spent is not None)
    total = f'{sum(work.jobs for work in works)} jobs; '
    total += f'{"at least " if None in hours else ""}{known:.2g} core-hours; ' if known else ''
    total += f'{sum(work.trajectory for work in works) / 1e6:.0f} MB of trajectories on the computer of `lmp`'
    lines += [
        '',
        tabulate(rows, headers, tablefmt='simple', colalign=('left', 'left', 'right', 'right', 'right')),
        '',
        total,
    ]
    if None in hours:
        lines.append(f'?: no job of this kind has finished on `{computer}` yet.')
    return '\n'.join(lines)


def amount(number: float) -> str:
    """Return a number with a metric prefix.

    >>> amount(2_340_000), amount(870)
    ('2.3 M', '870')
    """
    for size, prefix in ((1e9, ' G'), (1e6, ' M'), (1e3, ' k')):
        if number >= size:
            return f'{number / size:.3g}{prefix}'
    return f'{number:.3g}'


def submit(builder: Any, label: str | None, group: str | None) -> None:
    """Submit a chain, and print the commands that follow.

    :param builder: the process builder.
    :param label: label of the process, or None.
    :param group: name of a group for the process, or None.
    :raises Refusal: if the profile has no broker.
    """
    from aiida.engine import submit as submit_process
    from aiida.manage import get_manager

    from aiida_dpasse.cli.daemon import start_daemon

    if get_manager().get_broker() is None:
        raise Refusal('The profile has no broker, which a submission needs: make one with `verdi presto --use-zeromq`.')
    # Nothing can be submitted to a ZeroMQ broker before: it is part of the daemon.
    if start_daemon():
        say('The daemon was not running and has been started.')
    if label is not None:
        builder.metadata.label = label
    node = submit_process(builder)
    add_to_group(node, group)
    say(f'submitted as {node.pk}')
    say(f'next: aiida-dpasse status {node.pk}', err=True)
