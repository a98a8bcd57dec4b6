"""`aiida-dpasse import structure`: crystals from files into nodes, disordered ones as ordered cells."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.importing import import_options, store
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.refusal import EXISTING, POSITIVE, Refusal, pairs

if TYPE_CHECKING:
    from aiida_dpasse.structures.crystal_file import CrystalFile
    from aiida_dpasse.structures.order import Ordering


@click.command()
@click.argument('paths', metavar='FILE...', nargs=-1, required=True, type=EXISTING)
@click.option('--index', type=int, help='Structure to take from a file with several, from 0; -1 for the last.')
@click.option('--cells', type=click.IntRange(min=1), default=1, show_default=True, help='Ordered cells of a crystal.')
@click.option('--seed', type=click.IntRange(min=0), default=1, show_default=True, help='Seed of the ordered cells.')
@click.option(
    '--method',
    type=click.Choice(['electrostatics', 'random']),
    default='electrostatics',
    show_default=True,
    help='Cells of low energy of the formal charges, or a random sample.',
)
@click.option(
    '--mobile',
    multiple=True,
    metavar='ELEMENT',
    help='With `random`: place this element by electrostatics; repeatable.',
)
@click.option('--supercell', nargs=3, type=click.IntRange(min=1), help='Repetitions.  [default: the fewest possible]')
@click.option('--max-atoms', type=click.IntRange(min=1), default=400, show_default=True, help='Largest ordered cell.')
@click.option(
    '--tolerance',
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help='Largest relative deviation of the amount of an element.',
)
@click.option(
    '--site-tolerance',
    type=click.FloatRange(0, 1),
    default=0.15,
    show_default=True,
    help='Largest deviation of the occupancy of a site.',
)
@click.option('--charge', 'charges', multiple=True, metavar='ELEMENT=Q', help='Charge of an element; repeat for all.')
@click.option('--symprec', type=POSITIVE, default=0.01, show_default=True, help='Tolerance of the symmetry, in A.')
@import_options
def structure(
    paths: tuple[Path, ...],
    index: int | None,
    charges: tuple[str, ...],
    supercell: tuple[int, int, int] | None,
    label: str | None,
    group: str | None,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Store crystal structures from files: CIF, POSCAR, extxyz, and what ASE reads.

    A disordered crystal, given as CIF, is stored as ordered cells: whole numbers of atoms, neutral, no two too close.
    The CIF is stored as well, as input of the calculation that makes the cells.
    """
    settings.update(repeats=supercell, charges=parse_charges(charges))
    refused = 0
    for path in paths:
        try:
            _import_file(path, index, settings, label, group, dry_run)
        except ValueError as error:
            if len(paths) == 1:
                raise Refusal(str(error)) from error
            say(quoting.line(f'{path.name}: refused: {error}'), err=True)
            refused += 1
    if refused:
        raise Refusal(f'{refused} of {len(paths)} files are refused, see above.')


def parse_charges(given: tuple[str, ...]) -> dict[str, float] | None:
    """Return the charges by element, None if none is given.

    :param given: texts such as `Li=1`.
    :raises Refusal: for anything but an element and a number.
    """
    found = {}
    for element, number in pairs(given, '--charge').items():
        try:
            found[element.strip()] = float(number)
        except ValueError:
            raise Refusal(f'--charge {element}={number} is not a number: write it as Li=1.') from None
    return found or None


def _import_file(
    path: Path, index: int | None, settings: dict[str, Any], label: str | None, group: str | None, dry_run: bool
) -> None:
    """Read, describe and store one file.

    :raises ValueError: in one sentence, if it cannot be imported.
    """
    from aiida_dpasse.structures.crystal_file import read_crystal
    from aiida_dpasse.structures.order import order_crystal

    crystal = read_crystal(path, index)
    rows = describe(crystal)
    ordering = None
    if not crystal.structure.is_ordered:
        own = {**settings, 'charges': settings['charges'] or crystal.charges or None}
        try:
            ordering = order_crystal(crystal.structure, **own)
        except ValueError as error:
            raise ValueError(f'{path.name}: {error}') from error
        rows += describe_ordering(crystal, ordering)
    else:
        _check_ordered(path, crystal)
    say('\n'.join([quoting.line(path.name), *(f'  {name:18s} {quoting.line(text)}' for name, text in rows)]))
    if dry_run:
        return
    name = label or path.stem
    nodes = _ordered_node(crystal) if ordering is None else _store_cells(path, index, own, name)
    for number, node in enumerate(nodes):
        say(f'stored as {store(node, f"{name}_{number}" if len(nodes) > 1 else name, group).pk}')


@with_profile
def _ordered_node(crystal: CrystalFile) -> list[Any]:
    """Return the node of an ordered crystal, with the atoms in the order of the file."""
    from aiida import orm

    return [orm.StructureData(pymatgen=crystal.structure)]


