"""Frames from files: the numbers of the file, and an account of everything else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from vasp_files import ENERGIES, outcar, run_stand_in

from aiida_dpasse.data.conversion import sets_to_ase, sets_to_dpdata
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.reading import format_of, read_files
from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.unreadable import UnreadableError

TESTS = Path(__file__).parents[1]
NUMBERS = ('cells', 'positions', 'energies', 'forces', 'virials')
ORIGIN = ('sources', 'steps', 'deviations', 'reasons')


def read(path, **options) -> tuple[list[FrameSet], Intake]:
    """Return the frames of one file, and the account."""
    intake = Intake(options.pop('periodic', False))
    return concatenate(read_files([path], intake, **options)), intake


def assert_equal(found: list[FrameSet], expected: list[FrameSet], names=NUMBERS) -> None:
    """Two lists of sets agree bit by bit."""
    found, expected = concatenate(found), concatenate(expected)
    assert [(item.symbols, item.labels) for item in found] == [(item.symbols, item.labels) for item in expected]
    for one, two in zip(found, expected, strict=True):
        for name in names:
            first, second = getattr(one, name), getattr(two, name)
            assert np.array_equal(first, second, equal_nan=first.dtype.kind == 'f'), name


def write_system(folder: Path, symbols=('H', 'O'), type_map=('H', 'O'), layout='npy', **arrays) -> Path:
    """Write a system of one frame with energy and forces, atoms 1 A apart in a cell of 4 A, and further arrays."""
    atoms = len(symbols)
    given = {'coord': [[[index, 0, 0] for index in range(atoms)]], 'box': 4 * np.eye(3)[None], 'energy': [-1.0]}
    given |= {'force': np.zeros((1, atoms, 3)), **arrays}
    target = folder / 'set.000' if layout == 'npy' else folder
    target.mkdir(parents=True)
    for name, values in given.items():
        rows = np.asarray(values, dtype=float).reshape(1, -1)
        if layout == 'npy':
            np.save(target / f'{name}.npy', rows)
        else:
            np.savetxt(target / f'{name}.raw', rows)
    names = list(dict.fromkeys(symbols))
    (folder / 'type.raw').write_text(''.join(f'{names.index(symbol)}\n' for symbol in symbols))
    if type_map:
        (folder / 'type_map.raw').write_text('\n'.join(type_map))
    return folder


# -- DeePMD-kit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('fmt', 'options'),
    [
        ('deepmd/npy', {}),
        ('deepmd/raw', {}),
        ('deepmd/hdf5', {}),
        ('deepmd/npy/mixed', {'atom_numb_pad': 5}),
        ('deepmd/hdf5/mixed', {}),
    ],
)
def test_every_layout_gives_the_same_numbers(fmt, options, pair_frames, tmp_path):
    """Also padded with virtual atoms, of type -1, to ten atoms a frame."""
    sets_to_dpdata(pair_frames).to(fmt, str(tmp_path / 'data'), **options)
    found, intake = read(tmp_path / 'data')
    assert_equal(found, pair_frames)
    assert not intake.notes()


def test_systems_without_periodic_boundaries_are_refused(tmp_path, aiida_profile):
    folder = write_system(tmp_path / 'sys')
    (folder / 'nopbc').touch()
    with pytest.raises(ValueError, match='open boundaries'):
        read_dataset(tmp_path)
    with pytest.raises(ValueError, match='open boundaries'):
        FramesData.from_directory(tmp_path)
    with pytest.warns(UserWarning, match='open boundaries') as said:
        node = FramesData.from_directory(tmp_path, periodic=True)
    assert node.frames == 1
    assert node.notes == [str(item.message) for item in said]
    write_system(tmp_path / 'crystal')
    with pytest.warns(UserWarning, match='Left out: 1 frame'):
        assert FramesData.from_directory(tmp_path, skip=True).frames == 1


def test_raw_systems_beside_npy_are_read(tmp_path):
    write_system(tmp_path / 'sys_npy')
    write_system(tmp_path / 'sys_raw', layout='raw', energy=[-2.0])
    [item] = concatenate(read_dataset(tmp_path))
    assert item.energies.tolist() == [-1.0, -2.0]


def test_raw_files_beside_sets_are_the_same_frames(tmp_path):
    """As after raw_to_set.sh; a different number of them is not."""
    folder = write_system(tmp_path / 'sys')
    rows = np.load(folder / 'set.000' / 'coord.npy')
    np.savetxt(folder / 'coord.raw', rows)
    assert sum(len(item) for item in read_dataset(tmp_path)) == 1
    np.savetxt(folder / 'coord.raw', np.tile(rows, (3, 1)))
    with pytest.raises(ValueError, match='1 frames in its sets and 3 in its raw'):
        read_dataset(tmp_path)


def test_a_type_map_is_for_systems_without(tmp_path, aiida_profile):
    write_system(tmp_path / 'sys', type_map=())
    with pytest.raises(ValueError, match='type_map'):
        read_dataset(tmp_path)
    assert FramesData.from_directory(tmp_path, ['Li', 'S']).formulas == {'Li1S1': 1}
    write_system(tmp_path / 'other')
    assert FramesData.from_directory(tmp_path, ['Li', 'S']).formulas == {'H1O1': 1, 'Li1S1': 1}


@pytest.mark.parametrize('names', [('Type_0', 'Type_1'), ('HW', 'OW')])
def test_names_that_are_no_elements_are_refused(names, tmp_path, aiida_profile):
    write_system(tmp_path / 'sys', type_map=names)
    with pytest.raises(ValueError, match=names[0]):
        FramesData.from_directory(tmp_path)
    assert FramesData.from_directory(tmp_path, ['H', 'O']).formulas == {'H1O1': 1}
    with pytest.raises(ValueError, match=names[0]):
        FramesData.from_sets([FrameSet.sort_atoms(names, [np.eye(3)], np.zeros((1, 2, 3)))])


@pytest.mark.parametrize('layout', ['npy', 'raw'])
def test_arrays_that_are_not_kept_are_named(layout, tmp_path):
    """All that DeePMD-kit knows and a frame here has no place for."""
    names = ['aparam', 'atom_dipole', 'atom_ener', 'atom_pref', 'force_mag', 'fparam', 'hessian', 'spin']
    write_system(tmp_path / 'sys', layout=layout, **{name: np.zeros(6) for name in names})
    found, intake = read(tmp_path)
    assert found[0].labels == ('energy', 'force')
    assert intake.dropped == [f'`{name}`' for name in names]
    assert len(intake.notes()) == len(names)
    with pytest.warns(UserWarning, match='spin'):
        read_dataset(tmp_path)


def test_a_set_of_one_frame_needs_no_dimension_of_frames(tmp_path):
    """DeePMD-kit reads it."""
    folder = write_system(tmp_path / 'sys') / 'set.000'
    for name in ('coord', 'box', 'energy', 'force'):
        np.save(folder / f'{name}.npy', np.load(folder / f'{name}.npy').reshape(-1))
    [item] = read_dataset(tmp_path)
    assert item.positions[0].tolist() == [[0, 0, 0], [1, 0, 0]]


def test_overlapping_atoms_are_refused(tmp_path):
    write_system(tmp_path / 'sys', coord=np.ones((1, 2, 3)))
    found, intake = read(tmp_path)
    assert not found
    with pytest.raises(ValueError, match=r'closer than 0\.5 A'):
        intake.close()
    assert len(intake.close(skip=True)) == 1
    assert len(read_files([tmp_path], Intake(minimum_distance=None))) == 1


def test_left_handed_cells_describe_the_same_crystal(tmp_path):
    """Lattice vectors are exchanged, positions and forces stay."""
    cell = np.array([[0, 4, 0], [5.0, 0, 0], [0, 0, 6]])
    write_system(tmp_path / 'sys', box=cell, force=np.arange(6))
    [item], intake = read(tmp_path)
    assert item.cells[0].tolist() == cell[[1, 0, 2]].tolist()
    assert item.positions[0].tolist() == [[0, 0, 0], [1, 0, 0]]
    assert item.forces[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    [line] = intake.notes()
    assert line.startswith('Changed: 1 frame, left-handed')


@pytest.mark.parametrize('name', ['coord', 'box', 'energy', 'force'])
def test_numbers_that_are_not_finite_are_refused(name, tmp_path):
    write_system(tmp_path / 'sys')
    file = tmp_path / 'sys' / 'set.000' / f'{name}.npy'
    np.save(file, np.load(file) * np.nan)
    with pytest.raises(ValueError, match='1 frame with NaN'):
        read(tmp_path)[1].close()


def test_systems_behind_links_are_read_once(tmp_path):
    """DP-GEN links the data of an iteration into the folders of the trainings."""
    write_system(tmp_path / 'far' / 'sys')
    (tmp_path / 'data').mkdir()
    for name in ('a', 'b'):
        (tmp_path / 'data' / name).symlink_to(tmp_path / 'far' / 'sys')
    (tmp_path / 'far' / 'sys' / 'loop').symlink_to(tmp_path / 'far')
    assert sum(len(item) for item in read_dataset(tmp_path)) == 1


def test_links_out_of_a_folder_are_named_and_not_followed(tmp_path):
    write_system(tmp_path / 'far' / 'sys')
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'a').symlink_to(tmp_path / 'far' / 'sys')
    with pytest.raises(UnreadableError, match=r'\(a\): name their targets'):
        read_dataset(tmp_path / 'data')
    write_system(tmp_path / 'data' / 'b')
    found, intake = read(tmp_path / 'data')
    assert sum(len(item) for item in found) == 1
    assert any('(a)' in line for line in intake.notes())


def test_the_source_of_a_frame_is_where_it_was_read(pair_frames, tmp_path):
    write_system(tmp_path / 'first' / 'sys')
    [item], _ = read(tmp_path / 'first')
    assert item.sources.tolist() == ['first/sys/set.000']
    write_dataset([item.with_origin(sources='md_0003')], tmp_path / 'again')
    assert read(tmp_path / 'again')[0][0].sources.tolist() == ['md_0003']


# -- extxyz and ASE --------------------------------------------------------------------------------------------------


@pytest.fixture
def images(pair_frames) -> list[Atoms]:
    """Frames as MACE and GAP write them, with nothing under the names of ASE."""
    found = sets_to_ase([item.with_labels() for item in pair_frames])
    items = ((item, frame) for item in pair_frames for frame in range(len(item)))
    for atoms, (item, frame) in zip(found, items, strict=True):
        atoms.info |= {'REF_energy': item.energies[frame], 'REF_virial': item.virials[frame], 'config_type': 'bulk'}
        atoms.arrays['REF_forces'] = item.forces[frame]
    return found


def test_labels_are_found_by_their_names(images, pair_frames, tmp_path):
    write(tmp_path / 'mace.xyz', images)
    names = {'energy': 'REF_energy', 'forces': 'REF_forces', 'virial': 'REF_virial'}
    found, intake = read(tmp_path / 'mace.xyz', keys=names)
    # ASE writes eight decimals of atoms.
    for one, two in zip(found, concatenate(pair_frames), strict=True):
        assert np.array_equal(one.energies, two.energies)
        assert np.allclose(one.virials, two.virials, rtol=0, atol=1e-12)
        assert np.allclose(one.forces, two.forces, rtol=0, atol=6e-9)
    assert intake.dropped == ['`config_type`']
    found, intake = read(tmp_path / 'mace.xyz')
    assert [item.labels for item in found] == [(), ()]
    assert intake.dropped == ['`REF_energy`', '`REF_forces`', '`REF_virial`', '`config_type`']
    with pytest.raises(ValueError, match='`dft_energy`'):
        read(tmp_path / 'mace.xyz', keys={'energy': 'dft_energy'})
    with pytest.raises(ValueError, match='`hessian`'):
        read(tmp_path / 'mace.xyz', keys={'hessian': 'hessian'})
    found, intake = read(tmp_path / 'mace.xyz', keys={'forces': 'REF_forces'})
    with pytest.raises(ValueError, match='without energy'):
        intake.close()


def test_the_stress_becomes_the_virial(tmp_path):
    """The virial is minus the stress times the volume; one that contradicts the stress is refused."""
    line = 'Lattice="2 0 0 0 3 0 0 0 4" Properties=species:S:1:pos:R:3 energy=-1 '
    stress = 'stress="1 4 6 4 2 5 6 5 3"'
    expected = -24.0 * np.array([[1, 4, 6], [4, 2, 5], [6, 5, 3]])

    def virial_of(text: str, **options) -> tuple[list, Intake]:
        (tmp_path / 'one.xyz').write_text(f'1\n{line}{text}\nLi 0 0 0\n')
        found, intake = read(tmp_path / 'one.xyz', **options)
        return [item.virials[0].tolist() for item in found], intake

    assert virial_of(stress)[0] == pytest.approx(np.array([expected]))
    keys = {'energy': 'energy', 'stress': 'dft_stress'}
    assert virial_of('dft_stress="1 2 3 5 6 4"', keys=keys)[0] == pytest.approx(np.array([expected]))
    same = f'virial="{" ".join(str(number) for number in expected.reshape(-1))}"'
    assert virial_of(f'{stress} {same}')[0] == [expected.tolist()]
    opposite = same.replace('-', '')
    found, intake = virial_of(f'{stress} {opposite}')
    assert not found
    with pytest.raises(ValueError, match='contradict'):
        intake.close()
    assert virial_of(f'{stress} {opposite}', keys={'energy': 'energy', 'virial': 'virial'})[0] == [(-expected).tolist()]


def test_labels_in_other_units_are_refused(tmp_path):
    """GAP's files may name units, which ASE does not convert; dpdata does."""
    line = 'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:force:R:3 energy=-1 energy-unit={} pbc="T T T"'
    path = tmp_path / 'one.xyz'
    path.write_text(f'1\n{line.format("hartree")}\nLi 0 0 0 0 0 0\n')
    with pytest.raises(ValueError, match='energy-unit hartree'):
        read(path)[1].close()
    [item], _ = read(path, fmt='quip/gap/xyz')
    assert item.energies == pytest.approx([-27.211386], abs=1e-6)
    path.write_text(f'1\n{line.format("eV")}\nLi 0 0 0 0 0 0\n')
    [item], intake = read(path)
    assert (item.energies.tolist(), intake.notes()) == ([-1], [])


