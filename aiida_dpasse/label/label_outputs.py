"""What every calcfunction that reads a program's labels returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet


def label_outputs(admitted: Iterable[FrameSet], account: dict[str, Any]) -> dict[str, orm.Data]:
    """Return ``account`` and, if any frame is ``admitted``, ``frames``."""
    sets = list(admitted)
    frames = {'frames': FramesData.from_sets(sets)} if sets else {}
    return {'account': orm.Dict(account), **frames}
