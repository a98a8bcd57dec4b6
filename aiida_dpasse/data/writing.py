"""Frames to files: extxyz, ASE databases, and DeePMD-kit's layouts."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.deepmd.dataset import write_dataset, write_mixed
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError, reason

if TYPE_CHECKING:
    from aiida_dpasse.data.frames import FramesData

FORMATS = ('extxyz', 'npy', 'mixed', 'ase-db')
SUFFIXES = {'.xyz': 'extxyz', '.extxyz': 'extxyz', '.db': 'ase-db'}


def write_frames(
    frames: FramesData, path: str | Path, fmt: str | None = None, type_map: Sequence[str] | None = None
) -> Path:
    """Write frames with their labels and origin to a file or folder; reading it gives the same numbers.

    :param frames: the frames.
    :param path: file to make, for npy and mixed a folder.
    :param fmt: one of `FORMATS`, by default extxyz or ase-db by the suffix of ``path``, and npy without one.
    :param type_map: elements of the layout ``mixed`` in the order of their types, by default those of the frames.
    :returns: the path.
    :raises UnreadableError: if ``path`` exists or cannot be written, the format is unknown, or ``type_map`` lacks an
        element.
    """
    place = Path(path)
    form = fmt or SUFFIXES.get(place.suffix.lower(), 'npy')
    if form not in FORMATS:
        raise UnreadableError(f'`{form}` is no format to write: take one of {", ".join(FORMATS)}.')
    if type_map is not None and form != 'mixed':
        raise UnreadableError(f'A type map is that of the format mixed: {form} names the elements themselves.')
    if place.exists():
        raise UnreadableError(f'`{place}` exists: give another path, or remove it.')
    frames.check()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.', dir=place.parent) as folder:
            whole = Path(folder) / place.name
            if form == 'npy':
                write_dataset(frames.sets(), whole)
            elif form == 'mixed':
                write_mixed(frames.sets(), whole, type_map or frames.elements)
            elif form == 'ase-db':
                _write_database(frames.sets(), whole)
            else:
                with whole.open('w', encoding='utf8') as file:
                    file.writelines(block for item in frames.sets() for block in _extxyz(item))
            whole.rename(place)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, 'strerror', None) or reason(error)
        raise UnreadableError(
            f'`{quoted(place)}` cannot be written ({why}), and nothing of it is left: make room, or give another path.'
        ) from error
    return place


def _origins(item: FrameSet) -> list[dict[str, Any]]:
    """Return the origin of each frame, without the parts that it lacks."""
    rows = []
    for source, step, deviation, why in zip(item.sources, item.steps, item.deviations, item.reasons, strict=True):
        row: dict[str, Any] = {'source': str(source)} if source else {}
        row |= {'step': int(step)} if step >= 0 else {}
        row |= {'deviation': float(deviation)} if np.isfinite(deviation) else {}
        row |= {'reason': str(why)} if why else {}
        rows.append(row)
    return rows


def _extxyz(item: FrameSet) -> Iterator[str]:
    """Yield the frames with all digits, which ASE's writer cuts off.

    The virial is in eV; the stress, for programs that read that, follows from it.
    """
    from ase.io.extxyz import key_val_dict_to_str

    columns = 'species:S:1:pos:R:3' + ('' if item.forces is None else ':forces:R:3')
    volumes = np.linalg.det(item.cells)
    for frame, origin in enumerate(_origins(item)):
        words = [f'Lattice="{_numbers(item.cells[frame])}" Properties={columns} pbc="T T T"']
        if item.energies is not None:
            words.append(f'energy={float(item.energies[frame])!r}')
        if item.virials is not None:
            virial = item.virials[frame]
            stress = -(virial + virial.T) / (2 * volumes[frame])
            # Matrices are written column by column.
            words.append(f'virial="{_numbers(virial.T)}" stress="{_numbers(stress)}"')
        if origin:
            words.append(key_val_dict_to_str({name: _plain(name, value) for name, value in origin.items()}))
        table = item.positions[frame] if item.forces is None else np.hstack([item.positions[frame], item.forces[frame]])
        rows = [f'{symbol} {_numbers(row)}\n' for symbol, row in zip(item.symbols, table, strict=True)]
        yield f'{item.natoms}\n{" ".join(words)}\n{"".join(rows)}'


def _numbers(values: Any) -> str:
    """Return numbers with all of their digits."""
    return ' '.join(repr(number) for number in np.asarray(values, dtype=float).reshape(-1).tolist())


def _plain(name: str, value: Any) -> Any:
    """Return a value such that ASE reads it back as it is, for example a text of digits."""
    from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

    if not isinstance(value, str) or key_val_str_to_dict(key_val_dict_to_str({name: value})).get(name) == value:
        return value
    return f'_JSON {json.dumps(value)}'


def _write_database(sets: Sequence[FrameSet], path: Path) -> None:
    """Write an ASE database: labels as results, the exact virial and the origin as data."""
    from ase.db import connect

    images = iter(sets_to_ase(sets))
    with connect(str(path), type='db') as database:
        for item in sets:
            for frame, origin in enumerate(_origins(item)):
                data = {'origin': origin, **({} if item.virials is None else {'virial': item.virials[frame]})}
                database.write(next(images), data=data)