def test_frames_of_xyz_that_are_no_crystals_are_refused(images, tmp_path):
    for atoms in images[:2]:
        atoms.pbc = (True, True, False)
    write(tmp_path / 'slabs.xyz', images)
    found, intake = read(tmp_path / 'slabs.xyz')
    assert sum(len(item) for item in found) == len(images) - 2
    with pytest.raises(ValueError, match='2 frames with open boundaries'):
        intake.close()
    assert sum(len(item) for item in read(tmp_path / 'slabs.xyz', periodic=True)[0]) == len(images)
    write(tmp_path / 'molecule.xyz', Atoms('H2', [[0, 0, 0], [0, 0, 0.74]]))
    with pytest.raises(ValueError, match='no cell'):
        read(tmp_path / 'molecule.xyz', periodic=True)[1].close()


def test_damaged_xyz_files_are_refused(images, tmp_path):
    """Frames behind an empty line are read, where ASE's reader ends."""
    path = tmp_path / 'two.xyz'
    write(path, images[0])
    text = path.read_text()
    path.write_text(f'{text}\n{text}')
    found, _ = read(path)
    assert len(found[0]) == 2
    path.write_text(text + text[:-60])
    with pytest.raises(ValueError, match=r'Frame 2 of `two\.xyz`'):
        read(path)
    path.write_text(text.replace('\nCl', '\nCW'))
    with pytest.raises(ValueError, match='no element'):
        read(path)


