"""The files of a node of frames: a few npz files, or the folders of earlier releases, behind one interface.

A node that was made from frames has one file. A union has the files of its members, which AiiDA's repository stores
once, up to `MOST` of them; beyond that, neighbours that are smallest together are written anew as one file. So a union
takes no space as long as its members are few, rewrites the small ones otherwise, and no node has many files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Protocol

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_dpasse.deepmd.arrays import NUMBERS, TEXTS, read_array, read_header
from aiida_dpasse.deepmd.dataset import ORIGIN_NAMES, TEXT_ARRAYS, read_set
from aiida_dpasse.deepmd.frameset import LABELS, Entry, FrameSet, check_names, formula_of
from aiida_dpasse.deepmd.packed import FIELD_OF, Packed
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError, reading

#: Most files of a union.
MOST = 64
#: Names of the files of a node.
_PART = re.compile(r'frames_\d{4,9}\.npz', re.ASCII)
#: Files of a formula, beside its sets, in the layout of folders.
_TYPES = ('type.raw', 'type_map.raw')
#: Names of the sets of a formula, and of the files of a set.
_SET, _FILE = re.compile(r'set\.\d{1,9}', re.ASCII), re.compile(r'[A-Za-z]\w{0,30}\.npy', re.ASCII)
#: Size of the largest type.raw in bytes.
_LARGEST_TYPES = 64 << 20


class Part(Protocol):
    """Frames that are read from a node, see :class:`~aiida_dpasse.deepmd.packed.Packed`."""

    size: int
    entries: list[Entry]

    @property
    def elements(self) -> list[str]:
        """The elements of the frames, sorted."""

    def symbols(self, number: int) -> tuple[str, ...]:
        """Return the element of each atom of a set."""

    def per_set(self, name: str) -> list[NDArray[Any]]:
        """Return an array for each set."""

    def one(self, name: str, number: int, frame: int) -> NDArray[Any]:
        """Return what an array holds of one frame."""

    def sets(self) -> list[FrameSet]:
        """Return all frames."""


def part_name(number: int) -> str:
    """Return the name of a file of a node.

    :param number: its number; the frames of a formula are in the order of the numbers.
    """
    return f'frames_{number:04d}.npz'


def part_names(node: orm.Data) -> list[str]:
    """Return the names of the files of a node in their order, none for the layout of folders.

    :param node: node of frames.
    :raises UnreadableError: if there are other files beside them.
    """
    names = sorted(node.base.repository.list_object_names())
    packed = [name for name in names if _PART.fullmatch(name)]
    if packed and packed != names:
        raise UnreadableError('it holds files that are no part of a dataset.')
    return packed


def open_parts(node: orm.Data, numbers: Sequence[int] | None = None) -> Iterator[tuple[int, Part]]:
    """Yield the parts of a node with their numbers, in any order; each is open until the next is asked for.

    :param node: node of frames.
    :param numbers: numbers of the parts, by default all.
    :raises UnreadableError: if a file is damaged.
    """
    names = part_names(node)
    if not names:
        yield 0, Folders(node)
        return
    places = {names[number]: number for number in (range(len(names)) if numbers is None else numbers)}
    for name, handle in open_files(node, list(places)):
        yield places[name], Packed(handle, _size(handle), name)


def open_files(node: orm.Data, paths: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield files of a node with their paths, in any order; each is open until the next is asked for.

    AiiDA opens the index of its repository anew for every file that is opened by its path, ten times as long as all of
    them take here.

    :param node: node of frames.
    :param paths: paths of the files.
    """
    if not node.is_stored:
        for path in paths:
            with node.base.repository.open(path, 'rb') as handle:
                yield path, handle
        return
    by_key: dict[str, list[str]] = {}
    for path in paths:
        entry = node.base.repository.metadata
        for name in path.split('/'):
            entry = entry.get('o', {}).get(name, {})
        by_key.setdefault(entry.get('k', ''), []).append(path)
    lost = set(by_key)
    for key, handle in node.backend.get_repository().iter_object_streams([key for key in by_key if key]):
        lost.discard(key)
        for path in by_key[key]:
            handle.seek(0)
            yield path, handle
    if lost:
        raise UnreadableError(f'`{quoted(by_key[lost.pop()][0])}` is not in the repository.')


def joined(sizes: Sequence[int], most: int = MOST) -> list[list[int]]:
    """Return which files of the members of a union become one file.

    :param sizes: sizes of the files in bytes, in their order.
    :param most: most files of the union.
    :returns: the numbers of the files in each file of the union: neighbours, so that the order of the frames is kept.

    >>> joined([9, 1, 2, 9], most=3)
    [[0], [1, 2], [3]]
    """
    groups = [[number] for number in range(len(sizes))]
    totals = np.array(sizes)
    while len(groups) > most:
        place = int(np.argmin(totals[:-1] + totals[1:]))
        groups[place] += groups.pop(place + 1)
        totals[place] += totals[place + 1]
        totals = np.delete(totals, place + 1)
    return groups


