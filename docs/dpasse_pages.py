"""Write one page per work chain, program and node from what the code itself declares: a Sphinx extension.

A page shows what the class says of itself: its docstring, outline, inputs, outputs, exit codes, and the tables of its
parameters, which come from the pydantic models. Nothing is written twice, so nothing can go out of date.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import click
from aiida.engine import Process
from aiida.engine.processes.ports import PortNamespace
from aiida.plugins import CalculationFactory, WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

from aiida_dpasse.base.protocols import PROTOCOLS, protocol_file
from aiida_dpasse.cli.main import cli
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.renamed import ENTRY_POINTS

PREFIX = 'dpasse.'
#: Ports that every AiiDA process has; AiiDA's documentation describes them.
COMMON = ('metadata', 'code', 'handler_overrides', 'on_unhandled_failure', 'pause_on_max_iterations', 'monitors')
#: Exit statuses below this are AiiDA's own, up to 99 for any process and 1xx for those of schedulers.
OWN_STATUS = 200


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect('builder-inited', lambda app: write_pages(Path(app.srcdir) / 'reference'))
    return {'parallel_read_safe': True, 'version': '1'}


def write_pages(directory: Path) -> None:
    """Write the pages and one index for each kind; a page that has not changed is left alone.

    A page of a process that was renamed or removed is deleted: Sphinx would report it as in no table of contents.
    """
    groups = {
        'workchains': ('Work chains', 'aiida.workflows', WorkflowFactory),
        'programs': ('Programs', 'aiida.calculations', CalculationFactory),
    }
    for folder, (title, group, factory) in groups.items():
        names = _names(group)
        pages = {directory / folder / f'{_file(name)}.md' for name in names}
        for old in set((directory / folder).glob('dpasse_*.md')) - pages:
            old.unlink()
        rows = []
        for name in names:
            process = factory(name)
            _write(directory / folder / f'{_file(name)}.md', page(name, process))
            rows.append([f'[`{name}`]({_file(name)}.md)', _summary(process)])
        toctree = '\n'.join(['```{toctree}', ':hidden:', '', *map(_file, names), '```'])
        index = [f'# {title}', _table(['entry point', 'what it does'], rows), toctree]
        _write(directory / folder / 'index.md', '\n\n'.join(index) + '\n')
    _write(directory / 'commands.md', commands())


def commands() -> str:
    """Return the page of the command and its subcommands at any depth: their own help."""
    return '\n'.join(['# The command', *_help(cli, click.Context(cli, info_name='aiida-dpasse'))]) + '\n'


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    if context.parent is not None:
        yield f'{"#" * (1 + context.command_path.count(" "))} `{context.command_path}`'
    yield from ('```text', command.get_help(context), '```')
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _help(child, click.Context(child, parent=context, info_name=name))


def page(name: str, process: type[Process]) -> str:
    """Return the page of one process as Markdown."""
    spec = process.spec()
    parts = [f'# `{name}`', _docstring(process), f'Class: `{process.__module__}.{process.__name__}`']
    if hasattr(process, 'PROTOCOL'):
        protocols = ', '.join(f'`{protocol}`' for protocol in PROTOCOLS)
        parts.append(f'[Protocols](#protocols) for `get_builder_from_protocol`: {protocols}.')
    if hasattr(spec, 'get_outline'):
        parts += ['## Outline', '\n'.join(_outline(process, spec.get_outline().get_description(), 0))]
    parts += ['## Inputs', _table(['input', 'type', 'required', 'meaning'], list(_ports(spec.inputs)))]
    models = dict(_models(spec.inputs))
    if getattr(process, 'PARAMETERS', None) is not None:
        models['parameters'] = process.PARAMETERS
    for port, model in models.items():
        header = ['parameter', 'type', 'default', 'meaning']
        parts += [f'## Content of `{port}`', _docstring(model), _table(header, list(_fields(model)))]
    parts += ['## Outputs', _table(['output', 'type', 'always', 'meaning'], list(_ports(spec.outputs)))]
    codes = sorted((code.status, label, code.message) for label, code in spec.exit_codes.items())
    rows = [[str(status), f'`{label}`', message] for status, label, message in codes if status >= OWN_STATUS]
    parts += ['## Exit codes', _table(['status', 'name', 'message'], rows)]
    if hasattr(process, 'PROTOCOL'):
        own = process.program_file() if hasattr(process, 'program_file') else None
        contents = [path.read_text().strip() for path in (protocol_file(process.PROTOCOL), own) if path is not None]
        parts += ['## Protocols', *(f'```yaml\n{content}\n```' for content in contents)]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _ports(namespace: PortNamespace, prefix: str = '') -> Iterator[list[str]]:
    for name, port in sorted(namespace.items()):
        label = f'{prefix}{name}'
        if name in COMMON and not (name == 'code' and not prefix):
            continue
        required = 'yes' if port.required else 'no'
        if isinstance(port, PortNamespace):
            if port.dynamic and not len(port):
                yield [f'`{label}`', f'any number of {_types(port.valid_type)}', required, port.help or '']
            yield from _ports(port, f'{label}.')
        else:
            yield [f'`{label}`', _types(port.valid_type), required, port.help or '']


def _models(namespace: PortNamespace, prefix: str = '') -> Iterator[tuple[str, type[Parameters]]]:
    """Yield the ports whose validator checks a model of parameters, which it holds in its closure."""
    for name, port in sorted(namespace.items()):
        if isinstance(port, PortNamespace):
            yield from _models(port, f'{prefix}{name}.')
        for cell in getattr(port.validator, '__closure__', None) or ():
            if inspect.isclass(cell.cell_contents) and issubclass(cell.cell_contents, Parameters):
                yield f'{prefix}{name}', cell.cell_contents


def _names(group: str) -> list[str]:
    names = get_entry_point_names(group)
    return sorted(name for name in names if name.startswith(PREFIX) and name not in ENTRY_POINTS)


@cache
def _chains() -> dict[type[Parameters], str]:
    chains = {name: WorkflowFactory(name) for name in _names('aiida.workflows')}
    return {chain.PARAMETERS: name for name, chain in chains.items() if getattr(chain, 'PARAMETERS', None)}


def _fields(model: type[Parameters], prefix: str = '') -> Iterator[list[str]]:
    """Yield the rows of a model and of those it holds; those of another chain are on that chain's page."""
    for name, field in model.model_fields.items():
        label = f'{prefix}{name}'
        nested = [item for item in _members(field.annotation) if inspect.isclass(item) and issubclass(item, Parameters)]
        if field.is_required():
            default = 'required'
        elif field.default is PydanticUndefined or isinstance(field.default, Parameters):
            default = 'see below'
        else:
            default = f'`{json.dumps(field.default, default=str)}`'
        others = {item: _chains()[item] for item in nested if item in _chains() and item is not model}
        links = ', '.join(f'parameters of [`{name}`](../workchains/{_file(name)}.md)' for name in others.values())
        kind = links if nested else _annotation(field.annotation)
        yield [f'`{label}`', kind, default, field.description or '']
        for item in nested:
            if item not in others:
                yield from _fields(item, f'{label}.')


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or what a container or alias holds."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(item for member in get_args(annotation) for item in _members(member))
    return (annotation,)


