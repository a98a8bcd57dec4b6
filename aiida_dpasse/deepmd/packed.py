"""Frames of any number of formulas in one npz file, from which one frame, or the ids alone, are read at their place.

The arrays hold the frames of all sets one after another, and ``numpy.load`` reads the file as well:

==============  =====================================================================================================
``elements``    (E,), names of the elements, sorted
``composition`` (F, E), atoms of each element in each formula; the atoms of a frame are sorted by element
``sets``        (S, 5), of each set: row of ``composition``, frames, labels (1 energy, 2 force, 4 virial), and the bytes
                of a ``source`` and of a ``reason``
``coord``       (atoms, 3) A
``box``         (frames, 9) A
``energy``      (frames,) eV, of the sets that have it, as the next two
``force``       (atoms, 3) eV/A
``virial``      (frames, 9) eV
``id``          (frames,)
``step``        (frames,)
``deviation``   (frames,) eV/A
``source``      UTF-8, padded with zeros to the bytes of the set
``reason``      as ``source``
==============  =====================================================================================================

Equal sets give equal bytes. Depends on numpy only.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterable, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.arrays import LONGEST_TEXT, check_kind, read_header
from aiida_dpasse.deepmd.dataset import ORIGIN_NAMES
from aiida_dpasse.deepmd.frameset import FIELDS, LABELS, Entry, FrameSet, check_names
from aiida_dpasse.unreadable import UnreadableError

#: Type and numbers of a row of each array; None is any.
_ARRAYS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    'elements': ('S', ()),
    'composition': ('<i8', (None,)),
    'sets': ('<i8', (5,)),
    'coord': ('<f8', (3,)),
    'box': ('<f8', (9,)),
    'energy': ('<f8', ()),
    'force': ('<f8', (3,)),
    'virial': ('<f8', (9,)),
    'id': ('|S16', ()),
    'step': ('<i8', ()),
    'deviation': ('<f8', ()),
    'source': ('|u1', ()),
    'reason': ('|u1', ()),
}
#: Oldest date of the format zip: equal sets give equal bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
#: Begins a member of a zip: signature, version, flags, method, time, CRC, sizes, lengths of its name and extra field.
_MEMBER = struct.Struct('<4sHHHIIIIHH')
#: Field of the sizes of members of 4 GiB or more.
_LARGE = struct.Struct('<HHQQ')
#: Arrays of texts.
TEXTS = ('source', 'reason')
#: Field of `FrameSet` of each array of the frames but the ids.
FIELD_OF = {'coord': 'positions', 'box': 'cells', **FIELDS, **{name: field for field, name in ORIGIN_NAMES.items()}}
#: Most elements; there are 118.
_MOST_ELEMENTS = 1000
#: Bytes that are read at once, from a compressed repository also.
_CHUNK = 1 << 24


class _Array(NamedTuple):
    """Where the numbers of an array begin in the file, its shape and its type."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def write_packed(sets: Iterable[FrameSet], handle: IO[bytes]) -> None:
    """Write frames to one file, sorted by formula, with the order within a formula kept.

    :param sets: the frames, without empty members.
    :param handle: file to write to.
    """
    ordered = sorted(sets, key=lambda item: item.formula)
    elements = sorted({symbol for item in ordered for symbol in item.symbols})
    rows = {symbols: row for row, symbols in enumerate(dict.fromkeys(item.symbols for item in ordered))}
    texts = {name: [_encoded(getattr(item, FIELD_OF[name])) for item in ordered] for name in TEXTS}
    table = [
        (rows[item.symbols], len(item), sum(1 << bit for bit, label in enumerate(LABELS) if label in item.labels))
        for item in ordered
    ]
    widths = [[values.shape[1] for values in texts[name]] for name in TEXTS]
    parts: dict[str, list[NDArray[Any]]] = {
        'elements': [np.array([element.encode() for element in elements])],
        'composition': [np.array([[symbols.count(element) for element in elements] for symbols in rows])],
        'sets': [np.column_stack([table, *widths])],
        'id': [item.ids.astype('S16') for item in ordered],
        **{name: [values.reshape(-1) for values in texts[name]] for name in TEXTS},
    }
    for name, field in FIELD_OF.items():
        if name not in TEXTS:
            given = [getattr(item, field) for item in ordered]
            parts[name] = [values.reshape(-1, *_ARRAYS[name][1]) for values in given if values is not None]
    with zipfile.ZipFile(handle, 'w', zipfile.ZIP_STORED) as archive:
        for name, (kind, _) in _ARRAYS.items():
            if parts[name]:
                _write(archive, name, parts[name], None if kind == 'S' else kind)