def test_ase_files_say_what_they_held(tmp_path):
    """The energy at zero smearing is not that whose derivatives the forces are; magnetic moments have no place."""
    atoms = Atoms('LiCl', [[0, 0, 0], [2.5, 0, 0]], cell=[5, 5, 5], pbc=True)
    results = {'energy': -1.0, 'free_energy': -1.25, 'forces': np.ones((2, 3)), 'magmoms': np.ones(2)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    for name in ('a.traj', 'a.db'):
        write(tmp_path / name, [atoms, atoms])
        [item], intake = read(tmp_path / name)
        assert (item.energies.tolist(), item.labels) == ([-1, -1], ('energy', 'force'))
        assert intake.dropped == ['`free_energy`', '`magmoms`']
        [item], _ = read(tmp_path / name, keys={'energy': 'free_energy', 'forces': 'forces'})
        assert item.energies.tolist() == [-1.25, -1.25]


def test_results_of_a_calculator_are_labels_without_notes(aiida_profile):
    """Its own by-products are not somebody's data, and no moment at all is no loss."""
    atoms = bulk('Cu', cubic=True)
    atoms.calc = EMT()
    atoms.get_stress()
    node = FramesData.from_ase([atoms])
    assert (node.labels, node.notes) == (['energy', 'force', 'virial'], [])
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, magmoms=np.zeros(4), energies=np.ones(4))
    with pytest.warns(UserWarning, match='`energies`'):
        assert len(FramesData.from_ase([atoms]).notes) == 1


