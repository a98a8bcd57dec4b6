"""Arrays of npy files, whose header is checked before anything is read.

numpy allocates what a header declares, and advises to unpickle what it refuses. Depends on numpy only, since it is
shipped with the drivers to the compute machine.
"""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError, check_regular

#: Kinds of numpy's types that are numbers, and those that are texts.
NUMBERS, TEXTS = 'fiu', 'US'
#: Longest text of an array, in characters.
LONGEST_TEXT = 1 << 16


def load_array(path: Path, where: str, kinds: str = NUMBERS) -> NDArray[Any]:
    """Return the array of a file.

    :param path: npy file.
    :param where: its name in messages.
    :param kinds: kinds of types that are read, of `NUMBERS` and `TEXTS`.
    :raises UnreadableError: if it is no such array, or not as long as its header declares.
    """
    check_regular(path, where)
    with path.open('rb') as handle:
        return read_array(handle, os.fstat(handle.fileno()).st_size, where, kinds)


def read_array(handle: IO[bytes], size: int, where: str, kinds: str = NUMBERS) -> NDArray[Any]:
    """Return the array of an open file; parameters and errors as in `load_array`.

    :param size: size of the file in bytes.
    """
    shape, fortran, dtype, start = read_header(handle, size, where)
    check_kind(dtype, where, kinds)
    content = handle.read(size - start)
    if len(content) != size - start:
        raise UnreadableError(f'`{line(where)}` cannot be read to its end: copy it again.')
    # A copy, since arrays over bytes cannot be written to.
    values = np.frombuffer(content, dtype=dtype, count=math.prod(shape)).copy()
    return values.reshape(shape, order='F' if fortran else 'C')


def read_archive(content: bytes, where: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file by their names.

    :param content: the file, as `numpy.savez` writes it, without compression.
    :param where: its name in messages.
    :raises UnreadableError: if it is damaged or encrypted, or holds anything but arrays of plain values.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(content):
                    raise UnreadableError(f'`{line(where)}` is compressed or declares too much: use `numpy.savez`.')
                with archive.open(member) as handle:
                    name = f'{where}/{member.filename}'
                    arrays[member.filename.removesuffix('.npy')] = read_array(
                        handle, member.file_size, name, NUMBERS + TEXTS + 'b'
                    )
    except UnreadableError:
        raise
    except Exception as error:  # zipfile raises exceptions of many types for a damaged or encrypted file
        raise UnreadableError(f'`{line(where)}` is a damaged or encrypted archive of arrays: copy it again.') from error
    return arrays


def read_header(handle: IO[bytes], size: int, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, whether the order is Fortran's, type, and the place where the numbers begin.

    :param handle: open file, at its beginning.
    :param size: size of the file in bytes.
    :param where: its name in messages.
    :raises UnreadableError: if the header is damaged, or declares another amount of numbers than the file holds.
    """
    name = line(where)
    beginning = io.BytesIO(handle.read(np.lib.format.MAGIC_LEN + 4 + 10_000))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            version = np.lib.format.read_magic(beginning)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(beginning)
    except Exception as error:  # numpy evaluates the header as Python, which raises exceptions of many types
        raise UnreadableError(
            f'`{name}` is no array in the format npy, or its header is damaged: copy it again.'
        ) from (error)
    start = beginning.tell()
    handle.seek(start)
    if dtype.hasobject:
        raise UnreadableError(f'`{name}` holds Python objects, which are never read: save it as an array of numbers.')
    if any(type(length) is not int or length < 0 for length in shape) or dtype.itemsize == 0:
        raise UnreadableError(f'`{name}` declares the shape {line(shape)}, which no array has: save it again.')
    declared = math.prod(shape) * dtype.itemsize
    if declared != size - start:
        raise UnreadableError(
            f'`{name}` declares {declared:.6g} bytes of numbers and holds {size - start}: copy it again.'
        )
    return shape, bool(fortran), dtype, start


def check_kind(dtype: np.dtype[Any], where: str, kinds: str = NUMBERS) -> None:
    """Check that a type is one of real numbers, or of texts where these are expected.

    :param dtype: type of the array.
    :param where: name of the file in messages.
    :param kinds: kinds that are read, of `NUMBERS` and `TEXTS`.
    :raises UnreadableError: if it is another, such as complex numbers or dates, or its texts are too long.
    """
    if dtype.kind not in kinds or dtype.names is not None:
        known = {'c': 'complex numbers', 'M': 'dates', 'm': 'dates', 'b': 'truth values', 'U': 'text', 'S': 'text'}
        what = 'text' if kinds == TEXTS else 'real numbers'
        raise UnreadableError(
            f'`{line(where)}` holds {known.get(dtype.kind, "another kind of values")} and should hold {what}: '
            'save it as such.'
        )
    if dtype.kind in TEXTS and dtype.itemsize > 4 * LONGEST_TEXT:
        raise UnreadableError(f'`{line(where)}` holds texts of up to {dtype.itemsize} bytes: shorten them.')
