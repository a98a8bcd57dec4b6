"""`aiida-dpasse export structure`: a stored structure into a file."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_dpasse.cli.output import OUTPUT, replacing, say, writes_files
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal


@click.command()
@click.argument('pk', metavar='PK')
@click.argument('path', metavar='FILE', type=OUTPUT)
@with_profile
@writes_files
def structure(pk: str, path: Path) -> None:
    """Write a structure to a file.

    PK is the PK, UUID or label of a structure. The name of FILE decides on the format: .cif, POSCAR or .vasp, .xyz
    (extended xyz), and what ASE writes. A structure with partial occupancies is written as CIF.
    """
    from aiida import orm

    node = find_node(pk, f'There is no structure {pk}: `verdi data core.structure list` lists those of the profile.')
    if not isinstance(node, orm.StructureData):
        raise Refusal(f'{pk} is a {type(node).__name__}: give the PK of a structure.')
    partial = node.is_alloy or node.has_vacancies
    cif = path.suffix.lower() == '.cif'
    if partial and not cif:
        raise Refusal('The structure has partial occupancies, which only a CIF can contain: name the file .cif.')
    with replacing(path) as partial:
        try:
            if cif:
                node.get_pymatgen().to(str(partial), fmt='cif')
            else:
                from ase.io import write

                write(partial, node.get_ase(), **_format(partial))
        except OSError:
            raise
        except Exception as error:  # ASE raises exceptions of any type for a format that it cannot write
            raise Refusal(f'{path} cannot be written: {error}') from error
    say(f'{node.get_formula()} written to {path}')


def _format(path: Path) -> dict[str, object]:
    """Return the arguments of ASE's writer."""
    from aiida_dpasse.structures.crystal_file import is_poscar

    if is_poscar(path):
        return {'format': 'vasp', 'direct': True}
    return {'format': 'extxyz'} if path.name.lower().endswith('xyz') else {}
