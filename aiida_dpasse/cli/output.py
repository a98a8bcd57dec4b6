"""What commands write: text on the terminal, in which nothing acts, and files, which replace none unasked."""

from __future__ import annotations

import errno
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.whole import is_stream, whole_file, whole_files

#: Type of an option or argument that names a file to write; :func:`writes_files` examines it.
OUTPUT = click.Path(dir_okay=False, path_type=Path)


def say(text: object = '', err: bool = False) -> None:
    """Write text on the terminal; control characters and the like, which only a stranger's text has, are shown.

    :param text: the text, of one line or several.
    :param err: whether it goes to the standard error.
    """
    click.echo(quoting.lines(text), err=err)


def writes_files(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--force``, and refuse files to write before the command runs; the innermost decorator.

    The files are those of the type :data:`OUTPUT`. None may be an input, which is any other path that the command was
    given, and none may exist without ``--force``.

    :param command: the command's function.
    """

    @click.option('--force', is_flag=True, help='Overwrite the files that exist.')
    @functools.wraps(command)
    def checked(*args: Any, force: bool, **kwargs: Any) -> Any:
        context = click.get_current_context()
        given = [
            (parameter.type, _paths(context.params.get(str(parameter.name)))) for parameter in context.command.params
        ]
        inputs = [path for kind, paths in given if kind is not OUTPUT for path in paths]
        outputs = [path for kind, paths in given if kind is OUTPUT for path in paths]
        for index, path in enumerate(outputs):
            check_output(path, inputs, force)
            if any(_same(path, other) for other in outputs[:index]):
                raise Refusal(f'{path} is to be written twice: name two files.')
        return command(*args, **kwargs)

    return checked


def check_output(path: Path, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Refuse a file that should not or cannot be written.

    :param path: the file.
    :param inputs: files and folders that are read.
    :param force: whether a file that exists may be overwritten.
    :raises Refusal: if it is an input or in an input folder, if it exists, or if its folder is missing or read-only.
    """
    try:
        exists = path.exists()
        for other in inputs:
            if _same(path, other) or (exists and other.is_dir() and path.resolve().is_relative_to(other.resolve())):
                raise Refusal(f'{path} is an input, which is never overwritten: name another file.')
        if exists and path.is_dir():
            raise Refusal(f'{path} is a folder: name a file.')
        if is_stream(path):
            return
        if exists and not force:
            raise Refusal(f'{path} exists: name another file, or overwrite it with --force.')
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise Refusal(f'{path} cannot be written: there is no folder {folder}, make it first.')
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refusal(f'{path} cannot be written: the folder {folder} is read-only, name another one.')
    except OSError as error:
        raise Refusal(f'{path} cannot be written: {error.strerror}.') from error


def check_folder(directory: Path) -> None:
    """Refuse a folder that cannot be made or written to.

    :param directory: the folder, which need not exist.
    :raises Refusal: if it, or the closest folder above it, is read-only or a file.
    """
    try:
        closest = next(folder for folder in (directory, *directory.absolute().parents) if folder.exists())
    except OSError as error:
        raise Refusal(f'{directory} cannot be made: {error.strerror}.') from error
    if not closest.is_dir():
        raise Refusal(f'{directory} cannot be made: {closest} is a file, name another folder.')
    if not os.access(closest, os.W_OK | os.X_OK):
        raise Refusal(f'{directory} cannot be written: {closest} is read-only, name another folder.')


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a path to write to; when all is written, the file is moved to its place, and otherwise nothing remains.

    :param path: the file or folder to write; what stands there is replaced.
    :param mode: permissions of the file, by default those of the file that it replaces.
    :raises Refusal: if it cannot be written, for example because the disk is full.
    """
    try:
        with whole_file(path, mode) as partial:
            yield partial
    except OSError as error:
        raise Refusal(f'{path} cannot be written: {sentence_of(error)}') from error


@contextmanager
def filling(directory: Path, force: bool = False) -> Iterator[Path]:
    """Give an empty folder to write to; when all is written, the files are moved to another one.

    :param directory: where the files belong; made if it is missing.
    :param force: whether files that are there are replaced.
    :raises Refusal: if one is there and should not be replaced, or if they cannot be written.
    """
    try:
        with whole_files(directory, force) as partial:
            yield partial
    except FileExistsError as error:
        raise Refusal(f'{error.filename} exists: name another folder, or overwrite it with --force.') from error
    except OSError as error:
        raise Refusal(f'{directory} cannot be written: {sentence_of(error)}') from error


def write_file(path: Path, write: Callable[[Path], object], mode: int | None = None) -> None:
    """Write a file completely or not at all.

    :param path: the file.
    :param write: writes the content to the path that it is given.
    :param mode: permissions of the file, by default those of the file that it replaces.
    :raises Refusal: if it cannot be written.
    """
    with replacing(path, mode) as partial:
        try:
            write(partial)
        except ValueError as error:
            raise Refusal(f'{path} cannot be written: {str(error).replace(str(partial), str(path))}') from error


def write_text(path: Path, content: str, mode: int | None = None) -> None:
    """Write a text file completely or not at all.

    :param path: the file.
    :param content: its content.
    :param mode: permissions of the file, by default those of the file that it replaces.
    :raises Refusal: if it cannot be written.
    """
    write_file(path, lambda partial: partial.write_text(content, encoding='utf8'), mode)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write a JSON file if a path is given, completely or not at all.

    :param path: path of the file, or None.
    :param content: content to write.
    :raises Refusal: if the file cannot be written, or a number is NaN or infinite.
    """
    if path is None:
        return
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except ValueError as error:
        raise Refusal(f'{path} cannot be written: a result is not a finite number. Check the input.') from error
    write_text(path, f'{text}\n')


def sentence_of(error: OSError) -> str:
    """Return what went wrong in words, with a hint for a full disk.

    :param error: the error of the system.
    """
    hint = ' Nothing was written: free some space.' if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ''
    return f'{error.strerror or error}.{hint}'


def _paths(value: Any) -> list[Path]:
    """Return the paths in the value of a parameter: one, several, or the folders of a node."""
    if isinstance(value, Path):
        return [value]
    if isinstance(value, tuple):
        return [path for item in value for path in _paths(item)]
    return list(getattr(value, 'folders', ()))


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)
