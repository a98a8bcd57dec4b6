"""Trajectories, crystals and tables of strangers: the file that was named, whole numbers, values that matter has."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write
from cif_text import cif
from click.testing import CliRunner
from hostile.mutations import _dump, _images, _xdatcar, tracks

from aiida_dpasse.cli.arrhenius import arrhenius
from aiida_dpasse.cli.experiment import experiment
from aiida_dpasse.cli.import_frames import frames as import_frames
from aiida_dpasse.cli.import_structure import structure as import_structure
from aiida_dpasse.cli.transport import transport
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.opening import open_plain
from aiida_dpasse.structures.crystal_file import read_crystal
from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.unreadable import UnreadableError

SHARED = Path(__file__).parents[3] / 'shared' / 'cases' / 'hostile'
shared = pytest.mark.skipif(not SHARED.is_dir(), reason='the shared cases are not beside this repository')


def run(command, *arguments) -> tuple[int, str]:
    """Return exit status and the output of a command, which ends with a status and not with an exception."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def refuse(command, *arguments) -> str:
    """Return the one sentence with which a command refuses its input, with exit status 2."""
    status, output = run(command, *arguments)
    assert status == 2, output
    said = [line for line in output.splitlines() if line.startswith('Error: ')]
    assert len(said) == 1, output
    assert len(said[0]) < 1000
    return said[0]


def walk(path: Path, *options) -> tuple[int, str]:
    """Analyse the lithium of a trajectory."""
    return run(transport, path, '--ion', 'Li', '--temperature', 600, '--interval', 100, *options)


# -- the file that was named -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['pick.extxyz@2', 'run@600K.extxyz', 'a@0', '@1.traj', 'x@:'])
def test_the_file_that_was_named_is_read(name, tmp_path):
    """ASE takes what follows an `@` for an index, and reads another file."""
    images = _images()
    fmt = 'traj' if name.endswith('traj') else 'extxyz'
    write(tmp_path / 'named', images, format=fmt)
    (tmp_path / 'named').rename(tmp_path / name)
    if (other := name.rpartition('@')[0]) and '.' in other:
        write(tmp_path / other, [Atoms('Na', cell=[3] * 3, pbc=True)] * 3, format=fmt)
    found, symbols, _ = tracks(tmp_path / name)
    assert (found.seen, symbols) == (len(images), ['Li'] * 6)
    status, output = run(import_frames, '--dry-run', '--minimum-distance', 0, '--format', fmt, tmp_path / name)
    assert (status, f'{len(images)} frames' in output) == (0, True), output


def test_a_structure_with_an_at_sign_is_read(tmp_path):
    for name in ('POSCAR@1', 'cell@600K.vasp'):
        write(tmp_path / 'POSCAR', _images()[0], format='vasp')
        (tmp_path / 'POSCAR').rename(tmp_path / name)
        assert len(read_crystal(tmp_path / name).structure) == 8


@shared
@pytest.mark.parametrize('name', ['pick.extxyz@2', 'run@600K.extxyz'])
def test_shared_names(name):
    assert tracks(SHARED / 'trajectories' / name)[0].seen > 0


