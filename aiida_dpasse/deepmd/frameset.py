"""Frames of one formula in memory: cells, positions, labels and origin.

Units are DeePMD-kit's: A, eV, eV/A; the virial is in eV and equals minus the stress times the volume.
Depends on numpy only, since it is shipped with the drivers to the compute machine.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

#: Name of an element, or of another kind of atom such as `Type_0` and `HW`. Formulas of such names name folders.
NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]{0,15}', re.ASCII)
#: Labels and their shape for one frame, with -1 for the number of atoms.
LABELS = {'energy': (), 'force': (-1, 3), 'virial': (3, 3)}
#: Field of a frame set that holds each label.
FIELDS = {'energy': 'energies', 'force': 'forces', 'virial': 'virials'}
ORIGIN = ('sources', 'steps', 'deviations', 'reasons')
#: Default of the fields of origin, expanded to the number of frames in `FrameSet.__post_init__`.
NOWHERE: Any = None


def formula_of(symbols: Sequence[str]) -> str:
    """Return the directory name of ``symbols``, for example ``Cl4Li24P4S20``."""
    return ''.join(f'{symbol}{count}' for symbol, count in sorted(Counter(symbols).items()))


def check_names(names: Iterable[str], where: str) -> None:
    """Check that names of atoms are those of elements, or of other kinds of atoms in `NAME`.

    :param names: the names.
    :param where: file or system, for the message.
    :raises UnreadableError: for any other text, which could be a path.
    """
    for name in dict.fromkeys(names):
        if not NAME.fullmatch(name):
            raise UnreadableError(f'`{line(where)}` names atoms `{line(name)[:60]}`, which is no element: correct it.')


def real_numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Return an array of doubles.

    :param values: real numbers, in any form of an array.
    :param name: what they are, for the message.
    :raises UnreadableError: if they are none, such as complex numbers, whose imaginary parts would be lost, or dates.
    """
    try:
        array = np.asarray(values)
        found = array.astype(np.float64, copy=False) if array.dtype.kind in 'fiu' else None
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise UnreadableError(f'`{name}` should hold real numbers, and of each frame equally many: correct it.')
    return found


