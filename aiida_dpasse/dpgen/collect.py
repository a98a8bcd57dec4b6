"""Write labelled frames as `dpgen collect --merge` does: one DeePMD-kit system for each formula."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aiida_dpasse.deepmd.dataset import set_arrays
from aiida_dpasse.deepmd.frameset import FrameSet, check_names, concatenate
from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

PREFIX = 'sys.'
SET = 'set.000'


def formula(symbols: Sequence[str], type_map: Sequence[str]) -> str:
    """Return DP-GEN's name of a formula, such as `Li6P1S5Cl0`.

    :param symbols: element of each atom.
    :param type_map: elements in the order of the name; absent elements are included.
    """
    counts = Counter(symbols)
    return ''.join(f'{element}{counts[element]}' for element in type_map)


def collect(sets: Iterable[FrameSet], directory: str | Path, type_map: Sequence[str] | None = None) -> list[Path]:
    """Write one folder `sys.<formula>` for each formula, with type.raw, type_map.raw and `set.000`.

    Frames of one formula with different labels (with and without virials) are written to separate folders, the second
    one named `sys.<formula>.1`. Arrays keep double precision, which DP-GEN reduces to single. Units: A, eV, eV/A.

    :param sets: labelled frames.
    :param directory: folder in which the systems are created.
    :param type_map: elements in the order of the types; by default those of all frames, sorted.
    :return: the folders written.
    :raises UnreadableError: if there are no frames, frames have no labels, an element is missing from ``type_map``, or
        a folder exists already.
    """
    joined = concatenate(sets)
    elements = sorted({symbol for item in joined for symbol in item.symbols})
    types = list(type_map) if type_map else elements
    if not joined:
        raise UnreadableError('There are no frames to collect.')
    if missing := [element for element in elements if element not in types]:
        raise UnreadableError(f'The type map {" ".join(types)} lacks {missing[0]}: add it.')
    if unlabelled := [item.formula for item in joined if not item.labelled]:
        raise UnreadableError(f'The frames of {unlabelled[0]} have no energies and forces: collect labelled frames.')
    check_names(types, 'the type map')
    names: list[str] = []
    for item in joined:
        name = PREFIX + formula(item.symbols, types)
        again = sum(other.split('.')[1] == name.split('.')[1] for other in names)
        names.append(f'{name}.{again}' if again else name)
    target = Path(directory)
    if there := [name for name in names if os.path.lexists(target / name)]:
        raise UnreadableError(f'`{line(target / there[0])}` is there already: collect to another directory.')
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.', dir=target) as folder:
            for item, name in zip(joined, names, strict=True):
                _write(item, Path(folder) / name, types)
            return [(Path(folder) / name).rename(target / name) for name in names]
    except OSError as error:
        raise UnreadableError(
            f'`{line(target)}` cannot be written ({error.strerror}), and nothing of the frames is left in it: make '
            'room, or give another folder.'
        ) from error


def _write(item: FrameSet, folder: Path, type_map: Sequence[str]) -> None:
    """Write one system, without the origin of its frames."""
    (folder / SET).mkdir(parents=True)
    (folder / 'type.raw').write_text(''.join(f'{type_map.index(symbol)}\n' for symbol in item.symbols))
    (folder / 'type_map.raw').write_text(''.join(f'{element}\n' for element in type_map))
    for name, array in set_arrays(item).items():
        if name in ('box', 'coord', *item.labels):
            np.save(folder / SET / f'{name}.npy', array)