def test_names_may_hold_anything(tmp_path):
    name = 'a\x1b[2Jb\nError: none.extxyz'
    (tmp_path / name).write_text('8\nnothing\n')
    status, output = walk(tmp_path / name)
    assert status == 2
    assert '\x1b' not in output
    assert 'Error: none' not in output.splitlines()


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('xy xz yz pp pp pp\n0 10 0\n0 10 0\n0 10 0\n', 'pp pp pp\n\n\n\n'),
        ('xy xz yz pp pp pp\n0 10 0\n0 10 0\n0 10 0\n', 'pp pp pp\n0\n0\n0\n'),
        ('xy xz yz pp pp pp\n0 10 0\n0 10 0\n0 10 0\n', 'pp pp pp\na b\na b\na b\n'),
        ('0 10 0\n0 10 0\n0 10 0\n', '0 10\n0 10\n0 10\n'),
        ('0 10 0\n0 10 0\n0 10 0\n', '10 0 0\n10 0 0\n10 0 0\n'),
        ('0 10 0\n0 10 0\n0 10 0\n', '0 0 0\n0 0 0\n0 0 0\n'),
        ('0 10 0\n', '0 nan 0\n'),
        ('\n1 1 Li', '\n99999999999999999999999 1 Li'),
        ('\n1 1 Li', '\nx 1 Li'),
        ('NUMBER OF ATOMS\n8', 'NUMBER OF ATOMS\n-8'),
        ('NUMBER OF ATOMS\n8', 'NUMBER OF ATOMS\n1_0'),
        ('NUMBER OF ATOMS\n8', 'NUMBER OF ATOMS\n\u00b2'),
        ('NUMBER OF ATOMS\n8', 'NUMBER OF ATOMS\n' + '9' * 5000),
        ('id type element', 'id kind name'),
        (' Li ', ' Foo '),
        (' Li ', ' \x1b[2J '),
        (' Li ', ' Na '),
        ('xu yu zu', 'xu yu'),
        ('TIMESTEP\n', 'TIMESTEP\n-'),
        ('TIMESTEP\n', 'TIMESTEP\n' + '9' * 30),
    ],
)
def test_dumps_with_wrong_frames_are_refused(old, new, tmp_path):
    _dump(tmp_path)
    text = (tmp_path / 'run.lammpstrj').read_text()
    assert old in text
    (tmp_path / 'run.lammpstrj').write_text(text.replace(old, new))
    refuse(transport, tmp_path / 'run.lammpstrj', '--ion', 'Li', '--temperature', 600, '--timestep', 1)


@shared
@pytest.mark.parametrize('path', sorted(SHARED.glob('trajectories/d_*')), ids=lambda path: path.name)
def test_shared_dumps(path):
    refuse(transport, path, '--ion', 'Li', '--temperature', 600, '--timestep', 1)


def test_a_frame_that_declares_too_many_atoms_costs_itself_only(tmp_path):
    _dump(tmp_path)
    path = tmp_path / 'run.lammpstrj'
    path.write_text(path.read_text().replace('NUMBER OF ATOMS\n8', 'NUMBER OF ATOMS\n999999999999', 1))
    reader = DumpReader([path])
    assert [step for step, _, _ in reader] == list(range(10, 120, 10))
    assert reader.unreadable == 1


@pytest.mark.parametrize('length', [0, 1, 5, 20])
def test_compressed_files_that_are_cut_are_refused_or_read_to_their_end(length, tmp_path):
    content = gzip.compress(b'ITEM: TIMESTEP\n0\n' * 100)
    (tmp_path / 'run.lammpstrj.gz').write_bytes(content[:length])
    refuse(transport, tmp_path / 'run.lammpstrj.gz', '--ion', 'Li', '--temperature', 600, '--timestep', 1)


def test_a_line_without_end_is_refused(tmp_path):
    (tmp_path / 'long').write_bytes(b'ITEM: TIMESTEP\n' + b'0' * (17 << 20))
    with open_plain(tmp_path / 'long') as handle, pytest.raises(UnreadableError, match='line of more than'):
        handle.read()


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        (2, 'nan'),
        (2, '0'),
        (2, ''),
        (3, '0 0 0'),
        (3, 'inf 0 0'),
        (6, 'Foo S'),
        (6, '../x S'),
        (6, 'Li'),
        (7, '-6 2'),
        (7, '6.5 2'),
        (7, '0 2'),
        (7, '999999999999 2'),
        (7, '\u00b2 2'),
        (7, '9' * 5000 + ' 2'),
    ],
)
def test_headers_of_xdatcar_are_checked(line, text, tmp_path):
    _xdatcar(tmp_path)
    lines = (tmp_path / 'XDATCAR').read_text().splitlines()
    lines[line - 1] = text
    (tmp_path / 'XDATCAR').write_text('\n'.join(lines) + '\n')
    refuse(transport, tmp_path / 'XDATCAR', '--ion', 'Li', '--temperature', 600, '--interval', 100)


