"""`aiida-dpasse import frames`: labelled or unlabelled frames from files of any origin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.importing import import_options, store
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.refusal import Refusal, pairs

if TYPE_CHECKING:
    from aiida_dpasse.deepmd.frameset import FrameSet
    from aiida_dpasse.deepmd.intake import Intake
    from aiida_dpasse.reports.tables import Table


def read_keys(context: click.Context, option: click.Parameter, text: str | None) -> dict[str, str] | None:
    """Return the names of labels in `--keys`, None without it."""
    if text is None:
        return None
    names = pairs(text.replace(',', ' ').split(), '--keys')
    if broken := [name for name, value in names.items() if not value]:
        raise click.BadParameter(f'{broken[0]} has no name: write energy=REF_energy,forces=REF_forces.')
    return names


@click.command()
@click.argument('files', metavar='FILE...', nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    '--format',
    'fmt',
    metavar='NAME',
    help='deepmd, extxyz, vasp, cp2k, or a format of dpdata or ASE.  [default: by content]',
)
@click.option(
    '-t',
    '--type-map',
    metavar='ELEMENTS',
    help='Elements in the order of the atom types, for files without, as "Li P S Cl".',
)
@click.option(
    '--keys', metavar='NAMES', callback=read_keys, help='Labels in extxyz or ASE: energy=REF_energy,forces=REF_forces.'
)
@click.option('--skip', is_flag=True, help='Leave out the frames that are refused.')
@click.option(
    '--periodic', is_flag=True, help='Take frames with open boundaries as periodic with the cell of the file.'
)
@click.option(
    '--minimum-distance',
    type=click.FloatRange(min=0),
    metavar='A',
    help='Refuse frames with atoms closer than this.  [default: 0.5]',
)
@import_options
def frames(
    files: tuple[Path, ...],
    fmt: str | None,
    type_map: str | None,
    keys: dict[str, str] | None,
    skip: bool,
    periodic: bool,
    minimum_distance: float | None,
    group: str | None,
    label: str | None,
    dry_run: bool,
) -> None:
    """Store the frames of all FILEs as one node.

    FILE is a dataset of DeePMD-kit (npy, mixed, raw, HDF5), a work folder of DP-GEN, extxyz, an ASE trajectory or
    database, OUTCAR, vasprun.xml, a folder with such output or that of CP2K, or any file that dpdata or ASE reads.
    What is dropped or changed is printed. Frames with open boundaries, overlapping atoms, or atoms that are no elements
    are refused, unless --skip or --periodic is given. With --dry-run nothing is stored and no profile is needed; the
    exit status is 2 if the files would be refused.
    """
    from aiida_dpasse.data.reading import read_files
    from aiida_dpasse.deepmd.intake import MINIMUM_DISTANCE, Intake, count_of

    intake = Intake(periodic, MINIMUM_DISTANCE if minimum_distance is None else minimum_distance)
    elements = None if type_map is None else type_map.replace(',', ' ').split()
    try:
        sets = read_files(files, intake, fmt, elements, keys)
    except ValueError as error:
        raise Refusal(in_options(error)) from error
    if sets:
        say(table(sets).render())
    for line in [*intake.notes(skip), *repeated(sets), *unread(sets, intake)]:
        say(quoting.line(line))
    try:
        notes = intake.close(skip)
        if not sets:
            raise ValueError('There are no frames to store.')
    except ValueError as error:
        raise Refusal(in_options(error)) from error
    if not dry_run:
        name = label or (
            files[0].resolve().name if len(files) == 1 else f'{files[0].resolve().name} and {len(files) - 1} more'
        )
        node = store_frames(sets, notes, name, group)
        say(f'stored {count_of(node.frames)} as {node.pk}')


def in_options(error: ValueError) -> str:
    """Return a message with the options of the command in place of the arguments of Python."""
    arguments = r'`(periodic|skip|minimum_distance|type_map|keys)`'
    return re.sub(arguments, lambda found: f'`--{found[1].replace("_", "-")}`', str(error))


@with_profile
def store_frames(sets: list[FrameSet], notes: list[str], label: str, group: str | None) -> Any:
    """Return the stored node of the frames.

    :param sets: the frames.
    :param notes: what the import dropped, left out or changed.
    :param label: label of the node.
    :param group: name of a group, or None.
    :raises Refusal: if the frames are invalid.
    """
    from aiida_dpasse.data.frames import FramesData

    try:
        node = FramesData(sets=sets, notes=notes)
    except ValueError as error:
        raise Refusal(in_options(error)) from error
    return store(node, label, group)


def table(sets: Iterable[FrameSet]) -> Table:
    """Return the frames of each formula and kind of labels, with the ranges of energies and forces."""
    import numpy as np

    from aiida_dpasse.deepmd.frameset import concatenate
    from aiida_dpasse.deepmd.intake import count_of
    from aiida_dpasse.reports.tables import Table

    names = {
        'formula': 'formula',
        'atoms': 'atoms',
        'frames': 'frames',
        'labels': 'labels',
        'lowest': 'E lowest (eV/atom)',
        'highest': 'highest',
        'smallest': 'F smallest (eV/Å)',
        'largest': 'largest',
    }
    rows: list[dict[str, Any]] = []
    for item in concatenate(sets):
        row: dict[str, Any] = {'formula': item.formula, 'atoms': item.natoms, 'frames': len(item)}
        row['labels'] = ' '.join(item.labels) or None
        if item.energies is not None:
            energies = item.energies / item.natoms
            row |= {'lowest': f'{energies.min():.4f}', 'highest': f'{energies.max():.4f}'}
        if item.forces is not None:
            sizes = np.linalg.norm(item.forces, axis=-1)
            row |= {'smallest': float(sizes.min()), 'largest': float(sizes.max())}
        rows.append(row)
    total = sum(row['frames'] for row in rows)
    return Table.of(count_of(total), names, rows)


def repeated(sets: Iterable[FrameSet]) -> list[str]:
    """Return a sentence if frames occur more than once."""
    from aiida_dpasse.deepmd.intake import count_of

    counts = Counter(str(identity) for item in sets for identity in item.ids)
    extra = counts.total() - len(counts)
    return [f'Kept: {count_of(extra)} with the atoms, cell and positions of an earlier one.'] if extra else []


def unread(sets: Sequence[FrameSet], intake: Intake) -> list[str]:
    """Return advice if frames have no labels and something that is dropped looks like these."""
    kinds = ('energy', 'forces', 'virial', 'stress')
    dropped = [name.strip('`') for name in intake.dropped]
    likely = {kind: name for kind in kinds for name in dropped if kind.rstrip('s') in name.lower().replace('atom', '')}
    if 'energy' not in likely or all(item.energies is not None for item in sets):
        return []
    text = ','.join(f'{kind}={name}' for kind, name in likely.items())
    return [f'Labels under other names are read with --keys {text}']
