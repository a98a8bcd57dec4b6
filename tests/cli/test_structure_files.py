"""`aiida-dpasse import structure` and `export structure`: files into nodes and back."""

from __future__ import annotations

import pytest
from aiida import orm
from ase.io import read
from click.testing import CliRunner

from aiida_dpasse.base.validators import check_structure
from aiida_dpasse.cli.main import cli

pytestmark = pytest.mark.usefixtures('aiida_profile')

POSCAR = 'crystal\n1.0\n5.7 0 0\n0 5.7 0\n0 0 5.7\nLi_sv/abcd S/efgh\n2 1\nDirect\n0 0 0\n0.25 0.25 0.25\n0.5 0.5 0.5\n'
#: Rows of a CIF in a cubic cell of 5 A without symmetry.
HALVES = 'Li1 Li 0 0 0 0.5\nLi2 Li 0.1 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1\n'
STATES = 'loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nLi1+ 1\nCl1- -1\n'


def cif(rows: str, more: str = '') -> str:
    """A CIF with these atoms."""
    cell = ''.join(f'_cell_length_{x} 5\n' for x in 'abc')
    cell += ''.join(f'_cell_angle_{x} 90\n' for x in ('alpha', 'beta', 'gamma'))
    names = ('label', 'type_symbol', 'fract_x', 'fract_y', 'fract_z', 'occupancy')
    loop = 'loop_\n' + ''.join(f'_atom_site_{name}\n' for name in names)
    return f"data_x\n_symmetry_space_group_name_H-M 'P 1'\n{cell}{more}{loop}{rows}"


def run(*words: object, status: int = 0):
    """Call the command and return what it printed."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


def stored(output: str) -> list[orm.StructureData]:
    """The nodes that the command says it has stored."""
    return [orm.load_node(int(line.split()[-1])) for line in output.splitlines() if line.startswith('stored as')]


def structures() -> int:
    """Number of structures in the profile."""
    return orm.QueryBuilder().append(orm.StructureData).count()


def test_ordered_files_become_structures_and_files_again(tmp_path):
    path = tmp_path / 'POSCAR'
    path.write_text(POSCAR)
    before = structures()
    assert 'Li2 S1' in run('import', 'structure', '--dry-run', path)
    assert structures() == before
    [node] = stored(run('import', 'structure', path, '--label', 'sulfide', '--group', 'crystals'))
    assert (node.label, node.get_composition(), node.creator) == ('sulfide', {'Li': 2, 'S': 1}, None)
    assert node.uuid in {each.uuid for each in orm.load_group('crystals').nodes}
    for name in ('crystal.cif', 'CONTCAR', 'crystal.xyz'):
        run('export', 'structure', node.pk, tmp_path / name)
        atoms = read(tmp_path / name, format='vasp' if name == 'CONTCAR' else None)
        assert sorted(atoms.symbols) == ['Li', 'Li', 'S']
        assert atoms.get_distance(0, 1, mic=True) == pytest.approx(node.get_ase().get_distance(0, 1, mic=True))
    run('export', 'structure', node.pk, tmp_path / 'no' / 'folder.xyz', status=2)
    run('export', 'structure', 999999, tmp_path / 'crystal.cif', status=2)


def test_disordered_files_become_cells(tmp_path):
    path = tmp_path / 'halves.cif'
    path.write_text(cif(HALVES))
    before = structures()
    run('import', 'structure', '-n', path)
    assert structures() == before
    [cell] = stored(run('import', 'structure', path))
    assert cell.label == 'halves'
    assert cell.get_composition() == {'Li': 2, 'Cl': 2}
    assert isinstance(cell.creator.inputs.cif, orm.CifData)
    assert check_structure(cell) is None
    several = stored(run('import', 'structure', path, '--supercell', 2, 2, 2, '--cells', 3, '--method', 'random'))
    assert [node.label for node in several] == ['halves_0', 'halves_1', 'halves_2']
    assert all(node.get_composition() == {'Li': 8, 'Cl': 8} for node in several)


def test_what_is_refused(tmp_path):
    """Overlapping atoms, charges that do not sum to zero; one bad file does not keep the others out."""
    good, bad = tmp_path / 'good.cif', tmp_path / 'bad.cif'
    good.write_text(cif('Li1 Li1+ 0 0 0 1\nCl1 Cl1- 0.5 0.5 0.5 1\n', STATES))
    bad.write_text(cif('Li1 Li1+ 0 0 0 1\n', STATES))
    assert 'sum to +1' in run('import', 'structure', bad, status=2)
    output = run('import', 'structure', bad, good, status=2)
    assert len(stored(output)) == 1
    assert '1 of 2 files' in output
    bad.write_text(cif(HALVES.replace('0.5\n', '1\n')))
    assert '0.50 A apart' in run('import', 'structure', bad, status=2)
    run('import', 'structure', good, '--charge', 'Li', status=2)


def test_occupancies_that_ase_ignores_are_refused_by_the_chains(tmp_path):
    """Read by ASE the crystal has both Li of a split site."""
    path = tmp_path / 'halves.cif'
    path.write_text(cif(HALVES))
    message = check_structure(orm.StructureData(ase=read(path)))
    assert message is not None
    assert '0.50 A apart' in message