@pytest.mark.parametrize(
    'content', [b'', b'\0' * 100, b'\xff\xfe\0\0', b'8\n', b'CDF\x01', b'\x89HDF\r\n\x1a\n', b'[' * 10**5]
)
def test_files_of_nothing_are_refused(content, tmp_path):
    (tmp_path / 'run').write_bytes(content)
    refuse(transport, tmp_path / 'run', '--ion', 'Li', '--temperature', 600, '--interval', 100)
    refuse(import_frames, '--dry-run', tmp_path / 'run')
    refuse(import_structure, '--dry-run', tmp_path / 'run')


def test_names_that_are_not_utf8_are_shown_and_read(tmp_path):
    path = tmp_path / os.fsdecode(b'run\xff.extxyz')
    write(tmp_path / 'run', _images(), format='extxyz')
    (tmp_path / 'run').rename(path)
    assert tracks(path)[0].seen == 12
    path.write_bytes(b'8\n')
    refuse(transport, path, '--ion', 'Li', '--temperature', 600, '--interval', 100)
    refuse(import_frames, '--dry-run', path)


def test_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / 'run.extxyz')
    refuse(transport, tmp_path / 'run.extxyz', '--ion', 'Li', '--temperature', 600, '--interval', 100)


@pytest.mark.parametrize('value', ['nan', 'inf', '1e300', '-1e12'])
def test_positions_are_finite_lengths(value, tmp_path):
    write(tmp_path / 'run.extxyz', _images(), format='extxyz')
    lines = (tmp_path / 'run.extxyz').read_text().splitlines()
    lines = [f'Li 0 {value} 0' if line.startswith('Li') else line for line in lines]
    (tmp_path / 'run.extxyz').write_text('\n'.join(lines) + '\n')
    refuse(transport, tmp_path / 'run.extxyz', '--ion', 'Li', '--temperature', 600, '--interval', 100)


# -- crystals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'atoms',
    [
        'Foo1 Foo 0 0 0 1\n',
        'Li1 Li nan 0 0 1\n',
        'Li1 Li 0 0 0 inf\n',
        'Li1 Li 0 0 0 -1\n',
        'Li1 Li 1e400 0 0 1\n',
        'Li1 Li 0 0 0\n',
        'Li1 Li x y z 1\n',
        '../../up ../../up 0 0 0 1\n',
    ],
)
def test_crystals_have_elements_and_finite_numbers(atoms, tmp_path):
    (tmp_path / 'a.cif').write_text(cif(atoms))
    refuse(import_structure, '--dry-run', tmp_path / 'a.cif')


@pytest.mark.parametrize('counts', ['-6 2', '999999999999 2', '9' * 5000, '6.5 2'])
def test_poscars_have_the_atoms_that_they_declare(counts, tmp_path):
    write(tmp_path / 'POSCAR', _images()[0], format='vasp')
    text = (tmp_path / 'POSCAR').read_text()
    assert '6   2' in text
    (tmp_path / 'POSCAR').write_text(text.replace('6   2', counts))
    refuse(import_structure, '--dry-run', tmp_path / 'POSCAR')


# -- tables ----------------------------------------------------------------------------------------------------------

HEAD = 'temperature_K,diffusivity_cm2_s,error_cm2_s,volume_A3,ions'
ROWS = [
    ['500', '1e-6', '1e-7', '1000', '24'],
    ['600', '4e-6', '4e-7', '1000', '24'],
    ['700', '1e-5', '1e-6', '1000', '24'],
    ['800', '2e-5', '2e-6', '1000', '24'],
]