def _annotation(annotation: Any) -> str:
    if inspect.isclass(annotation) and not get_args(annotation):
        return annotation.__name__
    text = str(annotation).replace('typing.', '').replace('NoneType', 'None')
    return f'`{text}`'


def _types(valid_type: Any) -> str:
    if valid_type is None:
        return 'anything'
    members = valid_type if isinstance(valid_type, tuple) else (valid_type,)
    return ' or '.join(f'`{item.__name__}`' for item in members if item is not type(None))


def _outline(process: type[Process], step: Any, depth: int) -> Iterator[str]:
    """Yield the outline as a nested list, each step with the first sentence of its docstring."""
    if isinstance(step, str):
        name = step.partition('(')[0]
        yield f'{"  " * depth}- `{name}`: {_summary(getattr(process, name))}'
    elif isinstance(step, Mapping):
        for condition, block in step.items():
            yield f'{"  " * depth}- `{condition}`'
            yield from _outline(process, block, depth + 1)
    else:
        for item in step:
            yield from _outline(process, item, depth)


def _docstring(thing: Any) -> str:
    return inspect.getdoc(thing) or ''


def _summary(thing: Any) -> str:
    return ' '.join(_docstring(thing).split('\n\n')[0].split())


def _table(header: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return 'None of its own.'
    lines = [header, ['---'] * len(header), *rows]
    cells = [[' '.join(cell.split()).replace('|', '\\|') for cell in row] for row in lines]
    return '\n'.join(f'| {" | ".join(row)} |' for row in cells)


def _file(name: str) -> str:
    """Return a page's file name: to Sphinx, `dpasse.md` would be the page `dpasse`."""
    return name.replace('.', '_')


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
