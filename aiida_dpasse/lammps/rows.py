"""The rows of a frame of a dump in the usual form, converted together.

Each number is taken as words of eight bytes, whose digits are combined in a few operations on all numbers at once
(Langdale and Lemire, VLDB Journal 28, 941, 2019). Integers below 2^53, divided by a power of ten below 10^22, give the
double that is nearest to the decimal number (Clinger, PLDI 1990), as every exact reader does; whatever has another form
is left to numpy's reader of text. Depends on numpy only, since it is shipped with the drivers to the machine that holds
the trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Kinds = NDArray[np.str_] | NDArray[np.int64]

#: Bytes that are converted together, so that the arrays stay in the processor's cache.
PORTION = 1 << 17
#: Largest number of digits of a position, with the point, and of letters of an id, a type or an element.
LONGEST, LONGEST_LABEL = 16, 8

_SPACE, _NEWLINE, _MINUS, _POINT, _NINE = b' \n-.9'
_TENS: Array = np.array([10.0**power for power in range(LONGEST + 1)])
#: What the point adds to the digits that follow it: it is treated as a digit with the value of its last four bits.
_POINTS: Array = (_POINT & 0xF) * _TENS


def _masks(byte: int, words: int) -> Words:
    """Return words that keep bits of the last n bytes, for each n, (words, 8 words + 1)."""
    size = 8 * words
    rows = b''.join(bytes(size - count) + bytes([byte]) * count for count in range(size + 1))
    return np.ascontiguousarray(np.frombuffer(rows, '<u8').reshape(-1, words).T)


_DIGITS = _masks(0xF, 2)
_LABELS = _masks(0xFF, 1)[0]


class Rows:
    """Reads the rows of frames with the same columns, all with ids, types or elements, and positions without exponents.

    :param columns: number of columns.
    :param identity: column of the ids.
    :param kind: column of the types or elements.
    :param places: columns of the positions, three in a row.
    :param named: whether there are elements instead of types.
    """

    def __init__(self, columns: int, identity: int, kind: int, places: Sequence[int], named: bool):
        self.columns, self.named = columns, named
        # Each row has these characters besides digits, letters and signs, in this order.
        self._marks: list[int] = []
        ends = []
        for column in range(columns):
            self._marks += [_POINT] if column in places else []
            ends.append(len(self._marks))
            self._marks.append(_SPACE)
        # Where the marks before and after a position are among those of its row; the point is between them.
        self._places = slice(ends[places[0]], ends[places[0]] + 6, 2)
        self._points = slice(ends[places[0]] - 1, ends[places[0]] + 4, 2)
        self._labels = (ends[identity], ends[kind])
        self._others = [ends[column] for column in range(columns) if column not in (identity, kind, *places)]
        #: The marks of all rows of the last portion.
        self._usual: Bytes = np.empty(0, dtype=np.uint8)
        #: Ids and kinds of the last frame, (2, n), and the number of letters in them.
        self._known: Words = np.empty((2, 0), dtype=np.uint64)
        self._letters = 0
        #: Whether the ids or kinds of the last frame differ from those of the frame before.
        self.changed = False

    def are_plain(self, text: bytes, begin: int, end: int) -> bool:
        """Return whether the rows have the columns and no other letters than the last frame that was read.

        :param text: text that contains the frame.
        :param begin: where its rows begin.
        :param end: where they end.
        """
        found = np.frombuffer(text, np.uint8, end - begin, begin)
        count = self._known.shape[1]
        trailing = text[text.find(b'\n', begin) - 1] == _SPACE
        spaces = count * (self.columns - 1 + trailing)
        return bool(np.count_nonzero(found == _SPACE) == spaces and np.count_nonzero(found > _NINE) == self._letters)

    def read(self, text: bytes, begin: int, end: int) -> Array | None:
        """Return the positions (n, 3) as they are written, or None if the rows have another form.

        :param text: text that contains the frame with its header.
        :param begin: where its rows begin.
        :param end: where they end, after a newline.
        """
        found = np.frombuffer(text, np.uint8)
        # A word begins at every byte.
        words: Words = np.ndarray(len(text) - 7, np.dtype('<u8'), text, strides=(1,))
        trailing = text[text.find(b'\n', begin) - 1] == _SPACE
        usual = np.array([*self._marks[:-1], *([_SPACE] if trailing else []), _NEWLINE], np.uint8)
        positions, labels, start = [], [], begin
        while start < end:
            stop = end if end - start <= PORTION else text.rfind(b'\n', start, start + PORTION) + 1
            part = self._portion(found, words, start, stop, usual) if stop > start else None
            if part is None:
                return None
            positions.append(part[0])
            labels.append(part[1])
            start = stop
        known = labels[0] if len(labels) == 1 else np.concatenate(labels, axis=1)
        letters = self._letters
        changed = not np.array_equal(known, self._known)
        if changed:
            letters = int(np.count_nonzero(known.view(np.uint8) > _NINE))
        # There are no letters elsewhere, an exponent or nan.
        if int(np.count_nonzero(found[begin:end] > _NINE)) != letters:
            return None
        self._known, self._letters, self.changed = known, letters, changed
        return positions[0] if len(positions) == 1 else np.concatenate(positions)

    def labels(self) -> tuple[NDArray[np.int64], Kinds] | None:
        """Return the ids (n,) and the types or elements (n,) of the last frame, or None if they are none."""
        letters = self._known.view(np.uint8).reshape(2, -1)
        if np.any(letters[0] > _NINE) or np.any(letters[1] > (126 if self.named else _NINE)):
            return None
        ids, types = _whole_numbers(self._known & _DIGITS[1, 8]).astype(np.int64)
        if not self.named:
            return ids, types
        found, kinds = np.unique(self._known[1], return_inverse=True)
        names = [word.tobytes().lstrip(b'\0').decode() for word in found]
        return ids, np.array(names)[kinds]

    def _portion(self, found: Bytes, words: Words, start: int, stop: int, usual: Bytes) -> tuple[Array, Words] | None:
        """Return positions and labels of some rows."""
        marks = np.flatnonzero(found[start - 1 : stop] < 48)
        marks += start - 1
        letters = found[marks]
        minus = letters == _MINUS
        if signs := int(np.count_nonzero(minus)):
            marks, letters = marks[~minus], letters[~minus]
        width = len(usual)
        if len(self._usual) != len(letters) - 1 or not np.array_equal(self._usual[:width], usual):
            self._usual = np.tile(usual, len(letters) // width)
        if not np.array_equal(letters[1:], self._usual):
            return None
        before, at = marks[:-1].reshape(-1, width), marks[1:].reshape(-1, width)
        if any(np.any(at[:, other] - before[:, other] < 2) for other in self._others):
            return None
        ends = np.stack([at[:, label] for label in self._labels])
        lengths = ends - np.stack([before[:, label] for label in self._labels]) - 1
        if lengths.max() > LONGEST_LABEL or lengths.min() < 1:
            return None
        labels = words[ends - 8] & _LABELS[lengths]
        ends, points = at[:, self._places].ravel(), before[:, self._places].ravel()
        begins = before[:, self._points].ravel() + 1
        negative = found[begins] == _MINUS
        if int(np.count_nonzero(negative)) != signs:
            return None
        begins += negative
        lengths = ends - begins
        if lengths.max() > LONGEST or lengths.min() < 2:
            return None
        digits = np.empty((2, len(ends)), dtype=np.uint64)
        np.bitwise_and(words[ends - 16], _DIGITS[0][lengths], out=digits[0])
        np.bitwise_and(words[ends - 8], _DIGITS[1][lengths], out=digits[1])
        high, low = _whole_numbers(digits)
        values = high * 1e8 + low
        if values.max() >= 2**53:
            return None
        behind = ends - points - 1
        tens = _TENS[behind]
        values -= _POINTS[behind]
        # The digits before the point move one place to the right, into that of the point.
        values -= np.floor(values / (10 * tens)) * (9 * tens)
        values /= tens
        np.negative(values, out=values, where=negative)
        return values.reshape(-1, 3), labels


def _whole_numbers(digits: Words) -> Words:
    """Return the numbers whose digits are the bytes of words, the last one the highest byte; the words are changed."""
    for shift, factor, keep in ((8, 10, 0x00FF00FF00FF00FF), (16, 100, 0x0000FFFF0000FFFF), (32, 10000, 0xFFFFFFFF)):
        upper = digits >> np.uint64(shift)
        digits *= np.uint64(factor)
        digits += upper
        digits &= np.uint64(keep)
    return digits
