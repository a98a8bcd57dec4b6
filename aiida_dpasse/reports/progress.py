"""Current state of a process, also while it runs: phases, jobs, results so far, and estimated time left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiida import orm

from aiida_dpasse import quoting
from aiida_dpasse.reports.graph import Call, by_child, call_tree
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.timing import clock

#: Phases of a complete study in order, and the approximate time in s of each in a quickstart on two cores, halved for
#: phases that run concurrently. Only the ratios matter.
ELECTROLYTE = {
    'initial_data': 75.0,
    'active_learning': 115.0,
    'pretrain': 90.0,
    'finetune_labels': 35.0,
    'finetune': 20.0,
    'distill': 160.0,
    'conductivity': 350.0,
    'reference': 55.0,
}
WEIGHTS: dict[str, Mapping[str, float]] = {'dpasse.electrolyte': ELECTROLYTE}
#: Largest completed fraction of a running phase, however long it takes.
MOST = 0.95


@dataclass(frozen=True)
class Progress:
    """The current state of a process; times in s, ``eta_s`` is None if the remaining time is unknown."""

    pk: int
    name: str
    state: str
    exit_status: int | None
    #: Quoted; it may have several lines.
    exit_message: str | None
    phase: str
    phases_done: int
    phases_total: int
    jobs_done: int
    jobs_running: int
    jobs_failed: int
    elapsed_s: float
    eta_s: float | None
    lines: list[str] = field(default_factory=list)

    @property
    def terminated(self) -> bool:
        """Whether the process has ended."""
        return self.state in ('finished', 'excepted', 'killed')

    def headline(self) -> str:
        """Return one line for a terminal."""
        jobs = f'{self.jobs_done} jobs done, {self.jobs_running} running'
        jobs += f', {self.jobs_failed} failed' if self.jobs_failed else ''
        parts = [f'{self.phases_done} of {self.phases_total} phases', jobs, clock(self.elapsed_s)]
        if self.terminated:
            head = self.state if not self.exit_status else f'{self.state} [{self.exit_status}]'
        else:
            head = self.phase.replace('_', ' ') or 'starting'
            parts += [f'about {clock(self.eta_s)} left'] if self.eta_s is not None else []
        return f'{head}: {"; ".join(parts)}'


def progress(process: orm.ProcessNode, now: datetime | None = None) -> Progress:
    """Return the current state of a process.

    The function only reads, and it reads only the outputs of terminated processes: it is safe while a daemon writes.

    :param process: any process.
    :param now: current time, by default that of the system.
    """
    now = now or datetime.now(UTC)
    tree = call_tree(process.pk)
    top = tree[0]
    branches = by_child(tree)
    phases = [child for child, calls in branches if any(call.is_job for call in calls)]
    planned = dict(WEIGHTS.get(top.entry_point, {}))
    # A known phase that waits for its first job counts as well.
    known = {call.pk for call in phases}
    phases += [child for child, _ in branches if child.label in planned and child.pk not in known]
    weights = _expected(planned, phases, top.terminated)
    running = [call for call in phases if not call.terminated]
    jobs = [call for call in tree if call.is_job]
    return Progress(
        pk=top.pk,
        name=top.name,
        state=top.state,
        exit_status=top.exit_status,
        exit_message=top.exit_message,
        phase=', '.join(call.label for call in running),
        phases_done=len(phases) - len(running),
        phases_total=max(len(weights), len(phases)),
        jobs_done=sum(job.terminated for job in jobs),
        jobs_running=sum(not job.terminated for job in jobs),
        jobs_failed=sum(job.terminated and not job.ok for job in jobs),
        elapsed_s=top.seconds(now),
        eta_s=0.0 if top.terminated else _left(weights, phases, now),
        lines=[line for call in phases if call.terminated for line in _lines(call, now)],
    )


def _lines(call: Call, now: datetime) -> list[str]:
    took = f'{call.label.replace("_", " ")} ({clock(call.seconds(now))})'
    found = outcome(orm.load_node(call.pk))
    if not call.ok:
        message = call.exit_message or ''
        found = [line for line in found if line not in message]
        found.append(f'ended with exit code {call.exit_status}: {quoting.line(message)}')
    return [f'{took}: {line}' for line in found] or [took]


def _expected(planned: Mapping[str, float], phases: list[Call], over: bool) -> dict[str, float]:
    """Return the weights of the phases that run; a skipped phase, whose result was given as an input, takes no time."""
    labels = {call.label for call in phases}
    order = list(planned)
    latest = max((order.index(label) for label in labels if label in planned), default=-1)
    return {
        label: weight
        for i, (label, weight) in enumerate(planned.items())
        if label in labels or (i > latest and not over)
    }


def _left(weights: Mapping[str, float], phases: list[Call], now: datetime) -> float | None:
    """Return the remaining time in s: the weights of the remaining phases, scaled by the pace of the completed ones."""
    ended = [call for call in phases if call.terminated and call.label in weights]
    if not weights:
        return None
    done = sum(weights[call.label] for call in ended)
    pace = sum(call.seconds(now) for call in ended) / done if done else 1.0
    left = pace * sum(weight for label, weight in weights.items() if label not in {call.label for call in ended})
    for call in phases:
        if not call.terminated and call.label in weights:
            left -= min(call.seconds(now), MOST * pace * weights[call.label])
    return max(left, 0.0)
