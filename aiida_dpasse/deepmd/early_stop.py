"""Early stopping of a training whose held-out error no longer improves, on the machine where it runs.

``early_stop.sh`` monitors the learning curve beside ``dp train`` and ends it; the rest of the job, the freezing,
continues. TensorFlow records the name of a checkpoint before its graph is written, and DeePMD-kit links the newest
checkpoint (``model.ckpt.meta``, ``model.ckpt.pt``) once it is complete: the script pauses the training and ends it only
if the recorded checkpoint is the linked one, so that none is truncated.
"""

from __future__ import annotations

import re

from aiida_dpasse.deepmd.restart import LATEST, PREFIX
from aiida_dpasse.deepmd.shell import shell_script

#: File that records the early stop.
REPORT = 'early_stop.out'
#: Seconds between two checks.
INTERVAL = 2


def early_stop_script(error: str, window: int, improvement: float, curve: str) -> str:
    """Return lines of shell, to precede ``dp train``, that end it when its held-out error no longer improves.

    :param error: column of the learning curve.
    :param window: number of steps at the end of the curve.
    :param improvement: fraction by which the lowest error in the window has to be below the lowest before it.
    :param curve: file name of the learning curve.
    """
    return shell_script(
        'early_stop.sh',
        interval=INTERVAL,
        error=error,
        window=window,
        improvement=f'{improvement:.10g}',
        curve=curve,
        latest=LATEST,
        prefix=PREFIX,
        report=REPORT,
    )


def flat_step(text: str) -> int | None:
    """Return the step at which a training was stopped early, None if it was not.

    :param text: content of `REPORT`.
    """
    match = re.search(r'flat at step (\d{1,18})', text)
    return int(match.group(1)) if match else None
