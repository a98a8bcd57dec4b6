"""Take the frames whose labelling failed, to try them again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def select_failed(frames: FramesData, account: orm.Dict, **inputs: dict[str, orm.Dict]) -> FramesData:
    """Return the frames to ask for again, those of :func:`failed_ids`.

    :param account: that of the job that was given ``frames``.
    :param inputs: as ``earlier``, the accounts of the jobs that were given them before.
    :raises ValueError: if there are none.
    """
    failed = failed_ids(account, inputs.get('earlier', {}).values())
    masks = [(item, np.isin(item.ids, failed)) for item in frames.sets()]
    return FramesData.from_sets(item.take(mask) for item, mask in masks if mask.any())


def failed_ids(account: orm.Dict, earlier: Iterable[orm.Dict] = ()) -> list[str]:
    """Return the ids of the frames that ``account`` lists as failed and that are worth asking for again: those that the
    program never had a go at, and those that it failed on for the first time.

    Samples of dynamics (``<id>:<step>``) are no frames of ours.
    """
    known = {name for before in earlier for name in _answered(before)}
    given_up = known & _answered(account)
    return [entry['id'] for entry in account['failed'] if ':' not in entry['id'] and entry['id'] not in given_up]


def _answered(account: orm.Dict) -> set[str]:
    """The names that a program had a go at and failed on."""
    return {entry['id'] for entry in account['failed']} - set(account.get_dict().get('unreached', []))
