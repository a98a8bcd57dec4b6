"""`aiida-dpasse passport`: what the labels of a calculator or potential are worth, against reference frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.output import OUTPUT, say, write_json, writes_files
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import POSITIVE, Refusal


@click.command()
@click.argument('frames', metavar='FRAMES...', nargs=-1, required=True)
@click.option(
    '--calculator',
    metavar='NAME',
    help="ASE calculator: sevennet-l3i5, sevennet-0, chgnet, a name of ASE's, or module:Class.",
)
@click.option('--arguments', metavar='JSON', help='Arguments of the calculator, for example \'{"device": "cuda"}\'.')
@click.option('--potential', metavar='PK', help='A potential of the profile, instead of a calculator.')
@click.option('--slope-limit', type=POSITIVE, help='Smallest slope that is stiff enough.  [default: 0.85]')
@click.option('--max-frames', type=click.IntRange(min=1), help='Frames to take, drawn at random.  [default: 100]')
@click.option('--seed', type=click.IntRange(min=0), help='Seed of the drawing and of the intervals.  [default: 1]')
@click.option('--code', default='python@localhost', show_default=True, help='Python that runs the calculator.')
@click.option('--json', 'json_path', type=OUTPUT, help='Write the passport to this file.')
@with_profile
@writes_files
def passport(
    frames: tuple[str, ...],
    calculator: str | None,
    arguments: str | None,
    potential: str | None,
    slope_limit: float | None,
    max_frames: int | None,
    seed: int | None,
    code: str,
    json_path: Path | None,
) -> None:
    """Compare the labels of a calculator or potential with those of reference frames, and print its passport.

    FRAMES are frames with reference labels, usually of density-functional theory: folders of DeePMD-kit's format, or
    nodes of the profile (PK, UUID or label). Twenty frames like those to be labelled are sufficient. The node that is
    printed can be given to the chains that label for training. For VASP, CP2K and programs of your own, use the work
    chain `dpasse.passport`.
    """
    from aiida import orm
    from aiida.common import NotExistent
    from aiida.engine import run_get_node

    from aiida_dpasse.assess.passport import PassportWorkChain
    from aiida_dpasse.assess.passport_report import lines, tables

    given = {'slope_limit': slope_limit, 'max_frames': max_frames, 'seed': seed}
    labeller = load_labeller(calculator, arguments, potential)
    try:
        codes = {'python': orm.load_code(code)}
    except NotExistent as error:
        raise Refusal(f'There is no code {code}: run `aiida-dpasse setup`, or give another `--code`.') from error
    try:
        builder = PassportWorkChain.get_builder_from_protocol(
            codes,
            overrides={name: value for name, value in given.items() if value is not None},
            frames=load_frames(frames),
            **labeller,
        )
        _, node = run_get_node(builder)
    except ValueError as error:
        raise Refusal(str(error)) from error
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'The process {node.pk} did not end.')
    write_json(json_path, node.outputs.passport.get_dict())
    shown = [*(table.render() for table in tables(node) if table.rows), '\n'.join(lines(node))]
    say('\n\n'.join([*shown, f'process {node.pk}, passport stored as {node.outputs.passport.pk}']))


def load_frames(names: tuple[str, ...]) -> Any:
    """Return the frames of all folders and nodes as one node.

    :param names: folders of DeePMD-kit's format, and pk, UUID or label of nodes.
    :raises Refusal: if a name is neither, or if a node or folder holds no frames.
    """
    from aiida_dpasse.data.frames import FramesData
    from aiida_dpasse.frames.union_frames import union_frames

    found = {}
    for number, name in enumerate(names):
        if Path(name).is_dir():
            try:
                node = FramesData.from_directory(name).store()
            except ValueError as error:
                raise Refusal(str(error)) from error
        else:
            node = find_node(name, f'There is neither a folder nor one node `{name}`: give a folder, a PK or a UUID.')
        if not isinstance(node, FramesData):
            raise Refusal(f'The node {name} is a {type(node).__name__}, not frames: give a FramesData.')
        found[f'frames_{number}'] = node
    return union_frames(frames=found) if len(found) > 1 else next(iter(found.values()))


def load_labeller(calculator: str | None, arguments: str | None, potential: str | None) -> dict[str, Any]:
    """Return the inputs of the labeller.

    :param calculator: name of an ASE calculator.
    :param arguments: its arguments as JSON.
    :param potential: pk, UUID or label of a potential.
    :raises Refusal: if none or both are given, or if one of them is invalid.
    """
    from aiida import orm

    from aiida_dpasse.data.engine import Potential

    if (calculator is None) == (potential is None):
        raise Refusal('Give either --calculator or --potential.')
    if potential is not None:
        node = find_node(potential, f'There is no potential {potential} in the profile: import it first.')
        if not isinstance(node, Potential):
            raise Refusal(f'The node {potential} is a {type(node).__name__}, not a potential.')
        return {'potential': node}
    try:
        own = json.loads(arguments or '{}')
        json.dumps(own, allow_nan=False)
    except RecursionError as error:
        raise Refusal('--arguments is too deep: give a JSON object such as \'{"device": "cuda"}\'.') from error
    except ValueError as error:
        raise Refusal(f'--arguments is not valid JSON: {error}.') from error
    if not isinstance(own, dict):
        raise Refusal('--arguments should be a JSON object, for example \'{"device": "cuda"}\'.')
    return {'calculator': orm.Dict({**own, 'name': calculator})}
