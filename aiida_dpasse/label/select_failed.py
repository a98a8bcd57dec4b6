"""Select the frames whose labelling failed, for another attempt."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def select_failed(frames: FramesData, account: orm.Dict, **inputs: dict[str, orm.Dict]) -> FramesData:
    """Select the frames of a job that are to be labelled again, see :func:`failed_ids`.

    :param frames: frames of the job.
    :param account: account of the job.
    :param inputs: namespace ``earlier`` with the accounts of earlier jobs of the same frames.
    :returns: the selected frames.
    :raises ValueError: if there are none.
    """
    failed = failed_ids(account, inputs.get('earlier', {}).values())
    masks = [(item, np.isin(item.ids, failed)) for item in frames.sets()]
    return FramesData.from_sets(item.take(mask) for item, mask in masks if mask.any())


def failed_ids(account: orm.Dict, earlier: Iterable[orm.Dict] = ()) -> list[str]:
    """Return the ids of the failed frames that are worth another attempt.

    These are the frames that the program never attempted and those on which it failed for the first time. Samples of
    dynamics (``<id>:<step>``) are omitted, since they are not input frames.

    :param account: account of the last job.
    :param earlier: accounts of earlier jobs of the same frames.
    """
    known = {name for before in earlier for name in _answered(before)}
    given_up = known & _answered(account)
    return [entry['id'] for entry in account['failed'] if ':' not in entry['id'] and entry['id'] not in given_up]


def _answered(account: orm.Dict) -> set[str]:
    """Return the names that the program attempted and failed on."""
    return {entry['id'] for entry in account['failed']} - set(account.get_dict().get('unreached', []))
