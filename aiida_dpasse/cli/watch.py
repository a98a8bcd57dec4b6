"""Watch a process until it ends, with a display that is updated in place on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.calculations.sqlite_locks import wait_for_locks
from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.reports.progress import Progress, progress

#: Time in s between two checks of the process, between two checks of the daemon, and between two plain lines without
#: news.
TICK, CARE, HEARTBEAT = 2.0, 5.0, 60.0
#: Checking a large study takes a while: the pause is at least this many times as long, so that the programs can use the
#: processor, and at most this many s.
REST, LONGEST = 30.0, 10.0


class Display:
    """Display of a process: results are permanent lines, the line with the current state is updated in place on a
    terminal.

    :param stream: output stream, by default the standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.tty = self.stream.isatty()
        self._told: set[str] = set()
        self._last = float('-inf')

    def note(self, text: str) -> None:
        """Write a permanent line, in which nothing acts."""
        shown = quoting.line(text)
        self.stream.write(f'\r\x1b[K{shown}\n' if self.tty else f'{shown}\n')
        self.stream.flush()

    def show(self, state: Progress) -> None:
        """Write new results and the current state."""
        news = [line for line in state.lines if line not in self._told]
        self._told.update(news)
        for line in news:
            self.note(f'  {line}')
        if self.tty:
            # A wrapped line could not be overwritten.
            width = max(20, shutil.get_terminal_size().columns - 1)
            self.stream.write(f'\r\x1b[K{quoting.line(state.headline())[:width]}' + '\n' * state.terminated)
            self.stream.flush()
        elif news or state.terminated or time.monotonic() - self._last > HEARTBEAT:
            self.note(state.headline())
            self._last = time.monotonic()


def watch(node: orm.ProcessNode, keeper: DaemonKeeper | None = None, display: Display | None = None) -> Progress:
    """Show the state of a process until it has ended.

    :param node: the process.
    :param keeper: supervisor of the daemon, which is called meanwhile.
    :param display: display to use, by default on the standard output.
    :return: the final state.
    :raises sqlalchemy.exc.OperationalError: if the database is locked for minutes.
    """
    wait_for_locks()
    display = display or Display()
    cared = float('-inf')
    while True:
        began = time.monotonic()
        state = progress(node)
        took = time.monotonic() - began
        display.show(state)
        if state.terminated:
            return state
        if keeper is not None and time.monotonic() - cared > CARE:
            for sentence in keeper.look():
                display.note(sentence)
            cared = time.monotonic()
        time.sleep(min(max(TICK, REST * took), LONGEST))
