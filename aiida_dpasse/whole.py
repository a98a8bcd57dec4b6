"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a path to write a file or a folder to; at the end it is moved to its place, and after an error removed.

    :param path: the file; one that is there is replaced. A device or a pipe, such as /dev/stdout, is
        written to directly.
    :param mode: permissions of the file, by default those of the file that it replaces.
    :raises OSError: if it cannot be written.
    """
    if is_stream(path):
        yield path
        return
    target = Path(os.path.realpath(path))
    with _beside(target.parent) as folder:
        # Libraries recognise the format by the name and the suffix.
        partial = folder / target.name
        yield partial
        _sync(partial)
        if mode is not None:
            partial.chmod(mode)
        elif target.is_file():
            shutil.copymode(target, partial)
        os.replace(partial, target)


@contextmanager
def whole_files(directory: Path, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to write to; at the end, all that is in it is moved to another one.

    :param directory: where the files belong; made if it is missing, and removed again after an error.
    :param overwrite: whether files that are there are replaced.
    :raises FileExistsError: if one is there and should not be replaced; then none is written.
    :raises OSError: if they cannot be written.
    """
    made = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with _beside(directory) as folder:
            yield folder
            moves = [(partial, directory / partial.name) for partial in sorted(folder.iterdir())]
            for partial, target in moves:
                if os.path.lexists(target) and not overwrite:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
                _sync(partial)
            for partial, target in moves:
                os.replace(partial, target)
    except BaseException:
        if made:
            shutil.rmtree(directory, ignore_errors=True)
        raise


def is_stream(path: Path) -> bool:
    """Return whether a path is a device or a pipe, or a standard stream, wherever that leads.

    :param path: the path.
    """
    return path.exists() and not path.is_dir() and (not path.is_file() or path.is_relative_to('/dev'))


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Give a folder on the same file system, which is removed at the end, whatever happens."""
    beside = Path(tempfile.mkdtemp(prefix='.aiida-dpasse-', dir=folder))
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: some file systems say only then that they are full."""
    if path.is_file():
        with path.open('rb') as handle:
            os.fsync(handle.fileno())
