"""Frames as DeePMD-kit stores them: one directory per formula, one ``set.NNNN`` per source, ``.npy`` arrays.

Units are DeePMD-kit's: A, eV, eV/A; the virial is in eV and equals minus the stress times the volume.
This module needs numpy only, since it travels with the drivers to the compute machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Labels of a frame and the shape that one frame's label has, with -1 for the number of atoms.
LABELS = {'energy': (), 'force': (-1, 3), 'virial': (3, 3)}
_FIELDS = {'energy': 'energies', 'force': 'forces', 'virial': 'virials'}
_ORIGIN = ('sources', 'steps', 'deviations', 'reasons')
#: What a field of origin is unless it is given: filled by the number of frames when the set is made.
NOWHERE: Any = None
_ORIGIN_FILES = {'sources': 'source', 'steps': 'step', 'deviations': 'deviation', 'reasons': 'reason'}


def formula_of(symbols: Sequence[str]) -> str:
    """Return the directory name of ``symbols``, for example ``Cl4Li24P4S20``."""
    return ''.join(f'{symbol}{count}' for symbol, count in sorted(Counter(symbols).items()))


def _texts(values: Any, count: int) -> NDArray[np.str_]:
    array = np.full(count, '' if values is None else values) if np.ndim(values) == 0 else np.asarray(values)
    return array.astype(str)


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Frames of one formula, with or without labels, and where each came from.

    ``symbols`` are sorted alphabetically (use :meth:`sort_atoms` for any other order). Shapes, for n frames of N
    atoms: ``cells`` (n, 3, 3) A with lattice vectors as rows, ``positions`` (n, N, 3) A, ``energies`` (n,) eV,
    ``forces`` (n, N, 3) eV/A, ``virials`` (n, 3, 3) eV. Origin: ``sources`` (n,) the input link label of the
    process that chose the frame, ``steps`` (n,) its MD step or -1, ``deviations`` (n,) the largest deviation of
    force among a committee in eV/A or nan, ``reasons`` (n,) why it was chosen.

    :raises ValueError: in one sentence, if shapes disagree, a number is not finite or a cell is empty or left-handed.
    """

    symbols: tuple[str, ...]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    energies: NDArray[np.float64] | None = None
    forces: NDArray[np.float64] | None = None
    virials: NDArray[np.float64] | None = None
    sources: NDArray[np.str_] = NOWHERE
    steps: NDArray[np.int64] = NOWHERE
    deviations: NDArray[np.float64] = NOWHERE
    reasons: NDArray[np.str_] = NOWHERE

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put('symbols', tuple(str(symbol) for symbol in self.symbols))
        put('cells', np.ascontiguousarray(self.cells, dtype=np.float64))
        put('positions', np.ascontiguousarray(self.positions, dtype=np.float64))
        for name in _FIELDS.values():
            if getattr(self, name) is not None:
                put(name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        count = len(self.cells) if self.cells.ndim else 0
        put('sources', _texts(self.sources, count))
        put('reasons', _texts(self.reasons, count))
        put('steps', np.broadcast_to(-1 if self.steps is None else self.steps, (count,)).astype(np.int64))
        deviations = np.nan if self.deviations is None else self.deviations
        put('deviations', np.broadcast_to(deviations, (count,)).astype(float))
        self._check()

    def _check(self) -> None:
        n, atoms = len(self.cells), len(self.symbols)
        if atoms == 0:
            raise ValueError('The frames hold no atoms: give at least one atom.')
        if list(self.symbols) != sorted(self.symbols):
            raise ValueError('The atoms are not sorted by element: build the frames with `FrameSet.sort_atoms`.')
        expected = {'cells': (n, 3, 3), 'positions': (n, atoms, 3), 'energies': (n,), 'forces': (n, atoms, 3)}
        expected |= {'virials': (n, 3, 3), 'sources': (n,), 'reasons': (n,)}
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape:
                raise ValueError(f'`{name}` of {self.formula} has the shape {array.shape} and should have {shape}.')
            if array.dtype.kind == 'f' and not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise ValueError(f'`{name}` of {self.formula} holds NaN or infinity in frame {frame}: remove it.')
        volumes = np.linalg.det(self.cells)
        if n and volumes.min() <= 1e-6:
            frame = int(np.argmin(volumes))
            raise ValueError(
                f'The cell of frame {frame} of {self.formula} is empty or left-handed (volume {volumes[frame]:.3g} '
                'A^3): give three right-handed lattice vectors.'
            )
        if self.energies is None and (self.forces is not None or self.virials is not None):
            raise ValueError(f'The frames of {self.formula} have forces or virials without energies: give these.')

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def natoms(self) -> int:
        """Number of atoms of each frame."""
        return len(self.symbols)

    @property
    def formula(self) -> str:
        """Name of the directory, for example ``Cl4Li24P4S20``."""
        return formula_of(self.symbols)

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of energy, force and virial that the frames have."""
        return tuple(label for label, name in _FIELDS.items() if getattr(self, name) is not None)

    @property
    def labelled(self) -> bool:
        """Whether energies and forces are there: what a training needs."""
        return self.energies is not None and self.forces is not None

    @property
    def ids(self) -> NDArray[np.str_]:
        """Identity of each frame, (n,): 16 hex digits of a hash of its symbols, cell and positions."""
        head = ' '.join(self.symbols).encode()
        digests = [
            hashlib.sha256(head + cell.tobytes() + positions.tobytes()).hexdigest()[:16]
            for cell, positions in zip(self.cells, self.positions, strict=True)
        ]
        return np.array(digests, dtype='U16')

    @classmethod
    def sort_atoms(
        cls, symbols: Sequence[str], cells: Any, positions: Any, forces: Any = None, **rest: Any
    ) -> FrameSet:
        """Build from atoms in any order: sorted by element, the original order kept within an element."""
        order = np.argsort(np.asarray(symbols), kind='stable')
        return cls(
            symbols=tuple(np.asarray(symbols)[order]),
            cells=cells,
            positions=np.asarray(positions)[:, order],
            forces=None if forces is None else np.asarray(forces)[:, order],
            **rest,
        )

    def take(self, indices: Any) -> FrameSet:
        """Return the frames at ``indices`` (integers, or a mask), labels and origin with them."""
        names = ('cells', 'positions', *_FIELDS.values(), *_ORIGIN)
        chosen = np.asarray(indices)
        chosen = chosen if chosen.dtype == bool else chosen.astype(int)
        arrays = {name: getattr(self, name) for name in names}
        taken: dict[str, Any] = {name: None if array is None else array[chosen] for name, array in arrays.items()}
        return FrameSet(symbols=self.symbols, **taken)

    def with_labels(self, energies: Any = None, forces: Any = None, virials: Any = None) -> FrameSet:
        """Return the same frames with these labels instead of their own."""
        return replace(self, energies=energies, forces=forces, virials=virials)

    def with_origin(self, **origin: Any) -> FrameSet:
        """Return the same frames with other ``sources``, ``steps``, ``deviations`` or ``reasons``: arrays or values."""
        return replace(self, **origin)


def concatenate(sets: Iterable[FrameSet]) -> list[FrameSet]:
    """Join frames of the same formula and the same labels; sorted by formula, the order kept within."""
    groups: dict[tuple[Any, ...], list[FrameSet]] = {}
    for item in sets:
        groups.setdefault((item.formula, item.labels), []).append(item)
    joined = []
    for _, members in sorted(groups.items(), key=lambda pair: pair[0]):
        names = ('cells', 'positions', *(_FIELDS[label] for label in members[0].labels), *_ORIGIN)
        arrays = {name: np.concatenate([getattr(member, name) for member in members]) for name in names}
        joined.append(FrameSet(symbols=members[0].symbols, **arrays))
    return joined


def unique(sets: Iterable[FrameSet]) -> list[FrameSet]:
    """Drop every frame whose id came before; sets that become empty go."""
    seen: set[str] = set()
    kept = []
    for item in sets:
        mask = np.zeros(len(item), dtype=bool)
        for index, identity in enumerate(item.ids):
            mask[index] = identity not in seen
            seen.add(str(identity))
        if mask.any():
            kept.append(item if mask.all() else item.take(mask))
    return kept


def set_arrays(frames: FrameSet) -> dict[str, NDArray[Any]]:
    """Return the arrays of one ``set.NNNN`` directory by file name without ``.npy``."""
    n = len(frames)
    arrays: dict[str, NDArray[Any]] = {'coord': frames.positions.reshape(n, -1), 'box': frames.cells.reshape(n, 9)}
    for label in frames.labels:
        values = getattr(frames, _FIELDS[label])
        arrays[label] = values if values.ndim == 1 else values.reshape(n, -1)
    arrays |= {_ORIGIN_FILES[name]: getattr(frames, name) for name in _ORIGIN}
    return arrays | {'id': frames.ids}


def system_files(symbols: Sequence[str]) -> dict[str, str]:
    """Return ``type.raw`` and ``type_map.raw`` of a directory, by file name."""
    type_map = sorted(set(symbols))
    types = ''.join(f'{type_map.index(symbol)}\n' for symbol in symbols)
    return {'type.raw': types, 'type_map.raw': ''.join(f'{symbol}\n' for symbol in type_map)}


def numbered(sets: Iterable[FrameSet]) -> list[tuple[str, FrameSet]]:
    """Give each set its path, ``<formula>/set.NNNN``, numbered within its formula in the order given."""
    counts: Counter[str] = Counter()
    placed = []
    for item in sets:
        if len(item):
            placed.append((f'{item.formula}/set.{counts[item.formula]:04d}', item))
            counts[item.formula] += 1
    return placed


def write_dataset(sets: Iterable[FrameSet], directory: str | Path) -> list[Path]:
    """Write one directory per formula and one ``set.NNNN`` per member of ``sets``; return the formula directories."""
    root = Path(directory)
    written = []
    for path, frames in numbered(sets):
        folder = root / path
        folder.mkdir(parents=True)
        if folder.parent not in written:
            written.append(folder.parent)
            for name, text in system_files(frames.symbols).items():
                (folder.parent / name).write_text(text)
        for name, array in set_arrays(frames).items():
            np.save(folder / f'{name}.npy', array)
    return written


def system_directories(directory: str | Path) -> list[Path]:
    """Return the directories with a ``type.raw`` at or below ``directory``, sorted."""
    return sorted(path.parent for path in Path(directory).rglob('type.raw'))


def read_dataset(directory: str | Path) -> list[FrameSet]:
    """Read every system at or below ``directory``, in DeePMD-kit's plain or mixed layout, one member per set.

    Sets of the mixed layout are split by formula. The order is that of the directories and sets, sorted by name.

    :raises ValueError: in one sentence, if there is no system or a set is not what DeePMD-kit's layout asks for.
    """
    systems = system_directories(directory)
    if not systems:
        raise ValueError(f'There is no DeePMD-kit system (a directory with `type.raw`) in `{Path(directory).name}`.')
    found = []
    for system in systems:
        if not (system / 'type_map.raw').is_file():
            raise ValueError(f'`{system.name}` has no `type_map.raw`: add it, one element a line.')
        type_map = (system / 'type_map.raw').read_text().split()
        types = np.loadtxt(system / 'type.raw', dtype=int, ndmin=1)
        for folder in sorted(system.glob('set.*')):
            found += _read_set(folder, types, np.array(type_map))
    return found


def _read_set(folder: Path, types: NDArray[np.int64], type_map: NDArray[np.str_]) -> list[FrameSet]:
    def load(name: str) -> NDArray[Any] | None:
        path = folder / f'{name}.npy'
        return np.load(path, allow_pickle=False) if path.is_file() else None

    coord, box = load('coord'), load('box')
    if coord is None or box is None:
        raise ValueError(f'`{folder.parent.name}/{folder.name}` lacks `coord.npy` or `box.npy`: both are needed.')
    n, atoms = len(coord), coord.size // max(3 * len(coord), 1)
    per_frame: dict[str, Any] = {}
    try:
        per_frame['cells'] = box.reshape(n, 3, 3)
        per_frame['positions'] = coord.reshape(n, atoms, 3)
        for label, name in _FIELDS.items():
            values = load(label)
            shape = tuple(atoms if size == -1 else size for size in LABELS[label])
            per_frame[name] = None if values is None else values.reshape(n, *shape)
    except ValueError as exception:
        where = f'{folder.parent.name}/{folder.name}'
        raise ValueError(f'`{where}` holds arrays of the wrong shape: {exception}.') from None
    per_frame |= {name: load(file) for name, file in _ORIGIN_FILES.items()}
    real_types = load('real_atom_types')
    rows = np.broadcast_to(types, (n, len(types))) if real_types is None else real_types.reshape(n, -1)
    if rows.shape != (n, atoms) or (rows.size and (rows.min() < 0 or rows.max() >= len(type_map))):
        raise ValueError(f'The atom types of `{folder.parent.name}/{folder.name}` do not fit its arrays or type map.')
    found = []
    orders, inverse = np.unique(rows, axis=0, return_inverse=True)
    for index, order in enumerate(orders):
        mask = inverse.reshape(-1) == index
        chosen = {name: None if values is None else values[mask] for name, values in per_frame.items()}
        found.append(FrameSet.sort_atoms(symbols=[str(symbol) for symbol in type_map[order]], **chosen))
    return found


def write_mixed(sets: Iterable[FrameSet], directory: str | Path, type_map: Sequence[str]) -> list[Path]:
    """Write DeePMD-kit's mixed layout, one directory per number of atoms and kind of labels; return them.

    Thousands of compositions in single directories slow a PyTorch loader several times (deepmd-kit#2229).

    :raises ValueError: if an element is not in ``type_map``.
    """
    root = Path(directory)
    groups: dict[tuple[int, tuple[str, ...]], list[FrameSet]] = {}
    for item in sets:
        missing = sorted(set(item.symbols) - set(type_map))
        if missing:
            raise ValueError(f'The element {missing[0]} is not in the type map {list(type_map)}: add it.')
        if len(item):
            groups.setdefault((item.natoms, item.labels), []).append(item)
    written = []
    for number, ((atoms, _), members) in enumerate(sorted(groups.items(), key=lambda pair: pair[0])):
        folder = root / f'{atoms:06d}_{number:02d}' / 'set.0000'
        folder.mkdir(parents=True)
        (folder.parent / 'type.raw').write_text('0\n' * atoms)
        (folder.parent / 'type_map.raw').write_text(''.join(f'{symbol}\n' for symbol in type_map))
        types = [np.tile([list(type_map).index(s) for s in member.symbols], (len(member), 1)) for member in members]
        np.save(folder / 'real_atom_types.npy', np.concatenate(types))
        per_member = [set_arrays(member) for member in members]
        for name in per_member[0]:
            np.save(folder / f'{name}.npy', np.concatenate([arrays[name] for arrays in per_member]))
        written.append(folder.parent)
    return written
