"""Frames from outside: which are taken, and an account of everything that is dropped, changed or refused.

Depends on numpy only, since it is shipped with the drivers to the compute machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FIELDS, FrameSet, real_numbers
from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

_SYMBOLS = (
    'H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y '
    'Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re '
    'Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds '
    'Rg Cn Nh Fl Mc Lv Ts Og'
)
#: Symbols of the elements, in the order of their numbers.
ELEMENTS = tuple(_SYMBOLS.split())
#: Shortest distance in A between two atoms of a frame that is taken; that of H2 is 0.74 A.
MINIMUM_DISTANCE = 0.5
#: Smallest volume of a cell in A^3, and largest number (A, eV, eV/A) of a frame.
EMPTY, LARGEST = 1e-6, 1e9
OPEN = 'open boundaries', '`periodic` takes them with the cell of the file'
#: Number of places that a line names.
NAMED = 3


def pseudo_elements(symbols: Iterable[str]) -> list[str]:
    """Return the names among ``symbols`` that are no elements, such as `Type_0` and `HW`, sorted."""
    return sorted(set(symbols) - set(ELEMENTS))


class Intake:
    """Takes frames from files of any origin and counts what does not become a part of them.

    :param periodic: whether frames with open boundaries are taken as periodic with the cell of their file, instead of
        being refused.
    :param minimum_distance: frames with atoms closer than this (A) are refused; None takes all.
    :param name_sources: whether frames without a source get the place where they were read.
    """

    def __init__(
        self, periodic: bool = False, minimum_distance: float | None = MINIMUM_DISTANCE, name_sources: bool = True
    ):
        self.periodic, self.minimum_distance, self.name_sources = periodic, minimum_distance, name_sources
        self._dropped: dict[str, Counter[str]] = {}
        self._left_out: dict[str, Counter[str]] = {}
        self._changed: dict[str, Counter[str]] = {}
        self._refused: dict[tuple[str, str], Counter[str]] = {}
        self._remarks: dict[str, Counter[str]] = {}

    # -- account ----------------------------------------------------------------------------------------------------

    def drop(self, what: str, where: str, frames: int) -> None:
        """Record data that are not kept.

        :param what: the data, for example ``energies of atoms``.
        :param where: file or system.
        :param frames: number of frames that had them.
        """
        self._dropped.setdefault(what, Counter())[where] += frames

    def leave_out(self, why: str, where: str, frames: int) -> None:
        """Record frames that are never taken, such as those of an unconverged calculation.

        :param why: what is wrong, to stand after ``with``; others as in `drop`.
        """
        self._left_out.setdefault(why, Counter())[where] += frames

    def change(self, how: str, where: str, frames: int) -> None:
        """Record frames that are kept otherwise than written.

        :param how: what is changed; others as in `drop`.
        """
        self._changed.setdefault(how, Counter())[where] += frames

    def refuse(self, why: str, advice: str, where: str, frames: int) -> None:
        """Record frames that are an error unless they are to be skipped.

        :param why: what is wrong, to stand after ``with``.
        :param advice: another way than to skip them, a clause; may be empty.
        :param where: file or system.
        :param frames: number of frames.
        """
        self._refused.setdefault((why, advice), Counter())[where] += frames

    def remark(self, text: str, where: str) -> None:
        """Record a warning of the library that read a file."""
        self._remarks.setdefault(text, Counter())[where] += 0

    @property
    def dropped(self) -> list[str]:
        """The data that are not kept."""
        return list(self._dropped)

    def missing(self, where: str) -> bool:
        """Return whether frames of a file, or of a system in it, were left out or refused."""
        places = [place for found in (*self._left_out.values(), *self._refused.values()) for place in found]
        return any(place == where or place.startswith(f'{where}/') for place in places)

    def objections(self) -> list[str]:
        """Return one sentence for each reason for which frames are refused."""
        return [
            f'{count_of(places.total())} with {why} ({_listed(places)}): '
            f'{"".join([f"{advice}, "] if advice else [])}`skip` leaves them out.'
            for (why, advice), places in self._refused.items()
        ]

    def notes(self, skip: bool = False) -> list[str]:
        """Return one sentence for each kind of data or frames that are dropped, left out or changed.

        :param skip: whether refused frames are left out, and hence among these.
        """
        refused = {why: places for (why, _), places in self._refused.items()} if skip else {}
        left_out = {**self._left_out, **refused}
        return [
            *(
                f'Dropped: {what} of {count_of(places.total())} ({_listed(places)}).'
                for what, places in self._dropped.items()
            ),
            *(
                f'Left out: {count_of(places.total())} with {why} ({_listed(places)}).'
                for why, places in left_out.items()
            ),
            *(
                f'Changed: {count_of(places.total())}, {how} ({_listed(places)}).'
                for how, places in self._changed.items()
            ),
            *(f'{_listed(places)}: {text}' for text, places in self._remarks.items()),
        ]

    def close(self, skip: bool = False) -> list[str]:
        """Return the notes.

        :param skip: whether refused frames are left out.
        :raises UnreadableError: if frames are refused and not left out.
        """
        if self._refused and not skip:
            raise UnreadableError(' '.join(self.objections()))
        return self.notes(skip)

    # -- frames -----------------------------------------------------------------------------------------------------

    def is_open(self, where: str, frames: int) -> bool:
        """Record frames without periodic boundaries, and return whether they are refused."""
        if self.periodic:
            self.change('open boundaries taken as periodic with the cell of the file', where, frames)
        else:
            self.refuse(*OPEN, where, frames)
        return not self.periodic

    def take(self, where: str, symbols: Sequence[str], **arrays: Any) -> list[FrameSet]:
        """Return the frames that are sound, as one set, or none.

        :param where: file or system, for the account.
        :param symbols: (N,), in any order.
        :param arrays: fields of `FrameSet`, of which ``cells`` and ``positions`` are required.
        :raises UnreadableError: if the shapes of the arrays disagree.
        """
        given = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
        numbers = [name for name in ('cells', 'positions', *FIELDS.values()) if name in given]
        given |= {name: real_numbers(given[name], f'{line(where)}: {name}') for name in numbers}
        count = len(np.atleast_1d(given['cells']))
        if count == 0:
            return []
        self._check_shapes(where, given, count, len(symbols))
        if names := pseudo_elements(symbols):
            listed = ', '.join(f'`{line(name)[:40]}`' for name in names[:NAMED])
            listed += f' and {len(names) - NAMED} more' if len(names) > NAMED else ''
            why = f'atoms of {listed}, which {"is no element" if len(names) == 1 else "are no elements"}'
            self.refuse(why, '`type_map` gives an element for each name of the file', where, count)
            return []
        if 'energies' not in given and {'forces', 'virials'} & set(given):
            self.refuse('forces or virials without energies', '', where, count)
            return []
        given['cells'] = self._right_handed(given['cells'], where)
        sound = self._sound(where, given)
        if self.name_sources:
            given['sources'] = _named(given.get('sources'), where, count)
        if not sound.all():
            given = {name: value[sound] if np.ndim(value) else value for name, value in given.items()}
        return [FrameSet.sort_atoms(symbols, **given)] if sound.any() else []

    @staticmethod
    def _check_shapes(where: str, given: dict[str, NDArray[Any]], count: int, atoms: int) -> None:
        shapes = {'cells': (count, 3, 3), 'positions': (count, atoms, 3), 'energies': (count,)}
        shapes |= {'forces': (count, atoms, 3), 'virials': (count, 3, 3)}
        for name, shape in shapes.items():
            if name in given and given[name].shape != shape:
                raise UnreadableError(
                    f'`{line(where)}`: {name} have the shape {given[name].shape} and should have {shape}: correct them.'
                )

    def _right_handed(self, cells: NDArray[np.float64], where: str) -> NDArray[np.float64]:
        """Return the cells with a and b exchanged where they are left-handed, which describes the same crystal."""
        with np.errstate(all='ignore'):
            left = np.linalg.det(cells) < -EMPTY
        if left.any():
            how = 'left-handed cell: a and b exchanged, which describes the same crystal'
            self.change(how, where, int(left.sum()))
            cells = np.where(left[:, None, None], cells[:, [1, 0, 2]], cells)
        return cells

    def _sound(self, where: str, given: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Return which frames have a cell, finite numbers, and atoms apart from each other."""
        count = len(given['cells'])
        sound, vast = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
        for name in ('cells', 'positions', *FIELDS.values()):
            if name in given and len(given[name]) == count:
                finite = np.isfinite(given[name]).reshape(count, -1).all(axis=1)
                sound &= finite
                with np.errstate(invalid='ignore'):
                    vast |= finite & (np.abs(given[name]) > LARGEST).reshape(count, -1).any(axis=1)
        if not sound.all():
            self.refuse('NaN or infinity', '', where, int((~sound).sum()))
        if (vast := vast & sound).any():
            self.refuse(f'numbers beyond {LARGEST:g}', '', where, int(vast.sum()))
            sound &= ~vast
        empty = sound & (np.abs(np.linalg.det(np.where(sound[:, None, None], given['cells'], 0))) <= EMPTY)
        if empty.any():
            self.refuse('no cell', '', where, int(empty.sum()))
        sound &= ~empty
        if self.minimum_distance is not None:
            from aiida_dpasse.structures.distances import minimum_distance

            near = np.zeros(count, dtype=bool)
            for frame in np.flatnonzero(sound):
                shortest = minimum_distance(given['cells'][frame], given['positions'][frame])
                near[frame] = shortest < self.minimum_distance
            if near.any():
                why = f'two atoms closer than {self.minimum_distance:g} A'
                self.refuse(why, '`minimum_distance` sets another limit', where, int(near.sum()))
            sound &= ~near
        return sound


def _named(sources: NDArray[Any] | None, where: str, count: int) -> NDArray[np.str_]:
    """Return the sources (count,), with ``where`` for those that are empty."""
    texts = np.full(count, '') if sources is None else np.broadcast_to(sources.astype(str), (count,))
    return np.where(texts == '', where, texts) if (texts == '').any() else texts


def count_of(frames: int) -> str:
    """Return a number of frames with its noun."""
    return f'{frames} frame{"" if frames == 1 else "s"}'


def _listed(places: Iterable[str]) -> str:
    """Return the first places, and the number of the others."""
    names = list(places)
    more = len(names) - NAMED
    return ', '.join(names[:NAMED]) + (f' and {more} more' if more > 0 else '')