def test_partial_occupancies_and_structures_are_refused(tmp_path):
    atoms = Atoms('Li', cell=[4, 4, 4], pbc=True)
    write(tmp_path / 'half.cif', atoms)
    text = (tmp_path / 'half.cif').read_text()
    (tmp_path / 'half.cif').write_text(text.replace('1.0000', '0.5000'))
    with pytest.raises(ValueError, match='import structure'):
        read(tmp_path / 'half.cif')
    with pytest.raises(ValueError, match='partial occupancies'):
        read(tmp_path / 'half.cif', fmt='ase')[1].close()


def test_formats_that_nobody_knows_are_refused(tmp_path, aiida_profile):
    (tmp_path / 'notes.txt').write_text('hello\n')
    with pytest.raises(ValueError, match='not recognised'):
        format_of(tmp_path / 'notes.txt')
    with pytest.raises(ValueError, match='neither'):
        format_of(tmp_path)
    with pytest.raises(ValueError, match='`nonsense`'):
        read(tmp_path / 'notes.txt', fmt='nonsense')
    with pytest.raises(ValueError, match='no file'):
        FramesData.from_file(tmp_path / 'missing')


# -- programs and dpdata ---------------------------------------------------------------------------------------------


def test_outcar_gives_its_frames(tmp_path, aiida_profile):
    """In the orientation of VASP, with the sign of its stress, whoever names the format."""
    path = tmp_path / 'OUTCAR'
    path.write_text(outcar(True, True))
    node = FramesData.from_file(path, 'vasp/outcar')
    assert (node.frames, node.labels, node.notes) == (2, ['energy', 'force', 'virial'], [])
    [item] = node.sets()
    assert item.symbols == ('Cl', 'Li')
    assert item.energies.tolist() == list(ENERGIES)
    assert item.cells[0].tolist() == [[0, 4, 0], [0, 0, 4], [4, 0, 0]]
    assert item.positions[1].tolist() == [[2, 0, 2], [0, 0, 0]]
    assert item.forces[0].tolist() == [[-0.1, -0.2, -0.3], [0.1, 0.2, 0.3]]
    kilobar = np.array([[10, 1, 3], [1, 10, 2], [3, 2, 10]])
    assert item.virials[0] == pytest.approx(kilobar * 64 / 1602.1766, rel=1e-6)
    assert_equal(read(path)[0], node.sets())


