"""`aiida-dpasse dope`: doped cells of a stored crystal or a prototype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.import_structure import parse_charges
from aiida_dpasse.cli.importing import add_to_group, import_options
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import POSITIVE, Refusal

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from aiida_dpasse.structures.doping import Doping
    from aiida_dpasse.structures.prototypes import Prototype


def list_prototypes(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the prototypes with their sources, and end the command.

    :param context: context of the command.
    :param wanted: whether the option was given.
    """
    if not wanted or context.resilient_parsing:
        return
    from aiida_dpasse.structures.prototypes import prototypes, training_compounds

    for each in prototypes().values():
        note = f'; {each.note}' if each.note else ''
        say(f'{each.name:12s} {each.space_group:10s} coordinates {each.coordinates}, {each.source}{note}')
    lacking = [name for name, known in training_compounds().items() if not known]
    say(f'A file is needed of these compounds of the training data of DPA-SSE: {", ".join(lacking)}.')
    context.exit()


@click.command()
@click.argument('host', metavar='PK|PROTOTYPE')
@click.option(
    '--substitute', multiple=True, metavar='SUBLATTICE=ELEMENT:AMOUNT', help='Such as S=Cl:0.025; repeatable.'
)
@click.option(
    '--exchange', multiple=True, metavar='SUBLATTICE:SUBLATTICE=AMOUNT', help='Such as 4a:4c=0.5; repeatable.'
)
@click.option('--insert', multiple=True, metavar='ELEMENT=AMOUNT', help='Interstitials, such as P=9; repeatable.')
@click.option(
    '--compensate', metavar='ION', help='Ion whose vacancies or interstitials balance the charge: K, or K:vacancies.'
)
@click.option(
    '--place',
    'places',
    nargs=3,
    type=float,
    multiple=True,
    metavar='X Y Z',
    help='Fractional coordinates of a place for interstitials; repeatable.  [default: the roomiest]',
)
@click.option('--composition', metavar='FORMULA', help='Formula that the doped crystal should have.')
@click.option('--number', 'cells', type=click.IntRange(min=1), default=1, show_default=True, help='Doped cells.')
@click.option('--seed', type=click.IntRange(min=0), default=1, show_default=True, help='Seed of the doped cells.')
@click.option(
    '--method',
    type=click.Choice(['random', 'electrostatics']),
    default='random',
    show_default=True,
    help='A random sample, or the cells of lowest energy of the formal charges.',
)
@click.option(
    '--mobile',
    multiple=True,
    metavar='ELEMENT',
    help='With `random`: place this element by electrostatics; repeatable.  [default: alkali ions on disordered sites]',
)
@click.option('--supercell', nargs=3, type=click.IntRange(min=1), help='Repetitions.  [default: the fewest possible]')
@click.option('--max-atoms', type=click.IntRange(min=1), default=400, show_default=True, help='Largest doped cell.')
@click.option('--charge', 'charges', multiple=True, metavar='ELEMENT=Q', help='Charge of an element; repeatable.')
@click.option('--symprec', type=POSITIVE, default=0.01, show_default=True, help='Tolerance of the symmetry, in A.')
@click.option(
    '--prototypes', is_flag=True, is_eager=True, expose_value=False, callback=list_prototypes, help='List prototypes.'
)
@import_options
def dope(
    host: str,
    charges: tuple[str, ...],
    supercell: tuple[int, int, int] | None,
    mobile: tuple[str, ...],
    label: str | None,
    group: str | None,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Make doped cells of a crystal: whole numbers of atoms, neutral, different by symmetry.

    The host is a stored structure (PK, UUID or label) or a prototype such as Li6PS5Cl; `--prototypes` lists these, and
    their names always mean them. A sublattice is an element, a set of sites such as 4a, or both, S@4c; the S of PS4 is
    S@PS4. An amount is a fraction of its atoms (0.025, 1/40, 2.5%), or a whole number of atoms in the cell. Without a
    substitution, exchange or insertion the sublattices are printed.
    """
    from aiida_dpasse.structures.doping import dope as make

    crystal, known = find_host(host)
    say('\n'.join(_row(name, text) for name, text in describe_host(crystal, known)))
    if not any(settings[key] for key in ('substitute', 'exchange', 'insert')):
        return
    settings.update(repeats=supercell, charges=parse_charges(charges), mobile=mobile)
    used: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in settings.items()
        if value is not None and value != ()
    }
    try:
        doping = make(crystal, **used)
    except ValueError as error:
        raise Refusal(str(error)) from error
    say('\n'.join(_row(name, text) for name, text in describe_doping(doping)))
    if dry_run:
        return
    name = label or crystal.composition.reduced_formula
    for node in _store(host, known, used, name, group or name):
        say(f'stored as {node.pk}')


def _row(name: str, text: str) -> str:
    return f'{name:18s} {quoting.line(text)}'


def find_host(name: str) -> tuple[Structure, Prototype | None]:
    """Return the host, and the prototype that it is.

    :param name: of a prototype, or PK, UUID or label of a structure.
    :raises Refusal: if there is neither.
    """
    from aiida_dpasse.structures.prototypes import prototype

    try:
        known = prototype(name)
        return known.structure, known
    except ValueError:
        return _stored(name).get_pymatgen(), None


@with_profile
def _stored(name: str) -> Any:
    from aiida import orm

    node = find_node(name, f'There is neither a prototype nor a structure {name}: --prototypes lists the former.')
    if not isinstance(node, orm.StructureData):
        raise Refusal(f'{name} is a {type(node).__name__}: give the PK of a structure.')
    return node


@with_profile
def _store(host: str, known: Prototype | None, used: dict[str, Any], name: str, group: str) -> list[Any]:
    """Return the doped cells, which a calcfunction makes from the host."""
    from aiida import orm

    from aiida_dpasse.frames.dope import dope as make

    if known is None:
        node = _stored(host)
    else:
        node = orm.StructureData(pymatgen=known.structure, label=known.name)
        note = f'; {known.note}' if known.note else ''
        node.description = f'Prototype {known.space_group}, coordinates {known.coordinates}, {known.source}{note}'
    outputs = make(node, orm.Dict(used))
    cells = [outputs[key] for key in sorted(outputs) if key.startswith('cell_')]
    for number, cell in enumerate(cells):
        cell.label = f'{name}_{number}' if len(cells) > 1 else name
        add_to_group(cell, group)
    return cells


def describe_host(crystal: Structure, known: Prototype | None) -> list[tuple[str, str]]:
    """Return rows that describe a host and its sublattices: name and text.

    :param crystal: the host.
    :param known: the prototype that it is, None for a stored structure.
    """
    from aiida_dpasse.structures.sublattices import describe_sublattices, site_names

    rows = [('host', f'{crystal.composition.formula}, {crystal.composition.num_atoms:g} atoms')]
    if known is not None:
        rows.append(('prototype', f'{known.space_group}, coordinates {known.coordinates}, {known.source}'))
        rows += [('note', known.note)] if known.note else []
    for species, names, number in describe_sublattices(crystal, site_names(crystal)):
        rows.append((f'  {species}', f'{number} sites{f", {names}" if names else ""}'))
    return rows


def describe_doping(doping: Doping) -> list[tuple[str, str]]:
    """Return rows that describe doped cells: name and text.

    :param doping: the cells.
    """
    from aiida_dpasse.structures.charges import stated

    plan = doping.plan
    size = 'x'.join(map(str, plan.repeats))
    rows = [('doped cell', f'{size}, {plan.formula}, {plan.atoms} atoms')]
    for each in plan.occupancies:
        before, after = (
            ' '.join(f'{name}{n}' for name, n in sorted(amounts.items())) or 'empty'
            for amounts in (each.before, each.after)
        )
        change = before if before == after else f'{before} becomes {after}'
        rows.append((f'  {each.sublattice}', f'{change}, on {each.sites} sites'))
    if any(plan.charges.values()):
        rows.append(('charge', f'{plan.charge:+g} with {stated(plan.charges)}'.replace('+0 ', '0 ')))
    else:
        rows.append(('charge', 'not considered'))
    number = f'{doping.arrangements}' if doping.arrangements < 10**7 else f'{float(doping.arrangements):.3g}'
    differ = f', {doping.distinct} of which differ by symmetry' if doping.distinct is not None else ''
    rows.append(('arrangements', f'{number}{differ}; cells {doping.selection}'))
    energies = [cell.energy for cell in doping.cells if cell.energy is not None]
    for index, cell in enumerate(doping.cells):
        text = f'{cell.degeneracy} equivalent arrangements, weight {cell.weight:.3g}'
        if cell.energy is not None and len(doping.cells) > 1:
            above = 1e3 * (cell.energy - min(energies)) / plan.atoms
            text += f', electrostatic energy {above:+.1f} meV/atom'
        rows.append((f'  cell {index}', text))
    return rows + [('note', note) for note in (*plan.notes, *doping.notes)]
