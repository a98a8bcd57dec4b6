"""Opening of files of text, compressed or not, with limits on what they hold.

Depends on the standard library only, since it is shipped with the drivers to the machine that holds the trajectory.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import IO, Any

from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError, check_regular

#: First bytes of compressed files.
GZIP, BZIP2, XZ, ZSTANDARD = b'\x1f\x8b', b'BZh', b'\xfd7zXZ\x00', b'\x28\xb5\x2f\xfd'
#: Errors of a compressed file that is truncated or damaged.
DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error)
# A Python may be built without bz2 and lzma, and zstandard is a package of its own; few files need them.
for _module, _error in (('lzma', 'LZMAError'), ('zstandard', 'ZstdError')):
    with suppress(ImportError):
        DAMAGE += (getattr(import_module(_module), _error),)
#: A file may hold this many times the bytes that it takes, and in any case `SMALL` bytes; the digits of positions
#: compress by a factor of less than ten.
RATIO, SMALL = 100, 8 << 20
#: Longest line in bytes.
LONGEST_LINE = 1 << 24
#: Number of bytes, and of lines, that are read at once.
BLOCK, PIECE = 1 << 18, 100_000


def open_plain(path: str | PathLike[str]) -> IO[bytes]:
    """Open a file for reading, decompressed if its first bytes are those of gzip, bzip2, xz or zstd.

    :param path: path of the file, of any name.
    :raises UnreadableError: if it is no regular file, or is compressed and the module that reads it is missing, as
        ``zstandard`` may be, or if it holds more than `RATIO` times its size; while it is read, if a line is too long.
    """
    check_regular(Path(path))
    found = os.stat(path)
    _check_ratio(os.path.abspath(path), found.st_size, found.st_mtime_ns)
    return io.BufferedReader(_Limited(_open(Path(path)), Path(path)), BLOCK)


@lru_cache(maxsize=64)
def _check_ratio(path: str, size: int, changed: int) -> None:
    """Decompress a compressed file once, up to the limit, which takes little of the time of reading it."""
    source = _open(Path(path))
    with _Limited(source, Path(path)) as handle, suppress(*DAMAGE):
        buffer = bytearray(BLOCK)
        while not isinstance(source, io.RawIOBase) and handle.readinto(buffer):
            pass


def _open(path: Path) -> Any:
    with path.open('rb') as handle:
        magic = handle.read(6)
    if magic.startswith(GZIP):
        return gzip.open(path, 'rb')
    for first, module in ((BZIP2, 'bz2'), (XZ, 'lzma'), (ZSTANDARD, 'zstandard')):
        if magic.startswith(first):
            try:
                found = import_module(module)
            except ImportError as error:
                raise UnreadableError(
                    f'{line(path.name)} is compressed, and Python has no module {module}: decompress it.'
                ) from error
            if first != ZSTANDARD:
                return found.open(path, 'rb')
            # Files may be joined.
            return found.ZstdDecompressor().stream_reader(path.open('rb'), read_across_frames=True, closefd=True)
    return path.open('rb', buffering=0)


class _Limited(io.RawIOBase):
    """The bytes of a file, which end with an error if there are too many of them or a line does not end."""

    def __init__(self, source: Any, path: Path):
        self.source, self.name = source, line(path.name)
        # Holes in a plain file are lines that do not end. The blocks that it takes say nothing: file systems that
        # compress or write late, such as ZFS, count them after seconds.
        self.most = float('inf') if isinstance(source, io.RawIOBase) else max(SMALL, RATIO * os.stat(path).st_size)
        self.count = self.row = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if isinstance(self.source, io.RawIOBase):
            count = int(self.source.readinto(view) or 0)
        else:
            # One block at a time, so that what precedes a damaged one is read.
            content = self.source.read1(len(view))
            count = len(content)
            view[:count] = content
        self.count += count
        if self.count > self.most:
            raise UnreadableError(
                f'{self.name} holds more than {RATIO} times the bytes that it takes: decompress it and give the result.'
            )
        # Lines are short: only if none ends near the end of the block, the whole block is searched.
        near = max(0, count - 4096)
        end = bytes(view[near:count]).rfind(b'\n')
        end = near + end if end >= 0 else bytes(view[:count]).rfind(b'\n')
        self.row = self.row + count if end < 0 else count - end
        if self.row > LONGEST_LINE:
            raise UnreadableError(f'{self.name} has a line of more than {LONGEST_LINE} bytes: give a file of text.')
        return count

    def close(self) -> None:
        self.source.close()
        super().close()


def most_lines(path: str | PathLike[str], shortest: int) -> int:
    """Return the largest number of lines that a file can have.

    :param path: path of the file, compressed or not.
    :param shortest: number of bytes of the shortest line.
    """
    with open(path, 'rb') as handle:
        magic, size = handle.read(6), os.fstat(handle.fileno()).st_size
    compressed = magic.startswith((GZIP, BZIP2, XZ, ZSTANDARD))
    return (max(SMALL, RATIO * size) if compressed else size + 1) // shortest


def take_lines(handle: Iterator[bytes], count: int, ends: bytes) -> list[bytes]:
    """Return the next lines, fewer at the end of the file, or where a compressed one is damaged.

    If a header declares very many, reading stops soon after the beginning of another frame.

    :param handle: open file, or other lines.
    :param count: number of lines.
    :param ends: how the lines begin that are the first of a frame.
    """
    lines: list[bytes] = []
    while len(lines) < count:
        piece: list[bytes] = []
        with suppress(*DAMAGE):
            piece += islice(handle, min(count - len(lines), PIECE))
        lines += piece
        if len(piece) < PIECE or (ends and any(row.startswith(ends) for row in piece)):
            break
    return lines