def write_table(path: Path, column: int, value: str) -> Path:
    """Write a table with one value of its second row replaced."""
    rows = [list(row) for row in ROWS]
    rows[1][column] = value
    path.write_text('\n'.join([HEAD, *(','.join(row) for row in rows)]) + '\n')
    return path


@pytest.mark.parametrize(
    ('column', 'value'),
    [
        (4, '-3'),
        (4, '0'),
        (4, '0.3'),
        (4, 'inf'),
        (4, '1e300'),
        (3, '-1000'),
        (3, '0'),
        (3, 'inf'),
        (3, '1e-300'),
        (2, '1e-300'),
        (2, '0'),
        (2, '-1e-7'),
        (2, 'inf'),
        (1, '-4e-6'),
        (1, 'inf'),
        (1, '1e300'),
        (1, '1e-300'),
        (0, '1e9'),
        (0, '-600'),
        (0, '0'),
        (0, 'inf'),
        (0, '6 00 K'),
        (1, '1+2j'),
        (1, '0x10'),
        (1, '9' * 5000),
        (1, '"' + '1' * 200_000),
    ],
)
def test_values_that_matter_does_not_have_are_refused(column, value, tmp_path):
    """Line and column are named."""
    said = refuse(arrhenius, write_table(tmp_path / 'table.csv', column, value))
    assert 'Line 3' in said or 'line 3' in said


def test_the_sound_table_is_fitted(tmp_path):
    status, output = run(arrhenius, write_table(tmp_path / 'table.csv', 4, '24'), '--json', tmp_path / 'out.json')
    assert status == 0, output
    found = json.loads((tmp_path / 'out.json').read_text())
    assert found['activation_energy_eV'] == pytest.approx(0.36, abs=0.05)
    assert found['conductivity_mS_cm'] > 0


@shared
@pytest.mark.parametrize('path', sorted(SHARED.glob('arrhenius/*')), ids=lambda path: path.name)
def test_shared_tables(path):
    refuse(arrhenius, path)


@pytest.mark.parametrize(
    'content',
    [b'', b'\xff\xfe', b'\0' * 50, b'T (K),D (cm2/s)\n', b'T\n1\n', b'a\x1b[2Jb,c\n1,2\n', b'"a\nb",c\n1,2\n'],
)
def test_files_that_are_no_tables_are_refused(content, tmp_path):
    (tmp_path / 'table.csv').write_bytes(content)
    assert '\x1b' not in refuse(arrhenius, tmp_path / 'table.csv')


@pytest.mark.parametrize(
    'row',
    [
        'missing.dump,600,1',
        'x\0y,600,1',
        f'{"a" * 5000},600,1',
        'run.lammpstrj,1e9,1',
        'run.lammpstrj,600,1e300',
        ',600,1',
    ],
)
def test_tables_of_runs_name_files_and_temperatures(row, tmp_path):
    (tmp_path / 'runs.csv').write_text(f'file,temperature_K,timestep_fs\n{row}\n')
    refuse(transport, tmp_path / 'runs.csv', '--ion', 'Li', '--timestep', 1)


@pytest.mark.parametrize('ions', [-3, 0])
def test_no_conductivity_of_no_ions(ions):
    with pytest.raises(ValueError, match='positive'):
        conductivity(1e-6, ions, 1000.0, 600.0)


@pytest.mark.parametrize(
    'formula', ['', 'Foo', '(' * 500, 'Li' * 400, 'Li1e9', '\x1b[2J', 'Li-3', 'LiInf', 'Li9' + '9' * 90]
)
def test_what_is_no_formula_is_refused(formula):
    assert '\x1b' not in refuse(experiment, '--', formula)


def test_the_reader_changes_nothing(tmp_path):
    """Neither files beside the trajectory nor the trajectory."""
    _dump(tmp_path)
    shutil.copy(tmp_path / 'run.lammpstrj', tmp_path / 'copy')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tracks(tmp_path / 'run.lammpstrj')
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
