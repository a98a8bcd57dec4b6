"""Outputs of the calcfunctions that read the labels of a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet


def label_outputs(admitted: Iterable[FrameSet], account: dict[str, Any]) -> dict[str, orm.Data]:
    """Return the outputs of a labelling as nodes.

    :param admitted: labelled frames that were accepted.
    :param account: outcome of each requested frame.
    :returns: ``account`` and, if there are accepted frames, ``frames``.
    """
    sets = list(admitted)
    frames = {'frames': FramesData.from_sets(sets)} if sets else {}
    return {'account': orm.Dict(account), **frames}