def test_unconverged_steps_of_outcar_are_left_out(tmp_path):
    (tmp_path / 'OUTCAR').write_text(outcar(False, True))
    [item], intake = read(tmp_path)
    assert item.energies.tolist() == [ENERGIES[1]]
    [line] = intake.close()
    assert line.startswith('Left out: 1 frame with electrons that did not converge')
    (tmp_path / 'OUTCAR').write_text(outcar(False))
    assert read(tmp_path)[0] == []
    # With NWRITE = 0 forces are written in few steps only.
    (tmp_path / 'OUTCAR').write_text(outcar(True, True) + '--- Iteration 9(   1) ---\n')
    [item], intake = read(tmp_path)
    assert (len(item), intake.close()[0][:22]) == (2, 'Left out: 7 frames wit')
    (tmp_path / 'OUTCAR').write_text(outcar())
    with pytest.raises(ValueError, match='OUTCAR'):
        read(tmp_path)


def test_a_run_of_vasp_is_a_folder_or_a_file(tmp_path):
    """The digits are those of vasprun.xml, and convergence is stated in OUTCAR, or seen in energies."""
    run_stand_in(tmp_path)
    whole, intake = read(tmp_path)
    assert (len(whole[0]), whole[0].labels) == (3, ('energy', 'force', 'virial'))
    assert_equal(read(tmp_path / 'vasprun.xml')[0], whole)
    text = (tmp_path / 'vasprun.xml').read_text()
    (tmp_path / 'vasprun.xml').write_text(text[: text.rindex('<scstep>')])
    [item], intake = read(tmp_path)
    assert item.energies.tolist() == whole[0].energies.tolist()[:2]
    assert [line[:32] for line in intake.close()] == ['Left out: 1 frame with an end th']
    (tmp_path / 'vasprun.xml').write_text(text)
    (tmp_path / 'OUTCAR').rename(tmp_path / 'moved')
    [item], intake = read(tmp_path / 'vasprun.xml')
    assert item.energies.tolist() == whole[0].energies.tolist()
    assert item.virials == pytest.approx(whole[0].virials, rel=1e-6)
    text = (tmp_path / 'vasprun.xml').read_text()
    before, _, cycle = text.rpartition('<scstep>')
    (tmp_path / 'vasprun.xml').write_text(
        before + '<scstep>' + re.sub(r'(?<=e_fr_energy">)\s*\S+', ' 99.0', cycle, count=1)
    )
    [item], intake = read(tmp_path / 'vasprun.xml')
    assert len(item) == 2
    [line] = intake.close()
    assert line.startswith('Left out: 1 frame')


