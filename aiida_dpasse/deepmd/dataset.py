"""Datasets in DeePMD-kit's layout: one directory per formula, one ``set.NNNN`` per source, ``.npy`` arrays.

Depends on numpy only, since it is shipped with the drivers to the compute machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FIELDS, LABELS, ORIGIN, FrameSet

_ORIGIN_FILES = {'sources': 'source', 'steps': 'step', 'deviations': 'deviation', 'reasons': 'reason'}


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
    arrays |= {_ORIGIN_FILES[name]: getattr(frames, name) for name in ORIGIN}
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
    """Return the directories that contain a ``type.raw``, at or below ``directory``, sorted."""
    return sorted(path.parent for path in Path(directory).rglob('type.raw'))


def read_dataset(directory: str | Path, type_map: Sequence[str] | None = None) -> list[FrameSet]:
    """Read every system at or below ``directory``, in DeePMD-kit's plain or mixed layout, one member per set.

    Sets of the mixed layout are split by the order of their atom types. Directories and sets are read in the order of
    their names.

    :param directory: a system, or the parent of systems.
    :param type_map: elements in the order of the types, for systems without `type_map.raw`.
    :raises ValueError: in one sentence, if there is no system or a set does not follow DeePMD-kit's layout.
    """
    systems = system_directories(directory)
    if not systems:
        raise ValueError(f'There is no DeePMD-kit system (a directory with `type.raw`) in `{Path(directory).name}`.')
    found = []
    for system in systems:
        own = system / 'type_map.raw'
        if not own.is_file() and not type_map:
            raise ValueError(f'`{system.name}` has no `type_map.raw`: add it, one element a line, or give a type map.')
        elements = own.read_text().split() if own.is_file() else list(type_map or ())
        types = np.loadtxt(system / 'type.raw', dtype=int, ndmin=1)
        for folder in sorted(system.glob('set.*')):

            def load(name: str, folder: Path = folder) -> NDArray[Any] | None:
                path = folder / f'{name}.npy'
                return np.load(path, allow_pickle=False) if path.is_file() else None

            found += read_set(f'{system.name}/{folder.name}', load, types, np.array(elements))
    return found


def read_set(
    where: str, load: Callable[[str], NDArray[Any] | None], types: NDArray[np.int64], type_map: NDArray[np.str_]
) -> list[FrameSet]:
    """Read one ``set.NNNN`` of DeePMD-kit's plain or mixed layout, split by the order of the atom types.

    :param where: path of the set, for messages.
    :param load: returns an array by its file name without ``.npy``, None if there is no such file.
    :param types: (natoms,), from ``type.raw``.
    :param type_map: elements in the order of the types.
    :raises ValueError: in one sentence, if the set does not follow DeePMD-kit's layout.
    """
    coord, box = load('coord'), load('box')
    if coord is None or box is None:
        raise ValueError(f'`{where}` lacks `coord.npy` or `box.npy`: both are needed.')
    n, atoms = len(coord), coord.size // max(3 * len(coord), 1)
    per_frame: dict[str, Any] = {}
    try:
        per_frame['cells'] = box.reshape(n, 3, 3)
        per_frame['positions'] = coord.reshape(n, atoms, 3)
        for label, name in FIELDS.items():
            values = load(label)
            shape = tuple(atoms if size == -1 else size for size in LABELS[label])
            per_frame[name] = None if values is None else values.reshape(n, *shape)
    except ValueError as exception:
        raise ValueError(f'`{where}` holds arrays of the wrong shape: {exception}.') from None
    per_frame |= {name: load(file) for name, file in _ORIGIN_FILES.items()}
    real_types = load('real_atom_types')
    rows = np.broadcast_to(types, (n, len(types))) if real_types is None else real_types.reshape(n, -1)
    if rows.shape != (n, atoms) or (rows.size and (rows.min() < 0 or rows.max() >= len(type_map))):
        raise ValueError(f'The atom types of `{where}` do not fit its arrays or type map.')
    found = []
    orders, inverse = np.unique(rows, axis=0, return_inverse=True)
    for index, order in enumerate(orders):
        mask = inverse.reshape(-1) == index
        chosen = {name: None if values is None else values[mask] for name, values in per_frame.items()}
        found.append(FrameSet.sort_atoms(symbols=[str(symbol) for symbol in type_map[order]], **chosen))
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
            raise ValueError(f'The element {missing[0]} is not in the type map {list(type_map)}: add it.')
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
