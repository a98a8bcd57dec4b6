"""The place in time of each frame of a run that was continued, restarted or renumbered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Part of the frames at the beginning of a run that may belong to a minimisation, with another spacing.
BEGINNING = 0.05


@dataclass(frozen=True)
class Timeline:
    """Steps of the frames of one run, counted on from its first frame.

    :param steps: for each file, the step of each frame; None for a frame that is not used.
    :param spacing: number of steps between frames.
    :param repeated: number of frames that a later frame replaces.
    :param uneven: number of frames between the evenly spaced ones, or before them.
    :param resets: file and frame at which the step numbers begin again.
    """

    steps: list[list[int | None]]
    spacing: int
    repeated: int
    uneven: int
    resets: list[tuple[int, int]]


def place_frames(numbers: Sequence[Sequence[int]]) -> Timeline:
    """Return the timeline of the files of one run from the step numbers in the headers of their frames.

    Numbers that go back to one within the current segment are frames that a restart repeated: the later ones are used.
    Numbers that go back further begin a new segment, which continues the one before (`reset_timestep`). Frames that are
    not evenly spaced with the others, as those of a minimisation, are not used.

    :param numbers: for each file in order, the step number of each frame.
    """
    flat = [(file, frame, number) for file, part in enumerate(numbers) for frame, number in enumerate(part)]
    steps: list[list[int | None]] = [[None] * len(part) for part in numbers]
    later = (b - a for part in numbers for a, b in pairwise(part) if b > a)
    spacing = max(Counter(later).items(), key=lambda item: (item[1], -item[0]), default=(1, 0))[0]
    phase = Counter(number % spacing for _, _, number in flat).most_common(1)[0][0] if flat else 0
    kept: list[tuple[int, int, int]] = []
    resets, repeated, offset, start = [], 0, 0, 0
    for file, frame, number in flat:
        step = number + offset
        if kept and step <= kept[-1][2]:
            if step > start or step == kept[-1][2]:
                while kept and kept[-1][2] >= step:
                    kept.pop()
                    repeated += 1
            else:
                even = next((place for _, _, place in reversed(kept) if place % spacing == phase), kept[-1][2])
                step = even + spacing
                offset, start = step - number, step
                # A frame after the last even one would come after the first of this segment.
                while kept[-1][2] >= step:
                    kept.pop()
                resets.append((file, frame))
        elif not kept:
            start = step
        kept.append((file, frame, step))
    odd = [index for index, (_, _, step) in enumerate(kept) if step % spacing != phase]
    first = max((index + 1 for index in odd if index < max(2, BEGINNING * len(kept))), default=0)
    used = [place for place in kept[first:] if place[2] % spacing == phase]
    for file, frame, step in used:
        steps[file][frame] = step
    return Timeline(steps, spacing, repeated, len(kept) - len(used), resets)