def _write(archive: zipfile.ZipFile, name: str, parts: Sequence[NDArray[Any]], kind: str | None) -> None:
    """Write one array, the parts of which follow each other."""
    dtype = parts[0].dtype if kind is None else np.dtype(kind)
    header = io.BytesIO()
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    described = {'descr': np.lib.format.dtype_to_descr(dtype), 'fortran_order': False, 'shape': shape}
    np.lib.format.write_array_header_1_0(header, described)
    info = zipfile.ZipInfo(f'{name}.npy', _DATE)
    info.file_size = header.tell() + math.prod(shape) * dtype.itemsize
    with archive.open(info, 'w') as member:
        member.write(header.getvalue())
        for part in parts:
            if part.size:
                member.write(np.ascontiguousarray(part, dtype=dtype).reshape(-1).view(np.uint8).data)


def _encoded(texts: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Return texts as UTF-8, (frames, bytes of the longest)."""
    count = len(texts)
    points = np.ascontiguousarray(texts).view(np.uint32).reshape(count, -1)
    if points.max(initial=0) < 128:
        width = int(np.flatnonzero(points.any(axis=0)).max(initial=-1)) + 1
        return points[:, :width].astype(np.uint8)
    found = np.array([text.encode('utf8', 'surrogatepass') for text in texts.tolist()], dtype=np.bytes_)
    return found.view(np.uint8).reshape(count, -1)


def _decoded(content: NDArray[np.uint8], where: str) -> NDArray[np.str_]:
    """Return the texts of `_encoded`."""
    count, width = content.shape
    if not width:
        return np.full(count, '')
    if content.max(initial=0) < 128:
        return content.astype(np.uint32).view(f'<U{width}').reshape(count)
    try:
        return np.array([bytes(row).rstrip(b'\0').decode('utf8', 'surrogatepass') for row in content])
    except UnicodeDecodeError as error:
        raise UnreadableError(f'`{where}` holds texts that are not UTF-8: copy it again.') from error


class Packed:
    """A file of frames, open for reading; only its index is in memory.

    :param handle: the open file.
    :param size: its size in bytes.
    :param where: its name, for messages.
    :raises UnreadableError: if it is damaged, no such file, or its index does not fit the sizes of its arrays.
    """

    def __init__(self, handle: IO[bytes], size: int, where: str) -> None:
        self._handle, self.size, self._where = handle, size, where
        self._arrays = _members(handle, size, where)
        if missing := [name for name in _ARRAYS if name not in self._arrays and name not in FIELDS]:
            raise UnreadableError(f'`{where}` lacks the array `{missing[0]}`: copy it again.')
        names, self._composition, table = (self._read(name) for name in ('elements', 'composition', 'sets'))
        self._elements = [name.decode('ascii', 'replace') for name in names[:_MOST_ELEMENTS].tolist()]
        check_names(self._elements, where)
        rows = {name: self._arrays[name].shape[0] if name in self._arrays else 0 for name in _ARRAYS}
        if (starts := _starts(self._elements, self._composition, table, rows)) is None:
            raise UnreadableError(f'The sets that `{where}` declares do not fit its arrays: copy it again.')
        self._rows, self._starts = table[:, 0], starts
        formulas = [
            ''.join(f'{name}{count}' for name, count in self._counts(row)) for row in range(rows['composition'])
        ]
        natoms = self._composition.sum(axis=1).tolist()
        labels = [tuple(label for bit, label in enumerate(LABELS) if mask >> bit & 1) for mask in range(8)]
        #: The sets of the file, in the order of the frames.
        self.entries = [
            Entry(formulas[row], frames, natoms[row], labels[mask]) for row, frames, mask, *_ in table.tolist()
        ]

    def _counts(self, row: int) -> list[tuple[str, int]]:
        """Return the elements of a formula and their atoms."""
        counts = self._composition[row].tolist()
        return [(name, count) for name, count in zip(self._elements, counts, strict=True) if count]

    @property
    def elements(self) -> list[str]:
        """The elements of the frames, sorted."""
        return [self._elements[place] for place in np.flatnonzero(self._composition.any(axis=0)).tolist()]

    def symbols(self, number: int) -> tuple[str, ...]:
        """Return the element of each atom of the set ``number``."""
        return tuple(name for name, count in self._counts(int(self._rows[number])) for _ in range(count))

    def per_set(self, name: str) -> list[NDArray[Any]]:
        """Return an array for each set that has it, which are parts of one array in memory.

        :param name: its name in the file.
        :returns: for n frames of N atoms: (n, N, 3) for ``coord`` and ``force``, (n, 3, 3) for ``box`` and ``virial``,
            (n,) for others.
        """
        whole = self._read(name) if name in self._arrays else np.empty(0)
        starts = self._starts[name].tolist()
        return [
            self._shaped(name, entry, whole[begin:end], entry.frames)
            for entry, begin, end in zip(self.entries, starts[:-1], starts[1:], strict=True)
            if name not in FIELDS or name in entry.labels
        ]

    def one(self, name: str, number: int, frame: int) -> NDArray[Any]:
        """Return what an array holds of one frame; nothing else is read of it.

        :param name: its name in the file.
        :param number: number of the set.
        :param frame: number of the frame in it.
        :returns: as of `per_set`, with n = 1.
        """
        begin, end = self._starts[name][number : number + 2].tolist()
        entry = self.entries[number]
        rows = (end - begin) // entry.frames
        return self._shaped(name, entry, self._read(name, begin + frame * rows, begin + (frame + 1) * rows), 1)

    def sets(self) -> list[FrameSet]:
        """Return all frames.

        :raises UnreadableError: if they are invalid.
        """
        # In the order of the file: going back is slow in one that is compressed.
        arrays = {name: iter(self.per_set(name)) for name in self._arrays if name in FIELD_OF}
        return [
            FrameSet(
                symbols=self.symbols(number),
                **{
                    FIELD_OF[name]: next(values)
                    for name, values in arrays.items()
                    if name not in FIELDS or name in entry.labels
                },
            )
            for number, entry in enumerate(self.entries)
        ]

    def _shaped(self, name: str, entry: Entry, values: NDArray[Any], count: int) -> NDArray[Any]:
        if name in TEXTS:
            return _decoded(values.reshape(count, -1) if values.size else np.empty((count, 0), np.uint8), self._where)
        if name == 'id':
            return _decoded(values.view(np.uint8).reshape(count, 16), self._where)
        shapes = {'coord': (entry.natoms, 3), 'force': (entry.natoms, 3), 'box': (3, 3), 'virial': (3, 3)}
        return values.reshape(count, *shapes.get(name, ()))

    def _read(self, name: str, begin: int = 0, end: int | None = None) -> NDArray[Any]:
        """Return rows of an array, all by default."""
        start, shape, dtype = self._arrays[name]
        values = np.empty(((shape[0] if end is None else end) - begin, *shape[1:]), dtype=dtype)
        if values.size:
            self._handle.seek(start + begin * math.prod(shape[1:]) * dtype.itemsize)
            target, filled = values.reshape(-1).view(np.uint8).data, 0
            while filled < len(target):
                content = self._handle.read(min(_CHUNK, len(target) - filled))
                if not content:
                    raise UnreadableError(f'`{self._where}` cannot be read to its end: copy it again.')
                target[filled : filled + len(content)] = content
                filled += len(content)
        return values


def _starts(
    elements: Sequence[str], composition: NDArray[np.int64], table: NDArray[np.int64], rows: dict[str, int]
) -> dict[str, NDArray[np.int64]] | None:
    """Return where the rows of each set begin in each array, and end in the last; None if they do not fit."""
    # A false file may declare anything: the sizes are bounded before they are multiplied.
    fits = composition.shape[1] == len(elements) == len(set(elements)) and list(elements) == sorted(elements)
    if (
        not fits
        or not 0 < len(composition) <= len(table)
        or not 0 <= composition.min() <= composition.max() <= rows['coord']
    ):
        return None
    natoms = composition.sum(axis=1)
    largest = [len(composition) - 1, rows['box'], 7, 4 * LONGEST_TEXT, 4 * LONGEST_TEXT]
    if natoms.min() < 1 or (table < [0, 1, 0, 0, 0]).any() or (table > largest).any():
        return None
    frames, mask, atoms = table[:, 1], table[:, 2], natoms[table[:, 0]]
    if (frames.astype(float) * atoms).max() > 2 * rows['coord']:
        return None
    counts = {'coord': frames * atoms, 'force': np.where(mask & 2, frames * atoms, 0)}
    counts |= {'energy': np.where(mask & 1, frames, 0), 'virial': np.where(mask & 4, frames, 0)}
    counts |= {'source': frames * table[:, 3], 'reason': frames * table[:, 4]}
    counts |= dict.fromkeys(('box', 'id', 'step', 'deviation'), frames)
    starts = {name: np.concatenate([[0], np.cumsum(count)]) for name, count in counts.items()}
    return starts if all(bounds[-1] == rows[name] for name, bounds in starts.items()) else None


def _members(handle: IO[bytes], size: int, where: str) -> dict[str, _Array]:
    """Return the arrays of an npz file that is not compressed, from the beginnings of its members."""
    arrays: dict[str, _Array] = {}
    place = 0
    while True:
        handle.seek(place)
        head = handle.read(_MEMBER.size)
        if head[:4] == b'PK\1\2' and arrays:
            return arrays
        if len(head) < _MEMBER.size or head[:4] != b'PK\3\4':
            raise UnreadableError(f'`{where}` is no npz file, or damaged: copy it again.')
        _, _, flags, method, _, _, packed, length, name_length, extra_length = _MEMBER.unpack(head)
        name = handle.read(name_length).decode('ascii', 'replace').removesuffix('.npy')
        extra = handle.read(extra_length)
        if packed == length == 0xFFFFFFFF and len(extra) >= _LARGE.size:
            _, _, length, packed = _LARGE.unpack_from(extra)
        start = place + _MEMBER.size + name_length + extra_length
        place = start + length
        if flags or method or packed != length or place > size or name in arrays or name not in _ARRAYS:
            raise UnreadableError(f'`{where}` is compressed, damaged, or holds arrays that are not of frames.')
        shown = f'{where}/{name}'
        handle.seek(start)
        shape, fortran, dtype, begin = read_header(handle, length, shown)
        kind, row = _ARRAYS[name]
        check_kind(dtype, shown, 'S' if 'S' in kind else 'fiu')
        fits = len(shape) == 1 + len(row) and all(b in (None, a) for a, b in zip(shape[1:], row, strict=True))
        if fortran or not fits or (kind != 'S' and dtype != np.dtype(kind)):
            raise UnreadableError(f'`{shown}` has the shape {shape} and the type {dtype}, which frames have not.')
        arrays[name] = _Array(start + begin, shape, dtype)
