"""`aiida-dpasse potential`: inspect, import, migrate and freeze model files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.describe_potential import MODEL, describe_file, describe_node, freezing, table
from aiida_dpasse.cli.import_potential import potential as import_potential
from aiida_dpasse.cli.output import check_output, say, write_json
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import PK, Refusal

#: Value of `--json` without a file: standard output.
STDOUT = '-'


@click.group()
def potential() -> None:
    """Describe a model file, import it, migrate an old checkpoint, freeze a checkpoint."""


# `potential import` is the earlier name of `import potential`.
potential.add_command(import_potential, 'import')


@potential.command()
@click.argument('what', metavar='FILE_OR_PK', required=False)
@click.option(
    '--json',
    'json_path',
    metavar='[FILE]',
    is_flag=False,
    flag_value=STDOUT,
    help='Print all properties and the training input as JSON instead of the table, or write them to a file.',
)
@click.option('--force', is_flag=True, help='Overwrite the file if it exists.')
@click.pass_context
def show(ctx: click.Context, what: str | None, json_path: str | None, force: bool) -> None:
    """Describe a model: its kind, descriptor, elements, size, and whether the installed DeePMD-kit can read it.

    FILE_OR_PK is a model file, or the PK of a potential of the profile. Code in the file is never executed. No AiiDA
    profile is needed for a file.
    """
    if what is None and json_path not in (None, STDOUT):
        # `show --json model.pt`: the file is that of the model.
        what, json_path = json_path, STDOUT
    if what is None:
        raise click.MissingParameter(param=ctx.command.params[0], ctx=ctx)
    if json_path not in (None, STDOUT):
        check_output(Path(json_path), [Path(what)], force)
    if what.isdecimal() and not Path(what).exists():
        answer = describe_node(what)
    else:
        answer = describe_file(Path(str(MODEL.convert(what, None, ctx))))
    if json_path == STDOUT:
        say(json.dumps(answer, indent=2, allow_nan=False))
        return
    write_json(None if json_path is None else Path(json_path), answer)
    say(table(answer))


@potential.command()
@click.argument('pk', type=PK)
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
    say(f'added {len(results["results"]["added"])} empty tensors\nstored as {migrated.pk}')
    say(f'next: {freezing(migrated.pk, migrated.heads)}', err=True)


@potential.command()
@click.argument('pk', type=PK)
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
            say(f'{name}, stored as {results[name].pk}')


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
        node = find_node(pk, f'There is no node {pk}.')
        job = {'code': orm.load_code(code), 'potential': node, **inputs}
        results, node = run_get_node(chain, **{chain.NAMESPACE: job})
    except (NotExistent, ValueError) as error:
        raise Refusal(str(error)) from error
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'The process {node.pk} did not end.')
    return dict(results)
