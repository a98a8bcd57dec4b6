"""Sizes of subsets of frames, by number or fraction, and of supercells."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from aiida_dpasse.structures.supercell import check_size


def _whole_or_fraction(size: float) -> float:
    if size >= 1 and size != int(size):
        raise ValueError(f'it should be a whole number of frames, or a fraction below 1, got {size:g}')
    return size


#: A whole number of frames, or a fraction below 1.
PartSize = Annotated[float, Field(ge=0), AfterValidator(_whole_or_fraction)]


def _possible(size: float | list[int] | list[list[int]]) -> float | list[int] | list[list[int]]:
    try:
        check_size(size)
    except ValueError as exception:
        raise ValueError(str(exception).removeprefix('supercell: ')) from exception
    return size


#: Three repetitions, a 3x3 matrix, or the smallest distance between images in A.
SupercellSize = Annotated[float | list[int] | list[list[int]], AfterValidator(_possible)]


def part_size(size: float, total: int) -> int:
    """Return the number of frames in a subset; a fraction gives at least one frame.

    :param size: a :data:`PartSize`.
    :param total: number of all frames.

    >>> part_size(0.25, 40), part_size(3.0, 40), part_size(0.1, 4)
    (10, 3, 1)
    """
    return max(1, round(size * total)) if 0 < size < 1 else int(size)
