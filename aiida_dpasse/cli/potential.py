"""`aiida-dpasse potential`: inspect, import, migrate and freeze model files."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import EXISTING, OUTPUT, Refusal, write_json


@click.group()
def potential() -> None:
    """Describe a model file, import it, migrate an old checkpoint, freeze a checkpoint."""


@potential.command()
@click.argument('what', metavar='FILE_OR_PK')
@click.option('--json', 'json_path', type=OUTPUT, help='Write all properties and the training input to this file.')
def show(what: str, json_path: Path | None) -> None:
    """Describe a model: its kind, descriptor, elements, size, and whether the installed DeePMD-kit can read it.

    FILE_OR_PK is a model file, or the PK of a potential of the profile. Code in the file is never executed. No AiiDA
    profile is needed for a file.
    """
    if what.isdigit() and not Path(what).exists():
        answer = describe_node(what)
    else:
        EXISTING.convert(what, None, None)
        answer = describe_file(Path(what))
    write_json(json_path, answer)
    click.echo(table(answer))


@potential.command('import')
@click.argument('path', metavar='FILE', type=EXISTING)
@click.option('--label', help='Label of the node.  [default: the name of the file]')
@click.option('--written-by', metavar='VERSION', help='Release of DeePMD-kit that wrote it; not stored in the file.')
@with_profile
def import_(path: Path, label: str | None, written_by: str | None) -> None:
    """Store a model file as a potential.

    FILE is a .pt, .pth or .pb of DeePMD-kit.
    """
    from aiida_dpasse.data.engine import Potential

    try:
        node = Potential.from_file(path, written_by)
    except ValueError as error:
        raise Refusal(str(error)) from error
    node.label = label or path.name
    node.store()
    click.echo(f'{table(describe_node(str(node.pk)))}\n\nstored as {node.pk}')
    if node.needs_migration:
        click.echo(f'next: aiida-dpasse potential migrate {node.pk}', err=True)
    elif node.form == 'checkpoint':
        click.echo(f'next: {freezing(node.pk, node.heads)}', err=True)


@potential.command()
@click.argument('pk', type=int)
@click.option('--code', default='python@localhost', show_default=True, help='Python with DeePMD-kit 3.1 or later.')
@with_profile
def migrate(pk: int, code: str) -> None:
    """Migrate an old checkpoint.

    PK is that of a DPA-2 checkpoint of DeePMD-kit 3.0, which later versions can neither freeze nor fine-tune. Empty
    tensors are added and nothing else is changed: the energies are identical.
    """
    from aiida_dpasse.base.jobs import MigrateBaseWorkChain

    results = run_job(MigrateBaseWorkChain, pk, code)
    migrated = results['potential']
    click.echo(f'added {len(results["results"]["added"])} empty tensors\nstored as {migrated.pk}')
    click.echo(f'next: {freezing(migrated.pk, migrated.heads)}', err=True)


@potential.command()
@click.argument('pk', type=int)
@click.option('--head', help='Head to freeze, for a checkpoint with several heads.')
@click.option('--compress', is_flag=True, help='Compress the potential as well, which makes it faster.')
@click.option('--code', default='dp@localhost', show_default=True, help="DeePMD-kit's dp.")
@with_profile
def freeze(pk: int, head: str | None, compress: bool, code: str) -> None:
    """Freeze a checkpoint, so that LAMMPS can run it.

    PK is that of a checkpoint. The frozen potential, and the compressed one, are linked to it through the calculation.
    """
    from aiida import orm

    from aiida_dpasse.base.jobs import FreezeBaseWorkChain

    parameters = orm.Dict({'head': head, 'compress': compress})
    results = run_job(FreezeBaseWorkChain, pk, code, parameters=parameters)
    for name in ('frozen', 'compressed'):
        if name in results:
            click.echo(f'{name}, stored as {results[name].pk}')


def freezing(pk: int, heads: list[str]) -> str:
    """Return the command that freezes the checkpoint ``pk``.

    :param pk: pk of the checkpoint.
    :param heads: its heads, empty for a single one.
    """
    choice = f' --head {"|".join(heads)}' if heads else ''
    return f'aiida-dpasse potential freeze {pk}{choice}'


def run_job(chain: Any, pk: int, code: str, **inputs: Any) -> dict[str, Any]:
    """Run a restart work chain on a stored potential and return its outputs.

    :param chain: class of the restart work chain.
    :param pk: pk of the potential.
    :param code: label of the code.
    :param inputs: further inputs of the job.
    :raises Refusal: if potential or code does not exist, or they are not compatible.
    :raises ClickException: if the chain failed.
    """
    from aiida import orm
    from aiida.common import NotExistent
    from aiida.engine import run_get_node

    try:
        job = {'code': orm.load_code(code), 'potential': orm.load_node(pk), **inputs}
        results, node = run_get_node(chain, **{chain.NAMESPACE: job})
    except (NotExistent, ValueError) as error:
        raise Refusal(str(error)) from error
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'The process {node.pk} did not end.')
    return dict(results)


def describe_file(path: Path) -> dict[str, Any]:
    """Return the properties of a model file, by the names of the attributes of `Potential`.

    :param path: path of the file.
    :raises Refusal: if it is not a model, or not safe to load.
    """
    from aiida_dpasse.deepmd.checkpoint import read_model_file
    from aiida_dpasse.deepmd.compatibility import objection_to_version

    try:
        content = read_model_file(path)
    except ValueError as error:
        raise Refusal(str(error)) from error
    here = installed()
    return {
        'name': path.name,
        **vars(content),
        'deepmd_version': None,
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'deepmd_version_here': here,
        'objection': objection_to_version(here, content.descriptor, content.needs_migration),
    }


@with_profile
def describe_node(pk: str) -> dict[str, Any]:
    """Return the same properties for a potential stored in the profile.

    :param pk: pk of the potential.
    :raises Refusal: if there is no potential with this pk.
    """
    from aiida_dpasse.data.engine import Potential

    node = find_node(int(pk), f'There is neither a file nor a node {pk}.')
    if not isinstance(node, Potential):
        raise Refusal(f'The node {pk} is a {type(node).__name__}, not a potential.')
    names = ('form', 'descriptor', 'type_map', 'cutoff', 'parameters', 'heads', 'training_input', 'step')
    here = installed()
    return {
        'name': node.label or f'{type(node).__name__}<{pk}>',
        'backend': node.framework,
        **{name: getattr(node, name) for name in (*names, 'needs_migration', 'deepmd_version', 'sha256')},
        'deepmd_version_here': here,
        'objection': node.check_usable_with(here),
    }


def installed() -> str | None:
    """Return the version of DeePMD-kit in this environment, or None."""
    try:
        return version('deepmd-kit')
    except PackageNotFoundError:
        return None


def table(answer: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param answer: properties of the potential.
    """
    backend = {'pytorch': 'PyTorch', 'tensorflow': 'TensorFlow'}[answer['backend']]
    step = '' if answer['step'] is None else f', {answer["step"]:,} steps'
    parameters = 'unknown' if answer['parameters'] is None else f'{answer["parameters"]:,}'
    rows = [
        ('kind', f'{answer["form"]} of {backend}{step}'),
        ('descriptor', f'{answer["descriptor"]}, cutoff {answer["cutoff"]:g} Å'),
        ('elements', ' '.join(answer['type_map'])),
        ('parameters', parameters),
        *([('heads', ', '.join(answer['heads']))] if answer['heads'] else []),
        *numbers(answer['training_input']),
        ('written by', f'DeePMD-kit {answer["deepmd_version"]}' if answer['deepmd_version'] else 'unknown'),
        ('SHA-256', answer['sha256']),
    ]
    lines = [answer['name'], *(f'  {name:16s} {value}' for name, value in rows), '']
    here = answer['deepmd_version_here']
    if here is None:
        lines.append('DeePMD-kit is not installed here.')
    else:
        lines.append(answer['objection'] or f'DeePMD-kit {here}, installed here, can read it.')
    return '\n'.join(lines)


def numbers(training_input: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main hyperparameters of a potential, as far as the file contains them.

    :param training_input: training input of the potential.
    :return: pairs of name and text.
    """
    model = training_input.get('model', {})
    rows = []
    if neurons := model.get('fitting_net', {}).get('neuron'):
        rows.append(('fitting net', ' x '.join(map(str, neurons))))
    rate, training = training_input.get('learning_rate', {}), training_input.get('training', {})
    if 'start_lr' in rate and 'numb_steps' in training:
        stop = f' to {rate["stop_lr"]:g}' if 'stop_lr' in rate else ''
        rows.append(('learning rate', f'{rate["start_lr"]:g}{stop} in {training["numb_steps"]:,} steps'))
    return rows
