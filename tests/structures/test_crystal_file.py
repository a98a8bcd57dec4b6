"""Files of crystals: what is read, what is said of it, and what is refused in a sentence."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from cif_text import cif, cif_head

from aiida_dpasse.structures.crystal_file import read_cif, read_crystal

SULFUR = 'S1 S 0.5 0.5 0.5 1\n'


def test_partial_occupancies_and_labels():
    found = read_cif(cif(SULFUR + 'Li1 Li 0 0 0 0.5\nGe1 Ge 0.5 0 0 0.5\nP1 P 0.5 0 0 0.5\n'))
    assert found.structure.composition.as_dict() == {'Li': 0.5, 'Ge': 0.5, 'P': 0.5, 'S': 1.0}
    assert len(found.structure) == 3
    assert set(found.structure.labels) >= {'Li1', 'S1'}
    assert (found.charges, found.charge, found.notes) == ({}, None, ())


def test_oxidation_states_are_kept_apart():
    states = 'loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nLi1+ 1\nN3- -3\n'
    atoms = 'N1 N3- 0.5 0.5 0.5 1\n' + ''.join(
        f'Li{i} Li1+ {x} 1\n' for i, x in enumerate(('0 0 0', '.5 0 0', '0 .5 0'))
    )
    found = read_cif(cif(atoms, states))
    assert found.charges == {'Li': 1.0, 'N': -3.0}
    assert found.charge == 0
    assert {type(site.specie).__name__ for site in found.structure} == {'Element'}


@pytest.mark.parametrize(
    ('atoms', 'more', 'composition', 'note'),
    [
        ('Li1 Li 0 0 0 1\nD1 D 0.5 0 0 1\n', '', {'Li': 1, 'H': 1}, 'deuterium'),
        ('Ge1 Ge 0 0 0 0.51\nP1 P 0 0 0 0.51\n', '', {'Ge': 0.5, 'P': 0.5}, 'scaled to 1'),
        ('Li1 Li 0 0 0 ?\n', '', {'Li': 1}, 'the occupancy of Li1'),
        ('Li1 Li 0 0 0 1\n', "_chemical_formula_sum 'Li2 S1'\n", {'Li': 1}, 'Li2 S1'),
    ],
)
def test_what_is_changed_is_said(atoms, more, composition, note):
    found = read_cif(cif(SULFUR + atoms, more))
    assert found.structure.composition.as_dict() == pytest.approx({'S': 1, **composition})
    [said] = found.notes
    assert note in said


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('', 'no positions'),
        (cif_head(), 'no positions'),
        (cif('S1 S 0.5 0.5 0.5\nLi1 Li 0 0 0 1\n'), 'not a readable CIF'),
        (cif('Li1 Li ? ? ? 1\n'), 'cannot be read'),
        (cif('Ge1 Ge 0 0 0 0.9\nP1 P 0 0 0 0.5\n'), r'sum to 1\.4'),
        (cif('M1 M 0 0 0 1\n'), 'sites of M'),
        (cif('W1 Wat 0 0 0 1\n'), 'positions of H'),
        (cif(SULFUR, "_chemical_formula_sum 'Li2 S1'\n"), 'no position of Li'),
        (cif(SULFUR) + cif(SULFUR, name='y'), '2 crystals'),
    ],
)
def test_refusals_of_a_cif(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_cif(text, 'the file')


def test_one_of_several_crystals():
    text = cif_head('head') + cif(SULFUR) + cif('Li1 Li 0 0 0 1\n', name='y')
    assert [read_cif(text, index=index).structure.formula for index in (0, 1, -1)] == ['S1', 'Li1', 'Li1']


def test_poscar_of_vasp_6(tmp_path):
    """Its line of symbols carries the names and hashes of the potentials."""
    path = tmp_path / 'POSCAR.hash'
    rows = ['crystal', '1.0', '5.7 0 0', '0 5.7 0', '0 0 5.7', 'Li_sv/abcd S/efgh', '2 1', 'Direct']
    path.write_text('\n'.join([*rows, '0 0 0', '0.25 0.25 0.25', '0.5 0.5 0.5', '']))
    found = read_crystal(path)
    assert [site.specie.symbol for site in found.structure] == ['Li', 'Li', 'S']
    assert found.structure.lattice.a == 5.7
    path.write_text('\n'.join([*rows[:5], *rows[6:], '0 0 0', '0.25 0.25 0.25', '0.5 0.5 0.5', '']))
    with pytest.raises(ValueError, match='chemical symbols'):
        read_crystal(path)


def test_extxyz(tmp_path):
    """Labels are dropped, with a note; several frames need an index; molecules are no crystals."""
    path = tmp_path / 'crystal.extxyz'
    atoms = ase.Atoms('LiCl', [[0, 0, 0], [2.5, 2.5, 2.5]], cell=5 * np.eye(3), pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.zeros((2, 3)))
    write(path, atoms)
    found = read_crystal(path)
    assert found.structure.formula == 'Li1 Cl1'
    assert np.allclose(found.structure.cart_coords, atoms.positions)
    assert 'energy, forces' in found.notes[0]
    write(path, [atoms, atoms])
    with pytest.raises(ValueError, match='2 structures'):
        read_crystal(path)
    assert len(read_crystal(path, -1).structure) == 2
    write(path, ase.Atoms('H2O', [[0, 0, 0], [0, 0, 1], [0, 1, 0]]))
    with pytest.raises(ValueError, match='not periodic'):
        read_crystal(path)
    path.write_text('nonsense')
    with pytest.raises(ValueError, match=r'crystal\.extxyz cannot be read'):
        read_crystal(path)
