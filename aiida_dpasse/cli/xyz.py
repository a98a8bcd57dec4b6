"""Frames of an xyz file one by one, also after a damaged one, at which ASE's reader ends."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from aiida_dpasse.opening import DAMAGE, take_lines
from aiida_dpasse.structures.extxyz import has_plausible_columns
from aiida_dpasse.unreadable import UnreadableError

#: Number of bytes at the beginning of a comment line by which the comments of lost frames are recognised.
BEGINNING = 8


def read_xyz_frames(handle: IO[bytes], most: int) -> Iterator[tuple[bytes, Any] | None]:
    """Yield the comment line and the atoms of each frame, and None for each that is truncated or damaged.

    Reading continues with the next line that is the number of atoms.

    :param handle: open file in the format xyz or extxyz.
    :param most: largest number of lines that the file can have.
    :raises UnreadableError: if the file holds too much.
    :raises Exception: that of ASE's reader, if it cannot read a first frame that is whole.
    """
    from ase.io.extxyz import read_xyz

    lines = _Lines(handle)
    head, comment = b'', b''
    while header := lines.next():
        if not header.strip():
            continue
        rows: list[bytes] = []
        whole = True
        try:
            count = int(header)
            if not 0 < count <= most:
                raise ValueError('The number of atoms is missing, or larger than the number of lines of the file.')
            rows = lines.take(count + 1, head)
            whole = len(rows) > count and (head or header) not in rows[1:]
            if not whole or not has_plausible_columns(rows[0]):
                raise ValueError('The frame is truncated, or declares columns that no row has.')
            while (line := lines.next()).startswith(b'VEC'):
                rows.append(line)
            lines.give_back([line])
            text = b''.join([header, *rows]).decode('utf8', 'replace')
            atoms = next(read_xyz(io.StringIO(text), 0))
        except UnreadableError:
            raise
        except Exception:
            # The readers of ASE raise arbitrary exceptions.
            if not head and whole:
                raise
            head = head or header
            # The next frame may begin within the damaged one, or its first line may be lost as well.
            lost = [header, *rows]
            while rows and head not in rows:
                rows = [line] if (line := lines.next()) else []
                lost += rows
            if rows:
                at = rows.index(head)
                lines.give_back(rows[at:])
                del lost[len(lost) - len(rows) + at :]
            for _ in range(max(1, sum(bool(comment) and line.startswith(comment) for line in lost))):
                yield None
            continue
        head, comment = head or header, comment or rows[0].strip()[:BEGINNING]
        yield rows[0], atoms


class _Lines:
    """The lines of a file, to which lines can be given back."""

    def __init__(self, handle: IO[bytes]):
        self.handle = handle
        self.given_back: list[bytes] = []

    def next(self) -> bytes:
        """Return the next line, empty at the end of the file."""
        if self.given_back:
            return self.given_back.pop()
        with suppress(*DAMAGE):
            return self.handle.readline()
        return b''

    def take(self, count: int, head: bytes) -> list[bytes]:
        """Return the next lines, fewer at the end of the file, or soon after one that begins as ``head``."""
        lines = [self.given_back.pop() for _ in range(min(count, len(self.given_back)))]
        if len(lines) < count:
            lines += take_lines(self.handle, count - len(lines), head)
        return lines

    def give_back(self, lines: list[bytes]) -> None:
        """Return lines, to be read again."""
        self.given_back += reversed([line for line in lines if line])
