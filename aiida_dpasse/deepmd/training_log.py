"""Outcome of ``dp train``, ``dp freeze`` and ``dp compress``, from their output."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FINISHED = ('Trained model has been saved to', 'finished training')
_STARTED = ('Start to train', 'start training at lr')
_OUT_OF_MEMORY = re.compile(
    r'OutOfMemoryError|out of memory|OOM when allocating|Resource exhausted|std::bad_alloc|\bMemoryError\b'
    r"|can't allocate memory|oom-kill|oom_kill|Out Of Memory",
    re.IGNORECASE,
)
_DIVERGED = 'Non-finite gradient norm'
_VERSION = re.compile(r'(?:DeePMD version|Source):\s+v?(\d+\.\d+\S*)')
_STEP_TIME = re.compile(r'average training time: (\d{1,9}\.?\d{0,20}(?:[eE][+-]?\d{1,3})?) s/batch')
_BLOCK_TIME = re.compile(r'total wall time = (\d{1,9}\.?\d{0,20}(?:[eE][+-]?\d{1,3})?) s')
#: The last line of a traceback: an exception's name and message.
_ERROR = re.compile(
    r'^(?:\[rank\d+\]: )?((?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)|KeyError|AssertionError)(?:: .*)?)$', re.M
)
#: A process that loads data for PyTorch was killed, or ended with the program: nothing is wrong with the training.
_KILLED = re.compile(r'DataLoader worker \(pid.*\) (is killed by signal: (Killed|Terminated)|exited unexpectedly)')


@dataclass(frozen=True)
class TrainingLog:
    """Outcome of a training.

    :param version: of DeePMD-kit.
    :param started: whether the training began.
    :param finished: whether it finished.
    :param out_of_memory: whether it ran out of memory.
    :param diverged: whether DeePMD-kit found a non-finite gradient and stopped before it wrote a checkpoint.
    :param error: last line of a Python traceback, None if a process of the program was killed.
    :param seconds_per_step: DeePMD-kit's own average, which excludes the first steps.
    :param seconds: total time of the printed blocks, so also known for an interrupted training.
    """

    version: str | None
    started: bool
    finished: bool
    out_of_memory: bool
    diverged: bool
    error: str | None
    seconds_per_step: float | None
    seconds: float | None


def parse_training_log(text: str) -> TrainingLog:
    """Read the output of a DeePMD-kit program, truncated or not; every entry may be missing.

    :param text: the output.
    """
    version = _VERSION.search(text)
    step_time = _STEP_TIME.search(text)
    blocks = [float(value) for value in _BLOCK_TIME.findall(text)]
    errors = _ERROR.findall(text) if 'Traceback (most recent call last)' in text else []
    finished = any(mark in text for mark in _FINISHED)
    return TrainingLog(
        version=version.group(1) if version else None,
        started=bool(blocks) or any(mark in text for mark in _STARTED),
        finished=finished,
        out_of_memory=not finished and _OUT_OF_MEMORY.search(text) is not None,
        diverged=not finished and _DIVERGED in text,
        error=errors[-1][:300] if errors and not _KILLED.search(text) else None,
        seconds_per_step=float(step_time.group(1)) if step_time else None,
        seconds=sum(blocks) if blocks else None,
    )
