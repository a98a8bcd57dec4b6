"""Datasets in DeePMD-kit's layout: one directory per formula, one ``set.NNNN`` per source, ``.npy`` arrays.

Depends on numpy only (HDF5 on h5py), since it is shipped with the drivers to the compute machine.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.arrays import NUMBERS, TEXTS, check_kind, load_array
from aiida_dpasse.deepmd.frameset import FIELDS, LABELS, ORIGIN, FrameSet, check_names
from aiida_dpasse.deepmd.intake import Intake, pseudo_elements
from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError, check_regular, reading

#: Name of each part of the origin of a frame in files, by its field in `FrameSet`.
ORIGIN_NAMES = {'sources': 'source', 'steps': 'step', 'deviations': 'deviation', 'reasons': 'reason'}
#: Names of the arrays that are read, or made anew (``id``); others are dropped.
KNOWN = {'coord', 'box', 'real_atom_types', 'type', 'type_map', 'id', *LABELS, *ORIGIN_NAMES.values()}
#: Arrays of texts; all others hold numbers.
TEXT_ARRAYS = ('source', 'reason', 'id')
#: Type of the atoms that fill up the frames of the mixed layout.
PADDING = -1
#: Most elements of a type map; there are 118.
MOST_TYPES = 1000
#: An array of an HDF5 file may be compressed by this ratio, and is read in any case up to this number of bytes.
HDF5_RATIO, HDF5_SMALL = 200, 64 << 20


def set_arrays(frames: FrameSet) -> dict[str, NDArray[Any]]:
    """Return the arrays of one ``set.NNNN`` directory, keyed by file name without ``.npy``.

    :param frames: the frames of the set.
    :returns: for n frames of N atoms: ``coord`` (n, 3 N) A, ``box`` (n, 9) A, the labels flattened likewise, the origin
        of the frames and their ``id`` (n,).
    """
    n = len(frames)
    arrays: dict[str, NDArray[Any]] = {'coord': frames.positions.reshape(n, -1), 'box': frames.cells.reshape(n, 9)}
    for label in frames.labels:
        values = getattr(frames, FIELDS[label])
        arrays[label] = values if values.ndim == 1 else values.reshape(n, -1)
    arrays |= {ORIGIN_NAMES[name]: getattr(frames, name) for name in ORIGIN}
    return arrays | {'id': frames.ids}


def system_files(symbols: Sequence[str]) -> dict[str, str]:
    """Return the contents of ``type.raw`` and ``type_map.raw`` of a directory, by file name.

    :param symbols: element of each atom.
    """
    type_map = sorted(set(symbols))
    types = ''.join(f'{type_map.index(symbol)}\n' for symbol in symbols)
    return {'type.raw': types, 'type_map.raw': ''.join(f'{symbol}\n' for symbol in type_map)}


def numbered(sets: Iterable[FrameSet]) -> list[tuple[str, FrameSet]]:
    """Assign each non-empty set its path, ``<formula>/set.NNNN``, numbered within its formula in the order given.

    :param sets: the frames.
    :returns: path and set of each.
    """
    counts: Counter[str] = Counter()
    placed = []
    for item in sets:
        if len(item):
            placed.append((f'{item.formula}/set.{counts[item.formula]:04d}', item))
            counts[item.formula] += 1
    return placed


def write_dataset(sets: Iterable[FrameSet], directory: str | Path) -> list[Path]:
    """Write one directory per formula and one ``set.NNNN`` per member of ``sets``.

    :param sets: the frames; empty members are skipped.
    :param directory: parent of the formula directories.
    :returns: the formula directories.
    """
    root = Path(directory)
    written = []
    for path, frames in numbered(sets):
        folder = root / path
        folder.mkdir(parents=True)
        if folder.parent not in written:
            written.append(folder.parent)
            for name, text in system_files(frames.symbols).items():
                (folder.parent / name).write_text(text)
        for name, array in set_arrays(frames).items():
            np.save(folder / f'{name}.npy', array)
    return written


def system_directories(directory: str | Path) -> list[Path]:
    """Return the directories that contain a ``type.raw``, at or below ``directory``, sorted.

    Links are followed within ``directory``, and a directory that several paths lead to, as in the work folders of
    DP-GEN, is returned once. Links that lead out of it are not followed.
    """
    return _search(Path(directory))[0]


def _search(directory: Path) -> tuple[list[Path], list[str]]:
    """Return the directories with a ``type.raw``, and the links that lead out of ``directory``."""
    found: dict[Path, Path] = {}
    entered: set[Path] = set()
    outside: list[str] = []
    top = directory.resolve()
    for root, folders, files in os.walk(directory, followlinks=True):
        real = Path(root).resolve()
        if not real.is_relative_to(top):
            outside.append(Path(root).relative_to(directory).as_posix())
        if real in entered or not real.is_relative_to(top):
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        if 'type.raw' in files:
            found[real] = Path(root)
    return sorted(found.values()), outside


def _inside(path: Path, top: Path, where: str) -> Path:
    """Return a file or folder of a dataset.

    :raises UnreadableError: if it is a link that leads out of the dataset, a device or a pipe.
    """
    if not path.resolve().is_relative_to(top.resolve()):
        raise UnreadableError(
            f'`{line(where)}` is a link out of the dataset, which is not followed: put the file itself in its place.'
        )
    if not path.is_dir():
        check_regular(path, where)
    return path


def read_dataset(
    directory: str | Path, type_map: Sequence[str] | None = None, intake: Intake | None = None
) -> list[FrameSet]:
    """Read every system at or below ``directory``, in DeePMD-kit's npy, mixed or raw layout, one member per set.

    Sets of the mixed layout are split by the order of their atom types, without the padding atoms (type -1).
    Directories and sets are read in the order of their names.

    :param directory: folder that is or contains systems.
    :param type_map: elements in the order of the types, for systems without ``type_map.raw``, or whose names there are
        no elements.
    :param intake: account of what is dropped, changed or refused. Without one, refused frames are an error, and each
        line of the rest of the account is a warning.
    :raises UnreadableError: in one sentence, if there is no system, a set does not follow DeePMD-kit's layout, or
        frames are refused.
    """
    systems, outside = _search(Path(directory))
    name = line(Path(directory).resolve().name)
    links = f'links out of the folder are not followed ({line(", ".join(outside[:3]))})'
    if not systems:
        raise UnreadableError(
            f'There is no DeePMD-kit system (a directory with `type.raw`) in `{name}`'
            f'{f"; {links}: name their targets" if outside else ": give a folder that is or holds one"}.'
        )
    account = Intake(minimum_distance=None, name_sources=False) if intake is None else intake
    if outside:
        account.remark(f'{links}: name their targets as well', name)
    found = [item for path in systems for item in _read_system(_System.of(path, Path(directory)), type_map, account)]
    if intake is None:
        for sentence in account.close():
            warnings.warn(sentence, stacklevel=2)
    return found


def read_hdf5(path: str | Path, type_map: Sequence[str] | None, intake: Intake) -> list[FrameSet]:
    """Read every system of a file in DeePMD-kit's HDF5 layout, plain or mixed; parameters as in `read_dataset`.

    :raises ValueError: as `read_dataset`.
    """
    import h5py

    name = Path(path).name
    check_regular(Path(path))
    with reading(name, 'copy it again'), h5py.File(path, 'r') as file:
        groups: list[Any] = [file]
        file.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
        systems = [_System.of_group(group, name) for group in groups if 'type.raw' in group]
        if not systems:
            raise UnreadableError(f'`{line(name)}` holds no DeePMD-kit system (a group with `type.raw`): give another.')
        return [item for system in systems for item in _read_system(system, type_map, intake)]


def _member(group: Any, name: str, where: str) -> Any:
    """Return what a group of an HDF5 file holds under a name.

    :raises UnreadableError: if it is in another file, or larger than what the file stores of it.
    """
    import h5py

    shown = line(f'{where}/{name}')
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise UnreadableError(f'`{shown}` is a link to another file, which is not followed: store the array itself.')
    found = group[name]
    if isinstance(found, h5py.Dataset):
        if found.is_virtual or found.external:
            raise UnreadableError(f'`{shown}` is stored in another file, which is not read: store the array itself.')
        if found.nbytes > max(HDF5_SMALL, HDF5_RATIO * found.id.get_storage_size()):
            raise UnreadableError(
                f'`{shown}` declares {found.nbytes:.3g} bytes, of which the file stores '
                f'{found.id.get_storage_size()}: copy it again, or store it without compression.'
            )
    return found


class _Set(NamedTuple):
    """One set of a system: its path, the names of its arrays, and a function that reads one by its name."""

    where: str
    names: list[str]
    load: Callable[[str], NDArray[Any] | None]


class _System(NamedTuple):
    """One system: its path, ``type.raw``, ``type_map.raw`` or None, whether it has ``nopbc``, and its sets."""

    where: str
    types: NDArray[np.int64]
    elements: list[str] | None
    open: bool
    sets: list[_Set]

    @classmethod
    def of(cls, path: Path, top: Path) -> _System:
        """Return the system in a directory at or below ``top``; raw files beside sets are the same frames.

        :raises ValueError: if raw files and sets hold different numbers of frames.
        """
        where = '/'.join((top.resolve().name, *path.relative_to(top).parts))
        sets = []
        for folder in sorted(folder for folder in path.glob('set.*') if folder.is_dir()):
            here = f'{where}/{folder.name}'
            _inside(folder, top, here)

            def load(name: str, folder: Path = folder, here: str = here) -> NDArray[Any] | None:
                file, shown = folder / f'{name}.npy', f'{here}/{name}.npy'
                if not os.path.lexists(file):
                    return None
                return load_array(_inside(file, top, shown), shown, TEXTS if name in TEXT_ARRAYS else NUMBERS)

            sets.append(_Set(here, [file.stem for file in sorted(folder.glob('*.npy'))], load))
        load_raw = partial(_load_raw, path, top, where)
        if (path / 'coord.raw').is_file():
            inside = [item.load('coord') for item in sets]
            count = sum(0 if coord is None else len(np.atleast_1d(coord)) for coord in inside)
            coord = load_raw('coord')
            rows = 0 if coord is None else len(coord)
            if not sets:
                sets = [_Set(where, [file.stem for file in sorted(path.glob('*.raw'))], load_raw)]
            elif count != rows:
                raise UnreadableError(
                    f'`{line(where)}` has {count} frames in its sets and {rows} in its raw files: remove one of the '
                    'two.'
                )
        with reading(f'{where}/type.raw', 'write one number a line for each atom'):
            file = _inside(path / 'type.raw', top, f'{where}/type.raw')
            types = np.loadtxt(file, dtype=int, ndmin=1).reshape(-1)
        elements = None
        if os.path.lexists(names := path / 'type_map.raw'):
            with reading(f'{where}/type_map.raw', 'write one element a line'):
                elements = _inside(names, top, f'{where}/type_map.raw').read_text(encoding='utf8').split()
        return cls(where, types, elements, (path / 'nopbc').exists(), sets)

    @classmethod
    def of_group(cls, group: Any, file: str) -> _System:
        """Return the system in a group of an HDF5 file."""
        where = f'{file}{group.name}'.rstrip('/')
        sets = []
        for name in sorted(name for name in group if name.startswith('set.')):
            folder = _member(group, name, where)

            def load(array: str, folder: Any = folder, here: str = f'{where}/{name}') -> NDArray[Any] | None:
                if f'{array}.npy' not in folder:
                    return None
                found = _member(folder, f'{array}.npy', here)
                if array in TEXT_ARRAYS:
                    return np.array(found.asstr()[()], dtype=str)
                check_kind(found.dtype, f'{here}/{array}.npy')
                return np.asarray(found)

            sets.append(_Set(f'{where}/{name}', [key.removesuffix('.npy') for key in sorted(folder)], load))
        elements = None
        if 'type_map.raw' in group:
            names = np.atleast_1d(_member(group, 'type_map.raw', where)[()])
            elements = [text.decode() if isinstance(text, bytes) else str(text) for text in names]
        types = np.atleast_1d(_member(group, 'type.raw', where)[()]).reshape(-1)
        if types.dtype.kind not in 'iu':
            raise UnreadableError(f'`{line(where)}/type.raw` should hold one whole number for each atom: correct it.')
        return cls(where, types.astype(np.int64), elements, 'nopbc' in group, sets)


def _load_raw(path: Path, top: Path, where: str, name: str) -> NDArray[Any] | None:
    """Return an array of the raw layout, (frames, numbers of a frame), or None if there is no such file."""
    file, shown = path / f'{name}.raw', f'{where}/{name}.raw'
    if not os.path.lexists(file):
        return None
    with reading(shown, 'write the numbers of one frame a line'):
        return np.loadtxt(_inside(file, top, shown), ndmin=2)


def _read_system(system: _System, type_map: Sequence[str] | None, intake: Intake) -> list[FrameSet]:
    where, elements = system.where, system.elements
    if elements is None:
        if type_map is None:
            raise UnreadableError(
                f'`{line(where)}` has no `type_map.raw`: add it, one element a line, or give `type_map`.'
            )
        elements = list(type_map)
    elif type_map is not None and pseudo_elements(elements):
        if len(type_map) != len(elements):
            raise UnreadableError(
                f'`{line(where)}` names its types {line(" ".join(elements))[:200]}: `type_map` needs one element for '
                f'each of these {len(elements)}.'
            )
        elements = list(type_map)
    if len(elements) > MOST_TYPES:
        raise UnreadableError(f'`{line(where)}` names {len(elements)} types: name one element for each type, once.')
    check_names(elements, where)
    if not system.sets:
        intake.remark('no frames: there is neither a set nor `coord.raw`', where)
    found = []
    for item in system.sets:
        coord = item.load('coord')
        # Without the dimension of the frames it is that of one frame.
        frames = 0 if coord is None else len(coord) if coord.ndim > 1 else 1
        if system.open and intake.is_open(system.where, frames):
            continue
        for name in sorted({*item.names} - KNOWN):
            intake.drop(f'`{name}`', system.where, frames)
        found += read_set(item.where, item.load, system.types, np.array(elements), intake)
    return found


def read_set(
    where: str,
    load: Callable[[str], NDArray[Any] | None],
    types: NDArray[np.int64],
    type_map: NDArray[np.str_],
    intake: Intake | None = None,
) -> list[FrameSet]:
    """Read one ``set.NNNN`` of DeePMD-kit's plain or mixed layout, split by the order of the atom types.

    :param where: path of the set, for messages.
    :param load: returns an array by its file name without ``.npy``, None if there is no such file.
    :param types: (natoms,), from ``type.raw``.
    :param type_map: elements in the order of the types.
    :param intake: account of frames that are refused or changed; without one, they are an error.
    :raises ValueError: in one sentence, if the set does not follow DeePMD-kit's layout.
    """
    coord, box = load('coord'), load('box')
    if coord is None or box is None:
        raise UnreadableError(f'`{line(where)}` lacks the array `coord` or `box`: both are needed.')
    # DeePMD-kit takes a set of one frame also without the dimension of the frames.
    n = len(coord) if coord.ndim > 1 else coord.size // max(3 * len(types), 1)
    atoms = coord.size // max(3 * n, 1)
    real_types = load('real_atom_types')
    rows = np.broadcast_to(types, (n, len(types)))
    if real_types is not None:
        rows = _whole(_shaped(real_types, n, (len(types),), f'{where}/real_atom_types'), f'{where}/real_atom_types')
    lowest = 0 if real_types is None else PADDING
    if rows.shape != (n, atoms) or (rows.size and (rows.min() < lowest or rows.max() >= len(type_map))):
        raise UnreadableError(
            f'The atom types of `{line(where)}` do not fit its arrays or type map: it has {atoms} atoms, and the '
            f'elements {line(" ".join(type_map))[:200]}: correct the files.'
        )
    per_frame: dict[str, Any] = {
        'cells': _shaped(box, n, (3, 3), f'{where}/box'),
        'positions': _shaped(coord, n, (atoms, 3), f'{where}/coord'),
    }
    for label, name in FIELDS.items():
        values = load(label)
        shape = tuple(atoms if size == -1 else size for size in LABELS[label])
        per_frame[name] = None if values is None else _shaped(values, n, shape, f'{where}/{label}')
    for name, file in ORIGIN_NAMES.items():
        values = load(file)
        per_frame[name] = None if values is None else _shaped(values, n, (), f'{where}/{file}')
    if per_frame['steps'] is not None:
        per_frame['steps'] = _whole(per_frame['steps'], f'{where}/step')
    found: list[FrameSet] = []
    orders, inverse = np.unique(rows, axis=0, return_inverse=True)
    for index, order in enumerate(orders):
        mask, real = inverse.reshape(-1) == index, order != PADDING
        chosen = {name: values[mask] for name, values in per_frame.items() if values is not None}
        chosen |= {name: chosen[name][:, real] for name in ('positions', 'forces') if name in chosen}
        symbols = [str(symbol) for symbol in type_map[order[real]]]
        found += [FrameSet.sort_atoms(symbols, **chosen)] if intake is None else intake.take(where, symbols, **chosen)
    return found


def _shaped(values: NDArray[Any], n: int, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """Return an array as (n, *shape); files hold it so, or with the numbers of a frame in one row, and that of one
    frame also without the dimension of the frames.

    :raises UnreadableError: for any other shape, such as that of a transposed array.
    """
    allowed = [(n, *shape), (n, prod(shape)), *([shape, (prod(shape),)] if n == 1 else [])]
    if values.shape not in allowed:
        raise UnreadableError(
            f'`{line(where)}` has the shape {values.shape} and should have {allowed[0]} or {allowed[1]}: correct it.'
        )
    return values.reshape(n, *shape)


def _whole(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Return an array of whole numbers.

    :raises UnreadableError: if it holds others.
    """
    found: NDArray[np.int64] = (
        values.astype(np.int64, casting='unsafe')
        if values.dtype.kind in 'iu'
        else (np.where(np.isfinite(values) & (np.abs(values) < 2**53), values, 0).astype(np.int64))
    )
    if not np.array_equal(found, values):
        raise UnreadableError(f'`{line(where)}` should hold whole numbers: correct it.')
    return found


