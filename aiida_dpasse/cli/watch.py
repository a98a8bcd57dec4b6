"""Watch a process until it ends: one display that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from aiida import orm

from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.reports.graph import TERMINATED, call_tree
from aiida_dpasse.reports.timing import PhaseTime, clock, phase_times

#: Seconds between two looks at the process, at the daemon, and between two plain lines of which nothing is new.
TICK, CARE, HEARTBEAT = 1.0, 5.0, 60.0


class Display:
    """Writes a block of lines over itself on a terminal; elsewhere it writes only lines that it has not yet written."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.tty = self.stream.isatty()
        self._height = 0

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self._clear()
        self.stream.write(text + '\n')
        self.stream.flush()

    def block(self, lines: list[str]) -> None:
        """Show a block in place of the one before (terminals only)."""
        if self.tty:
            self._clear()
            self.stream.write(''.join(line + '\n' for line in lines))
            self.stream.flush()
            self._height = len(lines)

    def _clear(self) -> None:
        if self._height:
            self.stream.write(f'\x1b[{self._height}F\x1b[J')
        self._height = 0


def watch(
    node: orm.ProcessNode,
    budget_s: Mapping[str, float],
    *,
    keeper: DaemonKeeper | None = None,
    outcome: Callable[[int], str] | None = None,
    display: Display | None = None,
) -> list[PhaseTime]:
    """Show the phases of `node` until it has ended; return them with their times.

    :param budget_s: the phases to come, by call link label and in order, with the seconds that each is thought to take.
    :param keeper: looks after the daemon meanwhile, if given.
    :param outcome: returns in a few words what came out of the finished phase of this PK.
    """
    display = display or Display()
    told: set[str] = set()
    outcomes: dict[int, str] = {}
    cared = spoken = 0.0
    while True:
        tree = call_tree(node.pk)
        now = datetime.now(UTC)
        phases = phase_times(tree, now)
        for phase in phases:
            if phase.state in TERMINATED and phase.pk not in outcomes:
                outcomes[phase.pk] = outcome(phase.pk) if outcome else ''
        lines = [_line(phase, outcomes.get(phase.pk, '')) for phase in phases]
        footer = _footer(tree[0].seconds(now), tree[0].terminated, phases, budget_s)
        display.block([*lines, *(f'  · {name}' for name in _to_come(phases, budget_s)), footer])
        if not display.tty:
            news = [line for phase, line in zip(phases, lines, strict=True) if _key(phase) not in told]
            told.update(_key(phase) for phase in phases)
            if news or time.monotonic() - spoken > HEARTBEAT:
                for line in [*news, footer]:
                    display.note(line)
                spoken = time.monotonic()
        if tree[0].terminated:
            return phases
        if keeper is not None and time.monotonic() - cared > CARE:
            for sentence in keeper.look():
                display.note(sentence)
            cared = time.monotonic()
        time.sleep(TICK)


def time_left(phases: list[PhaseTime], budget_s: Mapping[str, float]) -> float:
    """Return the seconds still needed: the budget of what is left, at the pace of what is done.

    >>> time_left([], {'pretrain': 100.0, 'distill': 50.0})
    150.0
    """
    done = [phase for phase in phases if phase.state in TERMINATED]
    planned = sum(budget_s.get(phase.phase, 0.0) for phase in done)
    spent = sum(phase.wall_s for phase in done if phase.phase in budget_s)
    pace = spent / planned if planned else 1.0
    left = 0.0
    for name, seconds in budget_s.items():
        now = [phase for phase in phases if phase.phase == name]
        if not now:
            left += pace * seconds
        elif now[-1].state not in TERMINATED:
            # A phase that outlives its budget is thought to need a tenth of it more, always.
            left += max(pace * seconds - now[-1].wall_s, 0.1 * pace * seconds)
    return left


def _key(phase: PhaseTime) -> str:
    return f'{phase.pk} {phase.state in TERMINATED}'


def _to_come(phases: list[PhaseTime], budget_s: Mapping[str, float]) -> list[str]:
    begun = {phase.phase for phase in phases}
    return [name for name in budget_s if name not in begun]


def _line(phase: PhaseTime, outcome: str) -> str:
    if phase.state not in TERMINATED:
        return f'  ▸ {phase.phase:<18} {clock(phase.wall_s):>12}   {phase.jobs_done} of {phase.jobs} jobs so far'
    good = phase.exit_status == 0
    result = outcome if good else f'{outcome} (exit {phase.exit_status})'.strip()
    return f'  {"✓" if good else "!"} {phase.phase:<18} {clock(phase.wall_s):>12}   {result}'


def _footer(elapsed_s: float, ended: bool, phases: list[PhaseTime], budget_s: Mapping[str, float]) -> str:
    if ended:
        return f'  {clock(elapsed_s)} in all'
    return f'  {clock(elapsed_s)} so far, about {max(1, round(time_left(phases, budget_s) / 60))} min left'
