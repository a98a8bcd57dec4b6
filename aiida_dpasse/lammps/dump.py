"""Reading of LAMMPS dump files frame by frame, in bounded memory, over the segments of one run.

Depends on numpy only, since it is shipped with the drivers to the machine that holds the trajectory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
#: Exceptions of the reading of a frame that is damaged.
DAMAGED = (ValueError, IndexError, TypeError, OverflowError)


_WHOLE = re.compile(r'\d{1,18}', re.ASCII)


class _Record(NamedTuple):
    step: int
    cell: Array
    positions: Array
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
        self.dropped = self.changed = self.unreadable = 0
        self._kinds = None
        firsts = [self._first_step(path) for path in self.paths]
        for index, path in enumerate(self.paths):
            ends = [step for step in firsts[index + 1 :] if step is not None]
            end = min(ends, default=None)
            for record in self._records(path):
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
                record = _read_record(_Lines(handle, most_lines(path, SHORTEST)))
            except UnreadableError:
                raise
            except DAMAGED:
                return None
        return record.step if record else None

    def _records(self, path: Path) -> Iterator[_Record]:
        if not path.exists():
            return
        with open_plain(path) as handle:
            lines = _Lines(handle, most_lines(path, SHORTEST))
            while True:
                try:
                    record = _read_record(lines)
                except UnreadableError:
                    raise
                except DAMAGED:
                    self.dropped += 1
                    self.unreadable += 1
                    lines.seek_frame()
                    continue
                if record is None:
                    return
                if self._kinds is None:
                    self._kinds, self.wrapped = record.kinds, record.wrapped
                if not np.array_equal(record.kinds, self._kinds):
                    self.changed += 1
                    self.dropped += 1
                elif np.isfinite(record.positions).all() and np.isfinite(record.cell).all():
                    yield record
                else:
                    self.dropped += 1


class _Lines:
    """The lines of a file, of which those of the last frame can be searched again for the header of another."""

    def __init__(self, handle: IO[bytes], most: int):
        self.handle = handle
        #: Largest number of lines that the file can have.
        self.most = most
        #: Lines that were given back, the next one last.
        self.given_back: list[bytes] = []
        #: Lines of the frame that is being read.
        self.frame: list[bytes] = []

    def take(self, count: int) -> list[bytes]:
        """Return the next lines, fewer at the end of the file."""
        lines: list[bytes] = []
        while self.given_back and len(lines) < count:
            lines.append(self.given_back.pop())
        if len(lines) < count:
            lines += take_lines(self.handle, count - len(lines), HEADS[2])
        self.frame += lines
        return lines

    def seek_frame(self) -> None:
        """Go to the next header, which may be within the damaged frame, or to the end of the file."""
        # A damaged frame may begin with a header: look behind its first line.
        lines, self.frame = self.frame[1:], []
        while lines:
            for index, line in enumerate(lines):
                if (at := line.find(HEADS[2])) >= 0:
                    # The lines of UNITS and TIME before TIMESTEP contain nothing that is used.
                    self.given_back += reversed([line[at:], *lines[index + 1 :]])
                    return
            lines, self.frame = self.take(1), []


def _read_record(lines: _Lines) -> _Record | None:
    """Return the next frame, or None at the end of the file.

    :raises ValueError: if the frame is incomplete.
    """
    lines.frame = []
    while True:
        first = lines.take(1)
        if not first:
            return None
        if first[0].strip():
            break
        lines.frame = []
    while not first[0].startswith(HEADS[2]):
        if not first[0].startswith(HEADS[:2]):
            raise ValueError('The header of a frame is not complete.')
        lines.take(1)
        first = lines.take(1)
        if not first:
            raise ValueError('The header of a frame is not complete.')
    header = [line.decode('utf8', 'replace') for line in lines.take(8)]
    if len(header) < 8 or not header[7].startswith('ITEM: ATOMS') or not header[3].startswith('ITEM: BOX BOUNDS'):
        raise ValueError('The header of a frame is not complete.')
    if not (_WHOLE.fullmatch(header[0].strip()) and _WHOLE.fullmatch(header[2].strip())):
        raise ValueError('The step or the number of atoms is no number.')
    step, count, columns = int(header[0]), int(header[2]), header[7].split()[2:]
    if count > lines.most:
        raise ValueError(f'The frame of step {step} declares more atoms than the file has lines.')
    rows = lines.take(count)
    if len(rows) < count or not (rows[-1].endswith(b'\n') if rows else header[-1].endswith('\n')):
        raise ValueError(f'The frame of step {step} is not complete.')
    cell, origin = _cell(header[3].split()[3:], [header[index].split() for index in (4, 5, 6)])
    style = next((suffix for suffix in STYLES if f'x{suffix}' in columns), 'u')
    wanted = [columns.index(f'{axis}{style}') for axis in 'xyz']
    images = [columns.index(f'i{axis}') for axis in 'xyz'] if 'ix' in columns and 'u' not in style else []
    kind = 'element' if 'element' in columns else 'type'
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