def write_mixed(sets: Iterable[FrameSet], directory: str | Path, type_map: Sequence[str]) -> list[Path]:
    """Write DeePMD-kit's mixed layout, one directory per number of atoms and combination of labels.

    Thousands of compositions in separate directories make a PyTorch loader several times slower (deepmd-kit#2229).

    :param sets: the frames; empty members are skipped.
    :param directory: parent of the directories written.
    :param type_map: elements, in the order of their types.
    :returns: the directories written.
    :raises ValueError: if an element is not in ``type_map``.
    """
    root = Path(directory)
    groups: dict[tuple[int, tuple[str, ...]], list[FrameSet]] = {}
    for item in sets:
        missing = sorted(set(item.symbols) - set(type_map))
        if missing:
            raise ValueError(f'The element {line(missing[0])} is not in the type map {list(type_map)}: add it.')
        if len(item):
            groups.setdefault((item.natoms, item.labels), []).append(item)
    written = []
    for number, ((atoms, _), members) in enumerate(sorted(groups.items(), key=lambda pair: pair[0])):
        folder = root / f'{atoms:06d}_{number:02d}' / 'set.0000'
        folder.mkdir(parents=True)
        (folder.parent / 'type.raw').write_text('0\n' * atoms)
        (folder.parent / 'type_map.raw').write_text(''.join(f'{symbol}\n' for symbol in type_map))
        types = [np.tile([list(type_map).index(s) for s in member.symbols], (len(member), 1)) for member in members]
        np.save(folder / 'real_atom_types.npy', np.concatenate(types))
        per_member = [set_arrays(member) for member in members]
        for name in per_member[0]:
            np.save(folder / f'{name}.npy', np.concatenate([arrays[name] for arrays in per_member]))
        written.append(folder.parent)
    return written
