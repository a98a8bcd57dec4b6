"""Reading of LAMMPS dump files frame by frame, in bounded memory, over the segments of one run.

Depends on numpy only, since it is shipped with the drivers to the machine that holds the trajectory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.lammps.rows import Rows
from aiida_dpasse.opening import DAMAGE, most_lines, open_plain, take_lines
from aiida_dpasse.unreadable import UnreadableError

Array = NDArray[np.float64]
Frame = tuple[int, Array, Array]


#: Suffixes of the position columns, in order of preference: u means unwrapped, s scaled by the box.
STYLES = ('u', 'su', '', 's')
#: First lines of a frame; the first two are written by `dump_modify units yes` and `time yes`.
HEADS = (b'ITEM: UNITS', b'ITEM: TIME', b'ITEM: TIMESTEP')
#: Header of a frame, with its step.
HEADER = rb'ITEM: TIMESTEP\s+(\d{1,18})\s'
#: Number of bytes of the shortest line of an atom: id, type and three coordinates.
SHORTEST = 10
#: Number of bytes that are searched at once for the headers of frames.
BLOCK = 1 << 22
#: Number of bytes that are read at once, and of the longest header that is read fast.
PIECE, LONGEST_HEAD = 1 << 20, 4096
#: Exceptions of the reading of a frame that is damaged.
DAMAGED = (ValueError, IndexError, TypeError, OverflowError)


_WHOLE = re.compile(r'\d{1,18}', re.ASCII)
#: All lines of the header of a frame, as LAMMPS writes them.
_HEAD = re.compile(
    rb'(?:ITEM: UNITS\n[^\n]*\n)?(?:ITEM: TIME\n[^\n]*\n)?ITEM: TIMESTEP\n(?P<step>\d{1,18})\n'
    rb'ITEM: NUMBER OF ATOMS\n(?P<count>\d{1,18})\n(?P<box>ITEM: BOX BOUNDS[^\n]*\n(?:[^\n]*\n){3})'
    rb'ITEM: ATOMS(?P<columns>[^\n]*)\n'
)


class _Record(NamedTuple):
    step: int
    cell: Array
    #: None for a frame that was passed over.
    positions: Array | None
    kinds: NDArray[np.str_] | NDArray[np.int64]
    wrapped: bool


def is_dump(path: str | PathLike[str]) -> bool:
    """Return whether a file is a text dump of LAMMPS, compressed or not.

    :param path: path of the file.
    """
    try:
        with open_plain(path) as handle:
            return handle.read(64).lstrip().startswith(b'ITEM: ')
    except DAMAGE:
        return False


def frame_numbers(path: str | PathLike[str], pattern: bytes) -> list[int]:
    """Return the numbers in the headers of all frames without reading the frames, damaged ones included.

    :param path: path of the file, compressed or not.
    :param pattern: regular expression of a header, at most 128 bytes long, whose group is the number.
    """
    found: list[int] = []
    header, rest = re.compile(pattern), b''
    with open_plain(path) as handle, suppress(*DAMAGE):
        while block := handle.read(BLOCK):
            text, last = rest + block, 0
            for match in header.finditer(text):
                found.append(int(match.group(1)))
                last = match.end()
            rest = text[max(last, len(text) - 128) :]
    return found


class DumpReader:
    """Iterates over ``(step, cell, positions)`` of the dump files of one run.

    ``cell`` (3, 3) A has the lattice vectors as rows, in LAMMPS' frame or, for ``triclinic/general``, in the user's;
    ``positions`` (n, 3) A are sorted by atom id and relative to the corner of the box. Columns may be xu, xsu, x or xs,
    with or without image flags; ``wrapped`` is true for x and xs without flags, where positions are wrapped into the
    box. Files may be compressed and frames may begin with ``ITEM: UNITS`` and ``ITEM: TIME``. If a segment repeats
    steps of an earlier one, the later one counts.

    Frames that are truncated or damaged, contain other atoms than the first frame, or hold non-finite numbers are
    skipped and counted in ``dropped``. Of these, ``changed`` counts the frames with other atoms, and ``unreadable`` the
    truncated or damaged ones. Reading continues with the next header.

    :param paths: the files of the segments of one run, in order. Missing or empty files contain no frames.
    """

    def __init__(self, paths: Iterable[str | PathLike[str]]):
        self.paths = [Path(path) for path in paths]
        #: Number of frames skipped, complete after the iteration.
        self.dropped = 0
        self.changed = 0
        self.unreadable = 0
        #: Whether the positions are wrapped into the box; known from the first frame on.
        self.wrapped = False
        #: Elements of the atoms if the file contains them, else their types as text; known from the first frame on.
        self.symbols: tuple[str, ...] = ()
        self._kinds: NDArray[np.str_] | NDArray[np.int64] | None = None

    def __iter__(self) -> Iterator[Frame]:
        for step, cell, positions in self.frames():
            assert positions is not None
            yield step, cell, positions

    def frames(self, wanted: Callable[[int], bool] | None = None) -> Iterator[tuple[int, Array, Array | None]]:
        """Yield ``(step, cell, positions)`` of each frame, with None for the positions of those passed over.

        Of a frame that is passed over, header, number of rows and of columns, and the characters are checked, and the
        numbers are not read.

        :param wanted: whether the positions at a step are wanted, all by default; those of the first frame are read.
        """
        self.dropped = self.changed = self.unreadable = 0
        self._kinds = None
        firsts = [self._first_step(path) for path in self.paths]
        for index, path in enumerate(self.paths):
            ends = [step for step in firsts[index + 1 :] if step is not None]
            end = min(ends, default=None)
            for record in self._records(path, wanted):
                if end is not None and record.step >= end:
                    break
                if not self.symbols:
                    self.symbols = tuple(str(kind) for kind in record.kinds)
                yield record.step, record.cell, record.positions

    @staticmethod
    def _first_step(path: Path) -> int | None:
        if not path.exists():
            return None
        with open_plain(path) as handle:
            try:
                record = _read_record(_Text(handle, most_lines(path, SHORTEST)))
            except UnreadableError:
                raise
            except DAMAGED:
                return None
        return record.step if record else None

    def _records(self, path: Path, wanted: Callable[[int], bool] | None) -> Iterator[_Record]:
        if not path.exists():
            return
        with open_plain(path) as handle:
            text, usual = _Text(handle, most_lines(path, SHORTEST)), _UsualFrames()
            while True:
                known = self._kinds is not None
                try:
                    record = usual.read(text, wanted if known else None) or _read_record(text)
                except UnreadableError:
                    raise
                except DAMAGED:
                    self.dropped += 1
                    self.unreadable += 1
                    text.seek_frame()
                    continue
                if record is None:
                    return
                if self._kinds is None:
                    self._kinds, self.wrapped = record.kinds, record.wrapped
                if record.kinds is not self._kinds and not np.array_equal(record.kinds, self._kinds):
                    self.changed += 1
                    self.dropped += 1
                elif (record.positions is None or np.isfinite(record.positions).all()) and np.isfinite(
                    record.cell
                ).all():
                    yield record
                else:
                    self.dropped += 1


class _Text:
    """The text of a file from the beginning of the current frame on, read line by line or a frame at a time."""

    def __init__(self, handle: IO[bytes], most: int):
        self.handle = handle
        #: Largest number of lines that the file can have.
        self.most = most
        self.buffer = b''
        #: Where the current frame begins in the buffer, and what is to be read next.
        self.frame = self.next = 0

    def more(self) -> bool:
        """Read on, at least as much as there is, and drop what precedes the frame. Return whether there was more."""
        rest = self.buffer[self.frame :]
        parts, wanted = [rest], max(PIECE, len(rest))
        # One read at a time, so that what precedes a damaged part of a compressed file is kept.
        with suppress(*DAMAGE):
            while wanted > 0 and (block := self.handle.read1(wanted)):  # type: ignore[attr-defined]
                parts.append(block)
                wanted -= len(block)
        self.next -= self.frame
        self.frame = 0
        self.buffer = b''.join(parts)
        return len(parts) > 1

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        end = self.buffer.find(b'\n', self.next) + 1
        while not end:
            searched = len(self.buffer) - self.frame
            if not self.more():
                end = len(self.buffer)
                break
            end = self.buffer.find(b'\n', searched) + 1
        if end == self.next:
            raise StopIteration
        line = self.buffer[self.next : end]
        self.next = end
        return line

    def take(self, count: int) -> list[bytes]:
        """Return the next lines, fewer at the end of the file."""
        return take_lines(self, count, HEADS[2])

    def rows(self, head: re.Match[bytes]) -> int | None:
        """Return where the rows of the frame end with this header, if they are those that it declares."""
        count, begin = int(head['count']), head.end()
        if not 0 < count <= self.most:
            return None
        begin -= self.frame
        searched = begin
        while True:
            # A single letter is found several times as fast as a word; few elements contain it.
            end = self.buffer.find(b'I', self.frame + searched)
            if end >= 0 and not self.buffer.startswith(b'ITEM: ', end):
                end = self.buffer.find(b'\nITEM: ', end) + 1 or -1
            if end >= 0:
                break
            # The word may be divided.
            searched = max(begin, len(self.buffer) - self.frame - 8)
            if self.buffer.count(b'\n', self.frame + begin) > count:
                return None
            if not self.more():
                end = len(self.buffer)
                break
        rows = self.buffer.count(b'\n', self.frame + begin, end)
        return end if rows == count and self.buffer[end - 1 : end] == b'\n' else None

    def seek_frame(self) -> None:
        """Go to the next header, which may be within the damaged frame, or to the end of the file."""
        # A damaged frame may begin with a header: look behind its first line. The lines of UNITS and TIME before
        # TIMESTEP contain nothing that is used.
        self.next = self.frame
        next(self, None)
        self.frame = self.next
        while (found := self.buffer.find(HEADS[2], self.frame)) < 0:
            self.frame = max(self.frame, len(self.buffer) - len(HEADS[2]) + 1)
            if not self.more():
                found = len(self.buffer)
                break
        self.frame = self.next = found


class _UsualFrames:
    """Reads the frames that are whole and in the form in which LAMMPS writes them, several times as fast as others.

    A frame is read here only if the result is that of `_read_record`, to the last bit.
    """

    def __init__(self) -> None:
        self.columns = b''
        self.form: Rows | None = None
        self.style, self.kind = '', ''
        self.box = b''
        self.cell: Array = np.zeros((3, 3))
        self.origin: Array = np.zeros(3)
        self.kinds: NDArray[np.str_] | NDArray[np.int64] | None = None
        self.order: NDArray[np.int64] | None = None

    def read(self, text: _Text, wanted: Callable[[int], bool] | None) -> _Record | None:
        """Return the next frame, or None if it is another or there is none; the text is then where it was."""
        text.frame = text.next
        head = _HEAD.match(text.buffer, text.next)
        while head is None and len(text.buffer) - text.next < LONGEST_HEAD and text.more():
            head = _HEAD.match(text.buffer, text.next)
        if head is None or (end := text.rows(head)) is None:
            return None
        # The rows may have moved in the buffer.
        step, count, begin = int(head['step']), int(head['count']), head.end() - head.start() + text.next
        try:
            self._prepare(head)
        except (ValueError, IndexError):
            return None
        if self.form is None:
            return None
        wrapped = 'u' not in self.style
        if (
            wanted is not None
            and self.kinds is not None
            and len(self.kinds) == count
            and not wanted(step)
            and self.form.are_plain(text.buffer, begin, end)
        ):
            text.next = end
            return _Record(step, self.cell.copy(), None, self.kinds, wrapped)
        positions = self.form.read(text.buffer, begin, end)
        if positions is None:
            return None
        if self.form.changed:
            labels = self.form.labels()
            if labels is None:
                self.form = None
                return None
            ids, kinds = labels
            self.order = None if np.all(ids[1:] > ids[:-1]) else np.argsort(ids, kind='stable')
            self.kinds = kinds if self.order is None else kinds[self.order]
        assert self.kinds is not None
        if self.order is not None:
            positions = positions[self.order]
        positions = positions @ self.cell if self.style.startswith('s') else positions - self.origin
        text.next = end
        return _Record(step, self.cell.copy(), positions, self.kinds, wrapped)

    def _prepare(self, head: re.Match[bytes]) -> None:
        """Take columns and cell from a header.

        :raises ValueError: if they are damaged.
        """
        if head['columns'] != self.columns:
            self.form, self.kinds, self.columns = None, None, head['columns']
            columns = self.columns.decode().split()
            self.style, places, images, self.kind = _find_columns(columns)
            if not images and self.columns.startswith(b' ') and places == list(range(places[0], places[0] + 3)):
                labels = columns.index('id'), columns.index(self.kind)
                self.form = Rows(len(columns), *labels, places, named=self.kind == 'element')
        if head['box'] != self.box:
            lines = head['box'].decode().splitlines()
            self.box = b''
            self.cell, self.origin = _cell(lines[0].split()[3:], [line.split() for line in lines[1:]])
            self.box = head['box']


def _read_record(text: _Text) -> _Record | None:
    """Return the next frame, or None at the end of the file.

    :raises ValueError: if the frame is incomplete.
    """
    text.frame = text.next
    while True:
        first = text.take(1)
        if not first:
            return None
        if first[0].strip():
            break
        text.frame = text.next
    while not first[0].startswith(HEADS[2]):
        if not first[0].startswith(HEADS[:2]):
            raise ValueError('The header of a frame is not complete.')
        text.take(1)
        first = text.take(1)
        if not first:
            raise ValueError('The header of a frame is not complete.')
    header = [line.decode('utf8', 'replace') for line in text.take(8)]
    if len(header) < 8 or not header[7].startswith('ITEM: ATOMS') or not header[3].startswith('ITEM: BOX BOUNDS'):
        raise ValueError('The header of a frame is not complete.')
    if not (_WHOLE.fullmatch(header[0].strip()) and _WHOLE.fullmatch(header[2].strip())):
        raise ValueError('The step or the number of atoms is no number.')
    step, count, columns = int(header[0]), int(header[2]), header[7].split()[2:]
    if count > text.most:
        raise ValueError(f'The frame of step {step} declares more atoms than the file has lines.')
    rows = text.take(count)
    if len(rows) < count or not (rows[-1].endswith(b'\n') if rows else header[-1].endswith('\n')):
        raise ValueError(f'The frame of step {step} is not complete.')
    cell, origin = _cell(header[3].split()[3:], [header[index].split() for index in (4, 5, 6)])
    style, wanted, images, kind = _find_columns(columns)
    # Columns that are not used, velocities or names, are counted and never converted.
    formats = ['S1'] * len(columns)
    formats[columns.index(kind)] = 'S16' if kind == 'element' else 'i8'
    formats[columns.index('id')] = 'i8'
    for column in (*wanted, *images):
        formats[column] = 'f8'
    layout = np.dtype({'names': [str(column) for column in range(len(columns))], 'formats': formats})
    table = np.loadtxt(rows, dtype=layout, comments=None, ndmin=1) if rows else np.empty(0, dtype=layout)
    if len(table) != count:
        raise ValueError(f'The frame of step {step} is not complete.')
    ids = table[str(columns.index('id'))]
    if not np.all(ids[1:] > ids[:-1]):
        table = table[np.argsort(ids, kind='stable')]
    positions = np.stack([table[str(column)] for column in wanted], axis=1)
    positions = positions @ cell if style.startswith('s') else positions - origin
    if images:
        positions = positions + np.stack([table[str(column)] for column in images], axis=1) @ cell
    kinds = table[str(columns.index(kind))]
    kinds = kinds.astype(str) if kind == 'element' else np.array(kinds)
    return _Record(step, cell, positions, kinds, not images and 'u' not in style)


def _find_columns(columns: list[str]) -> tuple[str, list[int], list[int], str]:
    """Return the suffix of the positions, their columns, those of the image flags, and the name of the kinds' column.

    :raises ValueError: if there are no positions.
    """
    style = next((suffix for suffix in STYLES if f'x{suffix}' in columns), 'u')
    places = [columns.index(f'{axis}{style}') for axis in 'xyz']
    images = [columns.index(f'i{axis}') for axis in 'xyz'] if 'ix' in columns and 'u' not in style else []
    return style, places, images, 'element' if 'element' in columns else 'type'


def _cell(style: list[str], lines: list[list[str]]) -> tuple[Array, Array]:
    """Return the cell and its corner from the bounds of the box (LAMMPS manual, "Triclinic simulation boxes")."""
    rows = np.array(lines, dtype=float)
    if rows.ndim != 2 or rows.shape[1] < (4 if 'abc' in style else 3 if 'xy' in style else 2):
        raise ValueError('The bounds of the box are not complete.')
    if 'abc' in style:
        # `dump_modify triclinic/general yes`: a lattice vector in each line, and a component of the origin.
        return rows[:, :3], rows[:, 3]
    xy, xz, yz = rows[:, 2] if 'xy' in style else (0.0, 0.0, 0.0)
    low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    if (high <= low).any():
        raise ValueError('The bounds of the box enclose nothing.')
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low
