"""Continuation from the newest complete checkpoint of DeePMD-kit, selected on the compute machine before ``dp train``.

A killed job or a full disk can leave the last checkpoint truncated, and a diverged training leaves checkpoints of nan.
DeePMD-kit keeps several (``max_ckpt_keep``, 5). ``restart.sh`` selects one. It is shell, since a training has the code
`dp` only, which may be a wrapper or a container, so the job knows no Python; retrieving all checkpoints for inspection
would transfer a gigabyte.
"""

from __future__ import annotations

import re

from aiida_dpasse.deepmd.shell import shell_script

PREFIX = 'model.ckpt'
#: Name of the selected checkpoint for ``dp train --restart``; in TensorFlow it is the stem of several files.
CHOSEN = 'restart'
#: File that records the selection.
REPORT = 'restart.out'
#: Text file of DeePMD-kit that names the last checkpoint.
LATEST = 'checkpoint'

_NONE_WHOLE = 'No checkpoint to go on from is whole'


def restart_script(backend: str, log: str, limit: int | None = None, newest: bool = False) -> str:
    """Return lines of shell that select the newest complete checkpoint in the directory for the restart.

    Later and truncated checkpoints are removed there (they are copies). If none is complete the script exits with
    status 1.

    :param backend: 'pytorch' or 'tensorflow'.
    :param log: file of the output of ``dp train``, to which the failure is written.
    :param limit: largest step of the checkpoint.
    :param newest: accept the newest checkpoint only, remove none and write no report: it is that of a finished
        training, which is not continued.
    """
    return shell_script(
        'restart.sh',
        backend=backend,
        prefix=PREFIX,
        chosen=CHOSEN,
        limit='' if limit is None else limit,
        newest='yes' if newest else '',
        report='/dev/null' if newest else REPORT,
        log=log,
        latest=LATEST,
        none=_NONE_WHOLE,
    )


def restart_argument(backend: str) -> str:
    """Return the argument of ``dp train --restart``.

    :param backend: 'pytorch' or 'tensorflow'.
    """
    return f'{CHOSEN}.pt' if backend == 'pytorch' else CHOSEN


def latest_step(pointer: str, log: str = '') -> int:
    """Return the step of the newest checkpoint, 0 without a checkpoint.

    DeePMD-kit empties its pointer file before it writes the next name, so a run killed in between leaves it empty. The
    log names every checkpoint after it has been written.

    :param pointer: text of DeePMD-kit's file ``checkpoint``.
    :param log: output of ``dp train``.
    """
    named = re.findall(rf'{re.escape(PREFIX)}-(\d{{1,18}})', pointer)
    saved = re.findall(rf'Saved model to \S*{re.escape(PREFIX)}-(\d{{1,18}})', log)
    return max((int(step) for step in (*named[:1], *saved[-1:])), default=0)


def restarted_from(text: str) -> int:
    """Return the step that a run continued from, 0 if it started from scratch.

    :param text: content of `REPORT`.
    """
    match = re.search(r'restart from step (\d{1,18})', text)
    return int(match.group(1)) if match else 0


def none_was_whole(log: str) -> bool:
    """Whether ``dp train`` was not started because no checkpoint was complete.

    :param log: output of ``dp train``.
    """
    return _NONE_WHOLE in log