def test_a_run_of_cp2k_is_a_folder(tmp_path):
    """Of the three frames in the fixtures the second one is not converged."""
    folder = shutil.copytree(TESTS / 'cp2k' / 'fixtures', tmp_path / 'run')
    [item], intake = read(folder)
    assert (len(item), item.labels) == (2, ('energy', 'force', 'virial'))
    assert item.energies[0] == pytest.approx(-31.2952, abs=1e-3)
    assert [line[:20] for line in intake.close()] == ['Left out: 1 frame wi']
    assert_equal(read(folder / 'aiida-pos-1.xyz')[0], [item])
    (folder / 'aiida-frc-1.xyz').unlink()
    with pytest.raises(ValueError, match='aiida-frc-1'):
        read(folder)


def test_other_formats_are_those_of_dpdata(tmp_path):
    """Cells are not turned, types need elements, and what has no place is named."""
    poscar = 'LiCl\n1.0\n0 4 0\n0 0 4\n4 0 0\nLi Cl\n1 1\nSelective dynamics\nDirect\n0 0 0 T T F\n0.5 0 0 T T T\n'
    (tmp_path / 'POSCAR').write_text(poscar)
    [item], intake = read(tmp_path / 'POSCAR', fmt='vasp/poscar')
    assert item.cells[0].tolist() == [[0, 4, 0], [0, 0, 4], [4, 0, 0]]
    assert intake.dropped == ['`move`']
    frame = 'ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 5\n0 5\n0 5\n'
    text = ''.join(frame.format(step) + 'ITEM: ATOMS id type x y z\n1 1 0 0 0\n2 2 2.5 0 0\n' for step in (0, 10))
    (tmp_path / 'a.dump').write_text(text)
    # ASE would take the types 1 and 2 for hydrogen and helium.
    found, intake = read(tmp_path / 'a.dump')
    assert not found
    with pytest.raises(ValueError, match='no elements'):
        intake.close()
    [item], _ = read(tmp_path / 'a.dump', type_map=['Li', 'Cl'])
    assert (item.formula, len(item)) == ('Cl1Li1', 2)
    with pytest.raises(ValueError, match='`vasp/poscar`'):
        read(tmp_path / 'a.dump', fmt='vasp/poscar')


# -- and back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('name', 'fmt'), [('a.extxyz', None), ('a', 'npy'), ('a', 'mixed'), ('a.db', None)])
def test_exports_give_the_same_numbers_again(name, fmt, pair_frames, tmp_path, aiida_profile):
    """With the origin of the frames, also where it looks like a number; virials need not be symmetric."""
    first, second = pair_frames
    count = len(first)
    first = first.with_origin(
        sources='007', steps=np.arange(count), deviations=np.linspace(0.1, 0.2, count), reasons='T'
    )
    virials = second.virials + np.arange(9).reshape(3, 3) * 1e-9
    second = second.with_labels(second.energies, second.forces, virials).with_origin(
        sources='it is "new"', reasons='perturbed at scale 1'
    )
    bare = first.with_labels().with_origin(sources='bare')
    bare = FrameSet(bare.symbols, bare.cells, bare.positions + 0.01, sources='bare')
    node = FramesData.from_sets([first, second, bare])
    path = node.to_file(tmp_path / name, fmt)
    again = FramesData.from_file(path)
    assert_equal(again.sets(), node.sets(), (*NUMBERS[:2], *ORIGIN))
    labelled = [[item for item in one.sets() if item.labelled] for one in (again, node)]
    assert_equal(*labelled, (*NUMBERS, *ORIGIN))
    assert again.notes == []
    with pytest.raises(ValueError, match='exists'):
        node.to_file(path, fmt)
    if fmt == 'npy':
        copy = again.to_file(tmp_path / 'again', fmt)
        for file in path.rglob('*.npy'):
            assert (copy / file.relative_to(path)).read_bytes() == file.read_bytes()


def test_exports_need_a_known_format_and_all_elements(pair_frames, tmp_path, aiida_profile):
    node = FramesData.from_sets(pair_frames)
    for fmt, type_map, message in (('xsf', None, '`xsf`'), ('mixed', ['Li'], 'type map'), ('npy', ['Li'], 'mixed')):
        with pytest.raises(ValueError, match=message):
            node.to_file(tmp_path / 'out', fmt, type_map)