class Folders:
    """The layout of earlier releases: a folder for each formula with ``set.NNNN``, the arrays of which are files.

    :param node: node of frames.
    :raises UnreadableError: if a file is damaged, or no part of a dataset.
    """

    def __init__(self, node: orm.Data) -> None:
        self._node = node
        repository = node.base.repository
        self._types: list[tuple[NDArray[np.int64], NDArray[np.str_]]] = []
        self._names: list[list[str]] = []
        self._paths: list[str] = []
        formulas = sorted(repository.list_object_names())
        types_of = self._read_types(formulas)
        for formula in formulas:
            types, type_map = types_of[formula]
            symbols = sorted(type_map[types].tolist())
            if formula != formula_of(symbols) or not len(symbols):
                raise UnreadableError(f'the folder `{quoted(formula)}` holds {formula_of(symbols)[:200]}.')
            inside = repository.list_object_names(formula)
            sets = sorted(name for name in inside if name.startswith('set.'))
            if set(inside) != {*_TYPES, *sets}:
                raise UnreadableError(f'the folder `{formula}` holds files that are no part of a dataset.')
            for path in (f'{formula}/{name}' for name in sets):
                names = repository.list_object_names(path)
                if not _SET.fullmatch(path.partition('/')[2]) or not all(_FILE.fullmatch(name) for name in names):
                    raise UnreadableError(f'the folder `{quoted(path)}` holds files that are no arrays.')
                for name in ('box', 'coord', 'id'):
                    if f'{name}.npy' not in names:
                        raise UnreadableError(f'`{path}` lacks the array `{name}`.')
                self._paths.append(path)
                self._names.append(names)
                self._types.append((types, type_map))
        self.size = 0
        counts: dict[str, int] = {}
        headers = [f'{path}/{name}.npy' for path in self._paths for name in ('box', 'coord', 'id')]
        for file, handle in open_files(node, headers):
            size = _size(handle)
            shape, *_ = read_header(handle, size, file)
            counts[file] = shape[0] if shape else 0
            self.size += size
        self.entries = []
        for path, names, (types, _) in zip(self._paths, self._names, self._types, strict=True):
            frames = {counts[f'{path}/{name}.npy'] for name in ('box', 'coord', 'id')}
            if len(frames) != 1:
                raise UnreadableError(f'the arrays of `{path}` hold different numbers of frames.')
            labels = tuple(label for label in LABELS if f'{label}.npy' in names)
            self.entries.append(Entry(path.partition('/')[0], frames.pop(), len(types), labels))

    @property
    def elements(self) -> list[str]:
        """The elements of the frames, sorted."""
        return sorted({str(symbol) for types, type_map in self._types for symbol in type_map[types]})

    def symbols(self, number: int) -> tuple[str, ...]:
        """Return the element of each atom of a set."""
        types, type_map = self._types[number]
        return tuple(sorted(type_map[types].tolist()))

    def per_set(self, name: str) -> list[NDArray[Any]]:
        """Return an array for each set that has it."""
        if name == 'id':
            wanted = {f'{path}/id.npy': number for number, path in enumerate(self._paths)}
            found = {wanted[file]: array.astype(str) for file, array in self._arrays(wanted)}
            return [found[number] for number in sorted(found)]
        needed = ('coord', 'box', name)
        return [getattr(item, FIELD_OF[name]) for item in self._sets(range(len(self._paths)), needed)]

    def one(self, name: str, number: int, frame: int) -> NDArray[Any]:
        """Return what an array holds of one frame."""
        [item] = self._sets([number], ('coord', 'box', name))
        return getattr(item, FIELD_OF[name])[frame : frame + 1]

    def sets(self) -> list[FrameSet]:
        """Return all frames.

        :raises UnreadableError: if they are invalid.
        """
        return self._sets(range(len(self._paths)), ('coord', 'box', *LABELS, *ORIGIN_NAMES.values()))

    def _sets(self, numbers: Iterable[int], names: Iterable[str]) -> list[FrameSet]:
        """Return sets with some of their arrays."""
        wanted: dict[str, tuple[int, str]] = {}
        for number in numbers:
            given = [name for name in names if f'{name}.npy' in self._names[number]]
            wanted |= {f'{self._paths[number]}/{name}.npy': (number, name) for name in given}
        arrays: dict[int, dict[str, NDArray[Any]]] = {number: {} for number in numbers}
        for file, array in self._arrays(wanted):
            number, name = wanted[file]
            arrays[number][name] = array
        found = []
        for number in numbers:
            found += read_set(self._paths[number], arrays.pop(number).get, *self._types[number])
        return found

    def _arrays(self, files: Iterable[str]) -> Iterator[tuple[str, NDArray[Any]]]:
        for file, handle in open_files(self._node, files):
            name = file.rpartition('/')[2].removesuffix('.npy')
            yield file, read_array(handle, _size(handle), file, TEXTS if name in TEXT_ARRAYS else NUMBERS)

    def _read_types(self, formulas: Sequence[str]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.str_]]]:
        """Return the type of each atom of each formula, (natoms,), and its elements in the order of the types."""
        words = {}
        for path, handle in open_files(self._node, [f'{formula}/{name}' for formula in formulas for name in _TYPES]):
            if _size(handle) > _LARGEST_TYPES:
                raise UnreadableError(f'`{quoted(path)}` is too large.')
            with reading(path, 'copy it again'):
                words[path] = handle.read().decode('ascii').split()
        found = {}
        for formula in formulas:
            numbers, names = (f'{formula}/{name}' for name in _TYPES)
            check_names(words[names], formula)
            with reading(numbers, 'copy it again'):
                types, type_map = np.array(words[numbers], dtype=np.int64), np.array(words[names])
            if len(types) and not (types.min() >= 0 and types.max() < len(type_map)):
                raise UnreadableError(f'`{quoted(numbers)}` holds types that have no name in {_TYPES[1]}.')
            found[formula] = types, type_map
        return found


def _size(handle: IO[bytes]) -> int:
    """Return the size of an open file in bytes, and go back to its beginning."""
    handle.seek(0, 2)
    # What `seek` returns is no position for the packed files of AiiDA's repository.
    size = handle.tell()
    handle.seek(0)
    return size
