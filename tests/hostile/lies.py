"""Small files that declare huge contents, for readers which would believe them: name, what writes it, what reads it."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hostile.mutations import ENTRANCES, frames, sample, tracks

from aiida_dpasse.cli.columns import read_measurements
from aiida_dpasse.data.reading import read_files
from aiida_dpasse.deepmd.arrays import read_archive
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.structures.crystal_file import read_crystal

HUGE = 10**11


def _npy(folder: Path, header: str) -> None:
    """Write a dataset whose positions have this header and one frame of numbers."""
    place = folder / 'sys' / 'set.000'
    place.mkdir(parents=True)
    (folder / 'sys' / 'type.raw').write_text('0\n')
    (folder / 'sys' / 'type_map.raw').write_text('Li\n')
    np.save(place / 'box.npy', np.eye(3).reshape(1, 9))
    text = header.ljust(117) + '\n'
    content = b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode() + bytes(24)
    (place / 'coord.npy').write_bytes(content)


def _shape(shape: str, kind: str = "'<f8'") -> Callable[[Path], None]:
    return lambda folder: _npy(folder, f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}")


def _replace(name: str, source: str, old: str, new: str) -> Callable[[Path], None]:
    """Write the sound input of a reader with one text of it replaced."""

    def write(folder: Path) -> None:
        text = (sample(ENTRANCES[source]) / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return write


def _bomb(name: str, unit: bytes, times: int) -> Callable[[Path], None]:
    """Write a gzip file of many times the same."""

    def write(folder: Path) -> None:
        with gzip.open(folder / name, 'wb', 9) as file:
            for _ in range(times):
                file.write(unit)

    return write


def _poscar(folder: Path) -> None:
    _replace('POSCAR', 'POSCAR', ' 6   2', f' {HUGE} 2')(folder)


def _hdf5(folder: Path) -> None:
    with h5py.File(folder / 'data.hdf5', 'w') as file:
        group = file.create_group('sys')
        group['type.raw'] = [0]
        group['type_map.raw'] = ['Li']
        group.create_dataset('set.000/coord.npy', (HUGE, 3), '<f8', chunks=(1000, 3), compression='gzip')
        group.create_dataset('set.000/box.npy', (HUGE, 9), '<f8', chunks=(1000, 9), compression='gzip')


def _dcd(folder: Path) -> None:
    content = (sample(ENTRANCES['DCD']) / 'run.dcd').read_bytes()
    # Number of frames, in the first record.
    (folder / 'run.dcd').write_bytes(content[:8] + struct.pack('<i', 2**31 - 1) + content[12:])
    (folder / 'topology.extxyz').write_bytes((sample(ENTRANCES['DCD']) / 'topology.extxyz').read_bytes())


def _npz(folder: Path) -> None:
    with zipfile.ZipFile(folder / 'x.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({HUGE},), }}".ljust(117) + '\n'
        archive.writestr(
            'x.npy', b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode() + bytes(10**7)
        )


def _holes(folder: Path) -> None:
    """Write a file of 100 GB that takes no room: a dump that ends nowhere."""
    with (folder / 'run.lammpstrj').open('wb') as file:
        file.write(b'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n')
        file.truncate(HUGE)


def _dump(name: str = 'run.lammpstrj') -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        list(DumpReader([folder / name]))
        tracks(folder / name)

    return read


FRAME = (
    b'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n'
    b'ITEM: ATOMS id type xu yu zu\n1 1 0 0 0\n'
)
#: Each: what writes the input, what reads it.
LIES: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    'npy of many frames': (_shape(f'({HUGE}, 3)'), frames),
    'npy of many dimensions': (_shape('(' + '1,' * 60 + ')'), frames),
    'npy of negative length': (_shape('(-1, 3)'), frames),
    'npy of objects': (_shape('(1, 3)', "'|O'"), frames),
    'npy of long texts': (_shape('(1,)', f"'<U{2**30}'"), frames),
    'npy of nothing': (_shape(f'({HUGE}, 3)', "'<U0'"), frames),
    'npy of structures': (_shape('(1,)', "[('a', '<f8', (1000000, 1000000))]"), frames),
    'npy of deep header': (lambda folder: _npy(folder, '(' * 5000), frames),
    'npz of much': (_npz, lambda folder: read_archive((folder / 'x.npz').read_bytes(), 'x.npz')),
    'hdf5 of many frames': (_hdf5, lambda folder: frames(folder / 'data.hdf5')),
    'XDATCAR of many atoms': (
        _replace('XDATCAR', 'XDATCAR', '  6   ', f'  {HUGE}   '),
        lambda folder: tracks(folder / 'XDATCAR'),
    ),
    'extxyz of many atoms': (
        _replace('run.extxyz', 'extxyz', '8\n', f'{HUGE}\n'),
        lambda folder: tracks(folder / 'run.extxyz'),
    ),
    'extxyz of many atoms as frames': (
        _replace('run.extxyz', 'extxyz as frames', '12\n', f'{HUGE}\n'),
        lambda folder: frames(folder / 'run.extxyz'),
    ),
    'extxyz of many columns': (
        _replace('run.extxyz', 'extxyz', 'pos:R:3', f'pos:R:{HUGE}'),
        lambda folder: tracks(folder / 'run.extxyz'),
    ),
    'extxyz of many columns as frames': (
        _replace('run.extxyz', 'extxyz as frames', 'forces:R:3', f'forces:R:{HUGE}'),
        lambda folder: frames(folder / 'run.extxyz'),
    ),
    'dump of many atoms': (
        _replace('run.lammpstrj', 'dump', 'ATOMS\n8\n', f'ATOMS\n{HUGE}\n'),
        lambda folder: frames(folder / 'run.lammpstrj', 'lammps-dump-text'),
    ),
    'dump with holes': (_holes, _dump()),
    'gzip of zeros': (_bomb('run.lammpstrj.gz', bytes(1 << 20), 1000), _dump('run.lammpstrj.gz')),
    'gzip of one frame': (_bomb('run.lammpstrj.gz', FRAME * 10_000, 400), _dump('run.lammpstrj.gz')),
    'gzip of extxyz': (
        _bomb(
            'run.extxyz.gz', b'1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nLi 0 0 0\n' * 10_000, 400
        ),
        lambda folder: frames(folder / 'run.extxyz.gz'),
    ),
    'POSCAR of many atoms': (_poscar, lambda folder: read_crystal(folder / 'POSCAR')),
    'OUTCAR of many steps': (
        _replace('OUTCAR', 'OUTCAR', 'Iteration      2', f'Iteration {HUGE}'),
        lambda folder: read_files([folder / 'OUTCAR'], Intake()),
    ),
    'DCD of many frames': (_dcd, lambda folder: tracks(folder / 'run.dcd', topology=folder / 'topology.extxyz')),
    'table with a long field': (
        lambda folder: (folder / 'table.csv').write_text(f'T (K),D (cm2/s)\n500,"{"1" * 200_000}"\n'),
        lambda folder: read_measurements(folder / 'table.csv'),
    ),
    'table with many columns': (
        lambda folder: (folder / 'table.csv').write_text('x,' * 2_000_000 + '\n1\n'),
        lambda folder: read_measurements(folder / 'table.csv'),
    ),
}
#: Lies about what is not needed, which is left out or counted as damaged: the rest of the file is read.
HARMLESS = ('OUTCAR of many steps', 'dump of many atoms', 'DCD of many frames', 'npy of many dimensions')
