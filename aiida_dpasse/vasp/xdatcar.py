"""Frames of an XDATCAR, read one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError

Array = NDArray[np.float64]

#: First word of the line before the positions of a frame.
START = b'Direct'
#: Its number, as `cli.trajectory` finds it.
_NUMBER = re.compile(rb'=\s*(\d{1,18})\s')
#: Smallest volume of a cell in A^3.
EMPTY = 1e-6
_HEADER = 'The header should hold a scale, three vectors, elements and their numbers of atoms: copy the file again.'


def read_xdatcar(
    handle: IO[bytes], damaged: list[int] | None = None, most: int | None = None
) -> Iterator[tuple[int, Array, Array, list[str]]]:
    """Yield number, fractional positions (n, 3), cell (3, 3) in A with the vectors as rows, and symbols of each frame.

    The header may be repeated before each frame, as VASP writes it for a cell that varies, or before a continuation.

    :param handle: open file.
    :param damaged: receives the number of each frame that is truncated or damaged, which is skipped.
    :param most: largest number of atoms, that of the lines which the file can have.
    :raises UnreadableError: if the first header is not that of an XDATCAR with the names of the elements, or declares
        more atoms than ``most``.
    """
    cell: Array | None = None
    symbols: list[str] = []
    head: list[bytes] = []
    while line := handle.readline():
        if not line.lstrip().startswith(START):
            head = [*head[-6:], line]
            continue
        if len(head) >= 7:
            try:
                cell, symbols = _header(head, most)
            except UnreadableError:
                raise
            except (ValueError, IndexError) as error:
                if cell is None:
                    raise UnreadableError(_HEADER) from error
        head = []
        if cell is None:
            raise UnreadableError(_HEADER)
        match = _NUMBER.search(line)
        number = int(match[1]) if match else 0
        rows = list(islice(handle, len(symbols)))
        try:
            words = b' '.join(rows).split()
            positions = np.array(words, dtype=float).reshape(len(symbols), -1)[:, :3]
            if len(rows) < len(symbols) or positions.shape[1] < 3 or not np.isfinite(positions).all():
                raise ValueError
        except ValueError:
            if damaged is not None:
                damaged.append(number)
            # The next frame may begin within the damaged one.
            at = next((index for index, row in enumerate(rows) if row.lstrip().startswith(START)), None)
            if at is not None:
                handle = _Joined(rows[at:], handle)  # type: ignore[assignment]
            continue
        yield number, positions, cell, symbols


class _Joined:
    """Lines that were read too early, and the rest of a file."""

    def __init__(self, lines: list[bytes], handle: IO[bytes]):
        self.lines, self.handle = list(reversed(lines)), handle

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def readline(self) -> bytes:
        """Return the next line."""
        return self.lines.pop() if self.lines else self.handle.readline()


def _header(lines: list[bytes], most: int | None) -> tuple[Array, list[str]]:
    """Return cell and symbols of a header; a negative scale is the volume of the cell."""
    scale = float(lines[1].split()[0])
    cell = np.array([line.split()[:3] for line in lines[2:5]], dtype=float)
    if scale < 0:
        scale = float(np.cbrt(-scale / abs(np.linalg.det(cell))))
    names, counts = lines[5].decode().split(), [int(word) for word in lines[6].split()]
    if len(names) != len(counts) or not all(name[0].isalpha() for name in names) or min(counts) < 1:
        raise ValueError
    if most is not None and sum(counts) > most:
        raise UnreadableError(f'The header declares {sum(counts)} atoms, more than the file has lines: correct it.')
    # VASP 6 appends a hash to the name of the potential.
    names = [name.split('/')[0].split('_')[0] for name in names]
    if unknown := [name for name in names if name not in atomic_numbers]:
        raise UnreadableError(f'The header names atoms `{quoted(unknown[0])[:40]}`, which is no element: correct it.')
    if not np.isfinite(scale * cell).all() or abs(np.linalg.det(scale * cell)) < EMPTY:
        raise UnreadableError('The header has no cell of three lattice vectors: correct it.')
    return scale * cell, [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
