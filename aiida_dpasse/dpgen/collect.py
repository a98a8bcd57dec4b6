"""Labelled frames as `dpgen collect --merge` leaves them: one system of DeePMD-kit for each formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aiida_dpasse.deepmd.frameset import FIELDS, FrameSet, concatenate

PREFIX = 'sys.'
SET = 'set.000'


def formula(symbols: Sequence[str], type_map: Sequence[str]) -> str:
    """Return DP-GEN's name of a formula, in the order of the type map, absent elements included: `Li6P1S5Cl0`."""
    counts = Counter(symbols)
    return ''.join(f'{element}{counts[element]}' for element in type_map)


def collect(sets: Iterable[FrameSet], directory: str | Path, type_map: Sequence[str] | None = None) -> list[Path]:
    """Write one folder `sys.<formula>` with type.raw, type_map.raw and `set.000` for each formula; return them.

    Frames of one formula whose labels differ (virials or none) go to folders of their own, the second one
    `sys.<formula>.1`. Numbers keep double precision, which DP-GEN halves. Units: A, eV, eV/A.

    :param type_map: elements in the order of the types; by default those of all frames, sorted.
    :raises ValueError: in one sentence, if frames have no labels, an element is not in ``type_map``, or a folder is
        there already.
    """
    joined = concatenate(sets)
    elements = sorted({symbol for item in joined for symbol in item.symbols})
    types = list(type_map) if type_map else elements
    if not joined:
        raise ValueError('There are no frames to collect.')
    if missing := [element for element in elements if element not in types]:
        raise ValueError(f'The type map {" ".join(types)} lacks {missing[0]}: add it.')
    if unlabelled := [item.formula for item in joined if not item.labelled]:
        raise ValueError(f'The frames of {unlabelled[0]} have no energies and forces: collect labelled frames.')
    written: list[Path] = []
    for item in joined:
        name = PREFIX + formula(item.symbols, types)
        again = sum(path.name.split('.')[1] == name.split('.')[1] for path in written)
        folder = Path(directory) / (f'{name}.{again}' if again else name)
        if folder.exists():
            raise ValueError(f'`{folder}` is there already: collect to another directory.')
        _write(item, folder, types)
        written.append(folder)
    return written


def _write(item: FrameSet, folder: Path, type_map: Sequence[str]) -> None:
    """One system: every array (n, ...) as a table of n rows, energies (n,)."""
    count = len(item)
    arrays = {'box': item.cells.reshape(count, 9), 'coord': item.positions.reshape(count, -1)}
    for label in item.labels:
        values = getattr(item, FIELDS[label])
        arrays[label] = values if values.ndim == 1 else values.reshape(count, -1)
    (folder / SET).mkdir(parents=True)
    (folder / 'type.raw').write_text(''.join(f'{type_map.index(symbol)}\n' for symbol in item.symbols))
    (folder / 'type_map.raw').write_text(''.join(f'{element}\n' for element in type_map))
    for name, array in arrays.items():
        np.save(folder / SET / f'{name}.npy', array)
