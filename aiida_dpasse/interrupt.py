"""Ctrl-C ends a command also where nothing listens to it: in a wait for a locked database, or in AiiDA's `run`.

Python calls its handler of a signal only between two instructions, and SQLite waits for minutes inside one. AiiDA's
`run` asks the process to end at the first Ctrl-C, and ignores all others while it waits for that.
"""

from __future__ import annotations

import os
import signal
import threading
from functools import cache

#: Time in s after which a command that was interrupted is ended.
GRACE = 30.0
#: Exit status of a command that was interrupted.
INTERRUPTED = 128 + signal.SIGINT


@cache
def end_on_interrupt(grace: float = GRACE) -> None:
    """End this program at the second Ctrl-C, or ``grace`` after the first one if it is still there.

    The first Ctrl-C does what it always does. Programs that were started go on. Called again, it does nothing.

    :param grace: time in s.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The number of each signal is written here the moment it arrives, whatever the main thread does.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(reading, grace), daemon=True).start()


def _end(reading: int, grace: float) -> None:
    heard = 0
    while byte := os.read(reading, 1):
        if byte[0] != signal.SIGINT:
            continue
        heard += 1
        if heard > 1:
            _leave()
        timer = threading.Timer(grace, _leave)
        timer.daemon = True
        timer.start()


def _leave() -> None:
    os.write(2, b'\nEnded by Ctrl-C. Programs that were started go on.\n')
    os._exit(INTERRUPTED)