@with_profile
def _store_cells(path: Path, index: int | None, settings: dict[str, Any], name: str) -> list[Any]:
    """Return the ordered cells, which a calcfunction makes from the stored CIF."""
    from aiida import orm

    from aiida_dpasse.frames.order_crystal import order_crystal

    # Not parsed by AiiDA, which needs PyCifRW and refuses many CIFs that pymatgen reads.
    cif = orm.CifData(file=path.resolve(), parse_policy='lazy', label=name)
    used = {key: value for key, value in {**settings, 'index': index}.items() if value is not None}
    outputs = order_crystal(cif, orm.Dict(used))
    return [outputs[key] for key in sorted(outputs) if key.startswith('cell_')]


def _check_ordered(path: Path, crystal: CrystalFile) -> None:
    """Refuse an ordered crystal that cannot be simulated.

    :raises ValueError: if atoms overlap or the oxidation states of the file do not sum to zero.
    """
    from aiida_dpasse.structures.arrangements import symbols_of
    from aiida_dpasse.structures.overlap import find_overlap

    found = crystal.structure
    if overlap := find_overlap(symbols_of(found), found.lattice.matrix, found.cart_coords):
        raise ValueError(
            f'{path.name}: {overlap}: remove duplicates, or give a CIF with the occupancies of the sites of a '
            'disordered crystal.'
        )
    if crystal.charge is not None and abs(crystal.charge) > 0.05:
        raise ValueError(
            f'{path.name}: the oxidation states of the file sum to {crystal.charge:+g} in the cell: correct the atoms, '
            'or remove the oxidation states from the file if they are wrong.'
        )


def describe(crystal: CrystalFile) -> list[tuple[str, str]]:
    """Return rows that describe a crystal: name and text.

    :param crystal: the crystal.
    """
    from aiida_dpasse.structures.charges import stated
    from aiida_dpasse.structures.overlap import closest_pair

    found = crystal.structure
    a, b, c, alpha, beta, gamma = found.lattice.parameters
    rows = [
        ('formula', found.composition.formula),
        ('atoms', f'{found.composition.num_atoms:g} on {len(found)} sites'),
        ('cell', f'{a:.4g} {b:.4g} {c:.4g} Å, {alpha:.4g} {beta:.4g} {gamma:.4g}°, {found.volume:.5g} Å³'),
        ('density', f'{float(found.density):.4g} g/cm³'),
    ]
    if crystal.charge is not None:
        text = f'{round(crystal.charge, 2) + 0.0:+g} with the oxidation states of the file: {stated(crystal.charges)}'
        rows.append(('charge', text))
    if (closest := closest_pair(found)) is not None:
        first, second, distance, ratio = closest
        rows.append(
            ('closest sites', f'{first} and {second}, {distance:.2f} Å, {ratio:.2f} of the sum of their covalent radii')
        )
    rows += [('note', note) for note in crystal.notes]
    return rows


def describe_ordering(crystal: CrystalFile, ordering: Ordering) -> list[tuple[str, str]]:
    """Return rows that describe the ordered cells of a crystal: name and text.

    :param crystal: the disordered crystal.
    :param ordering: its ordered cells.
    """
    from aiida_dpasse.structures.charges import stated
    from aiida_dpasse.structures.overlap import closest_pair

    cell = ordering.cells[0].structure
    size = 'x'.join(map(str, ordering.repeats))
    rows = [('disorder', f'{sum(not site.is_ordered for site in crystal.structure)} sites are partially occupied')]
    for each in ordering.occupancies:
        rows.append(
            (
                f'  {each.label} {each.element}',
                f'{each.occupancy:.4g} in the file, {each.atoms} of {each.sites} sites ({each.atoms / each.sites:.4g})',
            )
        )
    rows += [
        ('ordered cell', f'{size}, {cell.composition.formula}, {len(cell)} atoms, {float(cell.density):.4g} g/cm³'),
    ]
    amounts, copies = cell.composition.get_el_amt_dict(), prod(ordering.repeats)
    wanted = {name: copies * n for name, n in crystal.structure.composition.get_el_amt_dict().items()}
    if changed := [name for name, n in wanted.items() if abs(amounts[name] - n) > 1e-3 * n]:
        text = ', '.join(f'{amounts[name]:g} {name} instead of {wanted[name]:.4g}' for name in changed)
        rows.append(('  rounded', text))
    if any(ordering.charges.values()):
        rows.append(('charge', f'0 with {stated(ordering.charges)}'))
    else:
        rows.append(('charge', 'not considered'))
    lowest = min((each.energy for each in ordering.cells if each.energy is not None), default=None)
    for number, arrangement in enumerate(ordering.cells):
        text = f'{arrangement.degeneracy} equivalent arrangements, weight {arrangement.weight:.3g}'
        if arrangement.energy is not None and lowest is not None and len(ordering.cells) > 1:
            text += f', electrostatic energy {1e3 * (arrangement.energy - lowest) / len(cell):+.1f} meV/atom'
        rows.append((f'  cell {number}', text))
        if (closest := closest_pair(arrangement.structure)) is not None:
            first, second, distance, ratio = closest
            rows.append(
                ('', f'closest atoms {first} and {second}, {distance:.2f} Å, {ratio:.2f} of the sum of their radii')
            )
    return rows + [('note', note) for note in ordering.notes]
