"""Wall time and number of jobs of each phase, from the times stored in the process nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiida_dpasse.reports.graph import Call, by_child


@dataclass(frozen=True)
class PhaseTime:
    """Wall time and number of jobs of one child of a workflow."""

    phase: str
    pk: int
    name: str
    state: str
    exit_status: int | None
    wall_s: float
    jobs: int
    jobs_done: int
    jobs_failed: int
    job_s: float


def phase_times(tree: list[Call], now: datetime | None = None) -> list[PhaseTime]:
    """Return the times of the children of the first process of ``tree`` that ran jobs, in order.

    :param tree: processes, of `call_tree`.
    :param now: current time, used for running phases.
    """
    phases = []
    for child, calls in by_child(tree):
        jobs = [call for call in calls if call.is_job]
        if not jobs:
            continue  # calcfunctions that plan or join frames are not phases
        phases.append(
            PhaseTime(
                phase=child.label,
                pk=child.pk,
                name=child.name,
                state=child.state,
                exit_status=child.exit_status,
                wall_s=child.seconds(now),
                jobs=len(jobs),
                jobs_done=sum(job.terminated for job in jobs),
                jobs_failed=sum(job.terminated and not job.ok for job in jobs),
                job_s=sum(job.seconds(now) for job in jobs),
            )
        )
    return phases


def clock(seconds: float) -> str:
    """Return a time in readable form, for example ``3 min 05 s``.

    :param seconds: time in s.

    >>> clock(185)
    '3 min 05 s'
    """
    total = round(seconds)
    if total < 60:
        return f'{total} s'
    if total < 3600:
        return f'{total // 60} min {total % 60:02d} s'
    return f'{total // 3600} h {total % 3600 // 60:02d} min'
