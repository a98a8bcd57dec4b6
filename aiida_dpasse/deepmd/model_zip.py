"""The zip of a PyTorch model, opened only if what it declares is what PyTorch writes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from aiida_dpasse.unreadable import UnreadableError

#: Most bytes of one read file, of the list of files, and most files: far above those of the largest published models.
MOST_BYTES, MOST_DIRECTORY, MOST_FILES = 64 * 2**20, 8 * 2**20, 50_000
_START = b'PK\x03\x04'
#: What `zipfile` raises for a damaged or unknown zip.
_DAMAGED = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_END, _END_64 = struct.Struct('<4s4H2LH'), struct.Struct('<4sQ2H2L4Q')


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip, which is how PyTorch decides.

    :param path: the file.
    """
    with path.open('rb') as handle:
        return handle.read(len(_START)) == _START


class ModelZip:
    """The files in the one folder of a model's zip.

    :param path: the zip.
    :raises UnreadableError: if it is damaged, encrypted, or not as PyTorch writes it.
    """

    def __init__(self, path: Path) -> None:
        _check_directory(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except _DAMAGED as exception:
            raise UnreadableError('it was cut short or is damaged, copy it again') from exception
        try:
            self._files = self._check(path.stat().st_size)
        except UnreadableError:
            self._archive.close()
            raise

    def _check(self, size: int) -> dict[str, zipfile.ZipInfo]:
        entries = self._archive.infolist()
        if len(entries) > MOST_FILES:
            raise UnreadableError(f'its zip has {len(entries):,} files')
        if len({entry.filename.partition('/')[0] for entry in entries}) > 1:
            raise UnreadableError('its zip has files outside the one folder that PyTorch writes')
        # PyTorch finds a file by its name without regard to case, and takes another one of two than `zipfile` does.
        if len({entry.filename.lower() for entry in entries}) < len(entries):
            raise UnreadableError('its zip has two files of one name')
        for entry in entries:
            if entry.flag_bits & 1:
                raise UnreadableError('its zip is encrypted: decrypt it')
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnreadableError('its zip is compressed in a way that PyTorch does not write')
        if sum(entry.compress_size for entry in entries) > size:
            raise UnreadableError('the files in its zip are larger than the zip')
        return {entry.filename.partition('/')[2]: entry for entry in entries}

    def __enter__(self) -> ModelZip:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    @property
    def names(self) -> list[str]:
        """Names of the files, without the folder."""
        return list(self._files)

    def size(self, name: str) -> int:
        """Return the number of bytes of a file, 0 if it is missing.

        :param name: its name without the folder.
        """
        return self._files[name].file_size if name in self._files else 0

    def is_stored(self, name: str) -> bool:
        """Whether a file is in the zip and not compressed, so that its size is that of its bytes.

        :param name: its name without the folder.
        """
        entry = self._files.get(name)
        stored = entry is not None and entry.compress_type == zipfile.ZIP_STORED
        return stored and entry is not None and entry.file_size == entry.compress_size

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """Return the content of a file.

        :param name: its name without the folder.
        :param most: most bytes to read.
        :raises UnreadableError: if it is larger, or damaged.
        """
        if self.size(name) > most:
            raise UnreadableError(f'`{name}` in its zip declares {self.size(name):,} bytes, and {most:,} are the most')
        try:
            return self._archive.read(self._files[name])
        except _DAMAGED as exception:
            raise UnreadableError(f'`{name}` in its zip is damaged, copy it again') from exception


def _check_directory(path: Path) -> None:
    """Check the declared size of the list of files, all of which `zipfile` reads at once."""
    with path.open('rb') as handle:
        handle.seek(max(0, path.stat().st_size - (1 << 16) - _END.size - _END_64.size - 20))
        tail = handle.read()
    place = tail.rfind(b'PK\x05\x06')
    if place < 0 or len(tail) - place < _END.size:
        raise UnreadableError('it was cut short or is damaged, copy it again')
    sizes = [_END.unpack_from(tail, place)[5]]
    place = tail.rfind(b'PK\x06\x06')
    if place >= 0 and len(tail) - place >= _END_64.size:
        sizes.append(_END_64.unpack_from(tail, place)[8])
    if max(size for size in sizes if size != 2**32 - 1 or len(sizes) == 1) > MOST_DIRECTORY:
        raise UnreadableError('the list of files in its zip is too long')
