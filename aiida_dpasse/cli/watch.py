"""Watch a process until it ends: one display that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from aiida import orm

from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.reports.progress import Progress, progress

#: Seconds between two looks at the process, between two at the daemon, and between two plain lines without news.
TICK, CARE, HEARTBEAT = 2.0, 5.0, 60.0
#: A look at a large study takes a while: the programs keep the processor for so many times as long, and at most so many
#: seconds.
REST, LONGEST = 30.0, 10.0


class Display:
    """What came out stays; the line that says where the process stands is renewed, in place on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.tty = self.stream.isatty()
        self._told: set[str] = set()
        self._last = float('-inf')

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self.stream.write(f'\r\x1b[K{text}\n' if self.tty else f'{text}\n')
        self.stream.flush()

    def show(self, state: Progress) -> None:
        """Write what is new, and where the process stands."""
        news = [line for line in state.lines if line not in self._told]
        self._told.update(news)
        for line in news:
            self.note(f'  {line}')
        if self.tty:
            # A line that wraps could not be written over.
            width = max(20, shutil.get_terminal_size().columns - 1)
            self.stream.write(f'\r\x1b[K{state.headline()[:width]}' + '\n' * state.terminated)
            self.stream.flush()
        elif news or state.terminated or time.monotonic() - self._last > HEARTBEAT:
            self.note(state.headline())
            self._last = time.monotonic()


def watch(node: orm.ProcessNode, keeper: DaemonKeeper | None = None, display: Display | None = None) -> Progress:
    """Show where `node` stands until it has ended; `keeper` looks after the daemon meanwhile."""
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