def frame_ids(symbols: Sequence[str], cells: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return the identity of each frame, (n,): 16 hex digits of a hash of its symbols, cell and positions.

    :param symbols: (N,), sorted alphabetically.
    :param cells: (n, 3, 3) A.
    :param positions: (n, N, 3) A.
    """
    head = hashlib.sha256(' '.join(symbols).encode())
    digests = []
    for cell, places in zip(np.ascontiguousarray(cells), np.ascontiguousarray(positions), strict=True):
        digest = head.copy()
        digest.update(cell)
        digest.update(places)
        digests.append(digest.hexdigest()[:16])
    return np.array(digests, dtype='U16')


def _texts(values: Any, count: int) -> NDArray[np.str_]:
    array = np.full(count, '' if values is None else values) if np.ndim(values) == 0 else np.asarray(values)
    return array.astype(str)


class Entry(NamedTuple):
    """What a stored set is: its formula, its frames, the atoms of a frame, and the labels."""

    formula: str
    frames: int
    natoms: int
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Frames of one formula, with or without labels, and their origin.

    Shapes are those of n frames with N atoms.

    :param symbols: (N,), sorted alphabetically; use :meth:`sort_atoms` for any other order.
    :param cells: lattice vectors as rows, (n, 3, 3) A.
    :param positions: (n, N, 3) A.
    :param energies: (n,) eV.
    :param forces: (n, N, 3) eV/A.
    :param virials: (n, 3, 3) eV.
    :param sources: (n,), input link label of the process that selected the frame.
    :param steps: (n,), MD step of the frame, or -1.
    :param deviations: (n,), largest force deviation among a committee in eV/A, or nan.
    :param reasons: (n,), why the frame was selected.
    :raises UnreadableError: if shapes disagree, a number is not finite, a cell is empty or left-handed, the
        atoms are not sorted, or there are forces or virials without energies.
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
        for name in ('cells', 'positions', *FIELDS.values()):
            if getattr(self, name) is not None:
                put(name, np.ascontiguousarray(real_numbers(getattr(self, name), name)))
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
            raise UnreadableError('The frames hold no atoms: give at least one atom.')
        check_names(self.symbols, 'the frames')
        if list(self.symbols) != sorted(self.symbols):
            raise UnreadableError('The atoms are not sorted by element: build the frames with `FrameSet.sort_atoms`.')
        expected = {'cells': (n, 3, 3), 'positions': (n, atoms, 3), 'energies': (n,), 'forces': (n, atoms, 3)}
        expected |= {'virials': (n, 3, 3), 'sources': (n,), 'reasons': (n,)}
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape:
                raise UnreadableError(
                    f'`{name}` of {self.formula} has the shape {array.shape} and should have {shape}.'
                )
            if array.dtype.kind == 'f' and not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise UnreadableError(f'`{name}` of {self.formula} holds NaN or infinity in frame {frame}: remove it.')
        volumes = np.linalg.det(self.cells)
        if n and volumes.min() <= 1e-6:
            frame = int(np.argmin(volumes))
            raise UnreadableError(
                f'The cell of frame {frame} of {self.formula} is empty or left-handed (volume {volumes[frame]:.3g} '
                'A^3): give three right-handed lattice vectors.'
            )
        if self.energies is None and (self.forces is not None or self.virials is not None):
            raise UnreadableError(f'The frames of {self.formula} have forces or virials without energies: give these.')

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def natoms(self) -> int:
        """Number of atoms per frame."""
        return len(self.symbols)

    @property
    def formula(self) -> str:
        """Name of the directory, for example ``Cl4Li24P4S20``."""
        return formula_of(self.symbols)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the frames have, out of energy, force and virial."""
        return tuple(label for label, name in FIELDS.items() if getattr(self, name) is not None)

    @property
    def labelled(self) -> bool:
        """Whether the frames have energies and forces, as training requires."""
        return self.energies is not None and self.forces is not None

    @property
    def ids(self) -> NDArray[np.str_]:
        """Identity of each frame, (n,): 16 hex digits of a hash of its symbols, cell and positions."""
        return frame_ids(self.symbols, self.cells, self.positions)

    @classmethod
    def sort_atoms(
        cls, symbols: Sequence[str], cells: Any, positions: Any, forces: Any = None, **rest: Any
    ) -> FrameSet:
        """Build from atoms in any order; they are sorted by element, with the original order kept within an element.

        :param symbols: (N,), in any order.
        :param cells: (n, 3, 3) A.
        :param positions: (n, N, 3) A.
        :param forces: (n, N, 3) eV/A.
        :param rest: the other fields of the frame set.
        :raises ValueError: as for the class.
        """
        order = np.argsort(np.asarray(symbols), kind='stable')
        places, pulls = (None if given is None else np.asarray(given) for given in (positions, forces))
        for name, array in (('positions', places), ('forces', pulls)):
            if array is not None and (array.ndim != 3 or array.shape[1:] != (len(order), 3)):
                raise UnreadableError(
                    f'`{name}` has the shape {array.shape} and should have (frames, {len(order)}, 3): correct it.'
                )
        assert places is not None
        return cls(
            symbols=tuple(np.asarray(symbols)[order]),
            cells=cells,
            positions=places[:, order],
            forces=None if pulls is None else pulls[:, order],
            **rest,
        )

    def take(self, indices: Any) -> FrameSet:
        """Return the selected frames, with their labels and origin.

        :param indices: integers, or a mask (n,).
        """
        names = ('cells', 'positions', *FIELDS.values(), *ORIGIN)
        chosen = np.asarray(indices)
        chosen = chosen if chosen.dtype == bool else chosen.astype(int)
        arrays = {name: getattr(self, name) for name in names}
        taken: dict[str, Any] = {name: None if array is None else array[chosen] for name, array in arrays.items()}
        return FrameSet(symbols=self.symbols, **taken)

    def with_labels(self, energies: Any = None, forces: Any = None, virials: Any = None) -> FrameSet:
        """Return the same frames with all labels replaced; labels not given are removed.

        :param energies: (n,) eV.
        :param forces: (n, N, 3) eV/A.
        :param virials: (n, 3, 3) eV.
        """
        return replace(self, energies=energies, forces=forces, virials=virials)

    def with_origin(self, **origin: Any) -> FrameSet:
        """Return the same frames with a new origin.

        :param origin: ``sources``, ``steps``, ``deviations`` or ``reasons``, as arrays (n,) or single values.
        """
        return replace(self, **origin)


def concatenate(sets: Iterable[FrameSet]) -> list[FrameSet]:
    """Join frames of the same formula and labels.

    :param sets: the frames.
    :returns: one set per formula and combination of labels, sorted by formula, with the order of the frames kept.
    """
    groups: dict[tuple[Any, ...], list[FrameSet]] = {}
    for item in sets:
        groups.setdefault((item.formula, item.labels), []).append(item)
    joined = []
    for _, members in sorted(groups.items(), key=lambda pair: pair[0]):
        names = ('cells', 'positions', *(FIELDS[label] for label in members[0].labels), *ORIGIN)
        arrays = {name: np.concatenate([getattr(member, name) for member in members]) for name in names}
        joined.append(FrameSet(symbols=members[0].symbols, **arrays))
    return joined


def take_frames(sets: Iterable[FrameSet], indices: Any) -> list[FrameSet]:
    """Return selected frames, in the order of the sets; sets without selected frames are dropped.

    :param sets: frame sets.
    :param indices: (n,), counted over all sets.
    """
    wanted = np.unique(np.asarray(indices, dtype=int))
    parts, start = [], 0
    for item in sets:
        inside = wanted[(wanted >= start) & (wanted < start + len(item))] - start
        start += len(item)
        parts += [item.take(inside)] if len(inside) else []
    return parts


def unique(sets: Iterable[FrameSet]) -> list[FrameSet]:
    """Drop every frame whose id occurred before, and sets that become empty.

    :param sets: the frames; the first of equal frames is kept.
    """
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
