"""Driver: label frames with an ASE calculator or a potential, and record each as accepted, rejected or failed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.calculators import NotAllowedError
from aiida_dpasse.drivers.dynamics import sample_dynamics
from aiida_dpasse.drivers.job import FRAMES, OUTPUT, read_job, write_result
from aiida_dpasse.drivers.labellers import CalculatorLabeller, PotentialLabeller, make_calculator
from aiida_dpasse.drivers.relaxation import relax
from aiida_dpasse.labels.admission import objection_to_geometry
from aiida_dpasse.labels.records import (
    AUDIT,
    FAILED,
    JOURNAL,
    REJECTED,
    UNREACHED,
    Journal,
    collect,
    one_line,
    read_journal,
    requested_ids,
    sound_frames,
    without_cut_run,
)

#: Start time of the driver in s.
BEGUN = time.monotonic()


class OutOfTimeError(Exception):
    """The job must stop before the scheduler stops it."""


class TimedJournal(Journal):
    """A journal that stops the job before its time limit, so that all finished frames are retrieved.

    :param seconds: time limit of the job in s, or None.
    """

    def __init__(self, seconds: float | None):
        super().__init__()
        self._seconds, self._last, self._longest = seconds, BEGUN, 0.0

    def _add(self, record: dict[str, Any]) -> None:
        super()._add(record)
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        # The next record may take as long as the longest so far.
        if self._seconds is not None and now + self._longest > BEGUN + self._seconds:
            raise OutOfTimeError


def label_set(
    item: FrameSet,
    member: int,
    labeller: CalculatorLabeller | PotentialLabeller,
    limits: dict[str, Any],
    journal: Journal,
) -> None:
    """Label all frames of one set and record each when it is finished.

    :param item: set of frames.
    :param member: index of the set.
    :param labeller: labeller of the frames.
    :param limits: acceptance criteria, see `limits_of`.
    :param journal: journal of the job.
    """
    ids = [str(identity) for identity in item.ids]
    sound = sound_frames(item, limits)
    for frame in sorted(set(range(len(item))) - set(sound)):
        journal.judge(ids[frame], member, item.take([frame]), 'not labelled', limits)
    for frame, outcome in labeller.evaluate(item, sound):
        journal.judge(ids[frame], member, item.take([frame]), outcome, limits)


def run_set(
    item: FrameSet,
    member: int,
    labeller: CalculatorLabeller | PotentialLabeller,
    limits: dict[str, Any],
    journal: Journal,
) -> None:
    """Run dynamics from each frame of one set and record each sample; step 0 is the frame itself.

    Parameters as in `label_set`.
    """
    sampler = CalculatorLabeller(labeller.calculator)
    for frame in range(len(item)):
        start = item.take([frame])
        names = requested_ids([start], limits['dynamics'])
        if (objection := objection_to_geometry(start, 0, limits)) and limits.get('mode') != AUDIT:
            for name in names:
                journal.discard(name, REJECTED, f'in the first frame of the dynamics {objection}')
            continue
        done, end = 0, 'the dynamics exploded'
        try:
            for sample, labels in sample_dynamics(start, sampler, limits['dynamics']):
                journal.judge(names[done], member, sample, labels, limits)
                done += 1
        except OutOfTimeError:
            raise
        except Exception as error:  # a failed run does not stop the others
            sampler.calculator.reset()
            end = one_line(error)
        for name in names[done:]:
            journal.discard(name, FAILED, end)


def relax_set(
    item: FrameSet,
    member: int,
    labeller: CalculatorLabeller | PotentialLabeller,
    limits: dict[str, Any],
    journal: Journal,
) -> None:
    """Relax each frame of one set and record the relaxed frame, with labels, under the name of the initial one.

    Parameters as in `label_set`.
    """
    sampler = CalculatorLabeller(labeller.calculator)
    for frame in range(len(item)):
        start = item.take([frame])
        try:
            relaxed, outcome = relax(start, sampler, limits['relaxation'])
        except Exception as error:  # a failed frame does not stop the others
            sampler.calculator.reset()
            journal.discard(str(start.ids[0]), FAILED, one_line(error))
        else:
            journal.judge(str(start.ids[0]), member, relaxed, outcome, limits)


def main(arguments: list[str]) -> int:
    """Label the frames in ``frames/``; write ``output/frames/``, and ``output.json`` with the account."""
    job = read_job(arguments)
    limits = job['parameters']
    sets = read_dataset(FRAMES)
    error, stopped = None, False
    with TimedJournal(job.get('seconds')) as journal:
        try:
            if job['potential'] is not None:
                labeller: CalculatorLabeller | PotentialLabeller = PotentialLabeller(job['potential'])
            else:
                labeller = CalculatorLabeller(make_calculator(**job['calculator']))
        except NotAllowedError as exception:
            error = str(exception)
        except Exception as exception:  # without a labeller every frame is recorded as failed
            error = one_line(exception)
        else:
            act = label_set if limits['dynamics'] is None else run_set
            act = relax_set if limits.get('relaxation') else act
            try:
                for member, item in enumerate(sets):
                    act(item, member, labeller, limits, journal)
            except OutOfTimeError:
                stopped = True
    records = read_journal(Path(JOURNAL).read_text())
    if stopped:
        records = without_cut_run(records, limits['dynamics'])
    if error is not None:
        reason = f'the labeller did not start ({error})'
        records = [{'id': i, 'state': FAILED, 'reason': reason} for i in requested_ids(sets, limits['dynamics'])]
    admitted, account = collect(records, sets, requested_ids(sets, limits['dynamics']), limits)
    # Written elsewhere and renamed, so that a partial dataset is never read as complete.
    write_dataset(admitted, f'{OUTPUT}.part/{FRAMES}')
    if admitted:
        os.replace(f'{OUTPUT}.part', OUTPUT)
    write_result({'account': account, 'error': error, 'stopped': stopped and bool(account[UNREACHED])})
    Path(JOURNAL).unlink()
    return 0
