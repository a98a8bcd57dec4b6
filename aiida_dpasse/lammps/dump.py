"""Reading of LAMMPS dump files frame by frame, in bounded memory, over the segments of one run.

Depends on numpy only, since it is shipped with the drivers to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frame = tuple[int, Array, Array]


#: Suffixes of the position columns, in order of preference: u means unwrapped, s scaled by the box.
STYLES = ('u', 'su', '', 's')


class _Record(NamedTuple):
    step: int
    cell: Array
    positions: Array
    kinds: NDArray[np.str_] | NDArray[np.int64]
    wrapped: bool


class DumpReader:
    """Iterates over ``(step, cell, positions)`` of the dump files of one run.

    ``cell`` (3, 3) A has the lattice vectors as rows, in LAMMPS' frame; ``positions`` (n, 3) A are sorted by atom id
    and relative to the corner of the box. Columns may be xu, xsu, x or xs, with or without image flags; ``wrapped`` is
    true for x and xs without flags, where positions are wrapped into the box. If a segment repeats steps of an earlier
    one, the later one counts.

    Frames that are truncated or damaged, contain other atoms than the first frame, or hold non-finite numbers are
    skipped and counted in ``dropped``. Of these, ``changed`` counts the frames with other atoms, and ``unreadable`` the
    truncated or damaged ones, after which their file is read no further.

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
        with path.open() as handle:
            try:
                record = _read_record(handle)
            except (ValueError, IndexError):
                return None
        return record.step if record else None

    def _records(self, path: Path) -> Iterator[_Record]:
        if not path.exists():
            return
        with path.open() as handle:
            while True:
                try:
                    record = _read_record(handle)
                except (ValueError, IndexError):
                    self.dropped += 1
                    self.unreadable += 1
                    return
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


def _read_record(handle: IO[str]) -> _Record | None:
    """Return the next frame, or None at the end of the file.

    :raises ValueError: if the frame is incomplete.
    """
    line = handle.readline()
    if not line.strip():
        return None
    header = list(islice(handle, 8))
    if not line.startswith('ITEM: TIMESTEP') or len(header) < 8 or not header[7].startswith('ITEM: ATOMS'):
        raise ValueError('The header of a frame is not complete.')
    step, count, columns = int(header[0]), int(header[2]), header[7].split()[2:]
    lines = list(islice(handle, count))
    if len(lines) < count or not (lines or header)[-1].endswith('\n'):
        raise ValueError(f'The frame of step {step} is not complete.')
    cell, origin = _cell(header[3].split()[3:], [header[index].split() for index in (4, 5, 6)])
    style = next((suffix for suffix in STYLES if f'x{suffix}' in columns), 'u')
    wanted = [columns.index(f'{axis}{style}') for axis in 'xyz']
    images = [columns.index(f'i{axis}') for axis in 'xyz'] if 'ix' in columns and 'u' not in style else []
    if 'element' in columns:
        words = np.array(' '.join(lines).split()).reshape(count, len(columns))
        kinds = words[:, columns.index('element')]
        ids = words[:, columns.index('id')].astype(int)
        positions, flags = words[:, wanted].astype(float), words[:, images].astype(float)
    else:
        numbers = np.array(' '.join(lines).split(), dtype=float).reshape(count, len(columns))
        kinds = numbers[:, columns.index('type')].astype(int)
        ids = numbers[:, columns.index('id')].astype(int)
        positions, flags = numbers[:, wanted], numbers[:, images]
    positions = positions @ cell if style.startswith('s') else positions - origin
    if images:
        positions = positions + flags @ cell
    order = np.argsort(ids, kind='stable')
    return _Record(step, cell, positions[order], kinds[order], not images and 'u' not in style)


def _cell(style: list[str], lines: list[list[str]]) -> tuple[Array, Array]:
    """Return the cell and its corner from the bounds of the box (LAMMPS manual, "Triclinic simulation boxes")."""
    rows = np.array(lines, dtype=float)
    xy, xz, yz = rows[:, 2] if 'xy' in style else (0.0, 0.0, 0.0)
    low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low
