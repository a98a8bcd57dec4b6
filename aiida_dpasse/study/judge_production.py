"""Verdict on the students of a study, by the labels of frames that their own production visited."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.errors import MILLI
from aiida_dpasse.data.frames import FramesData


@calcfunction
def judge_production(parameters: orm.Dict, account: orm.Dict, **labelled: orm.Data) -> orm.Dict:
    """Compare the forces of the students with labels of frames that they visited.

    A potential can be wrong where its own dynamics leads it, although its errors on every test set are small and the
    students agree with each other. Only labels of those frames show it.

    :param parameters: ``maximum_error``, relative to the root mean square force.
    :param account: account of the labels.
    :param labelled: the labelled ``frames``, and the ``errors`` of the students on them; none if no frame was labelled.
    :returns: number of ``frames`` labelled, of those ``requested`` and ``rejected``; ``force_rms_meV_A``, the root mean
        square force; ``force_rmse_meV_A``, the error of each student by label; ``relative_error``, that of the worst;
        the limit; and ``accepted``, null if nothing could be labelled, with the ``reason`` if it is not true.
    """
    rejected, limit = len(account['rejected']), parameters['maximum_error']
    found: dict[str, Any] = {
        'frames': account['admitted'],
        'requested': account['requested'],
        'rejected': rejected,
        'force_rms_meV_A': None,
        'force_rmse_meV_A': {},
        'relative_error': None,
        'maximum_error': limit,
        'accepted': None,
        'reason': None,
    }
    frames, errors = labelled.get('frames'), labelled.get('errors')
    if isinstance(frames, FramesData) and isinstance(errors, orm.Dict):
        forces = np.concatenate([np.ravel(np.asarray(item.forces)) for item in frames.sets()])
        rms = float(np.sqrt(np.square(forces).mean()) * MILLI)
        wrong = {label: float(values['force_rmse_meV_A']) for label, values in errors.get_dict().items()}
        relative = max(wrong.values()) / rms if rms else np.inf
        found |= {'force_rms_meV_A': rms, 'force_rmse_meV_A': wrong, 'relative_error': float(relative)}
        found['accepted'] = bool(relative <= limit)
        if not found['accepted']:
            found['reason'] = (
                f'The forces of the students are wrong by {relative:.0%} in the frames that they simulated, by '
                f'{account["admitted"]} labels; {limit:.0%} are allowed.'
            )
    elif rejected:
        found['accepted'] = False
        found['reason'] = (
            f'All {rejected} simulated frames were rejected as labels: {account["rejected"][0]["reason"]}.'
        )
    else:
        found['reason'] = 'No frame of the production could be labelled.'
    return orm.Dict(found)
