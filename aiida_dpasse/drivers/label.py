"""Driver: labels frames with an ASE calculator or a teacher potential; every frame ends admitted, rejected or
failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.admission import objection_to_geometry
from aiida_dpasse.drivers.dynamics import sample_dynamics
from aiida_dpasse.drivers.job import FRAMES, OUTPUT, read_job, write_result
from aiida_dpasse.drivers.labellers import CalculatorLabeller, PotentialLabeller, make_calculator
from aiida_dpasse.drivers.records import (
    AUDIT,
    FAILED,
    JOURNAL,
    REJECTED,
    Journal,
    collect,
    one_line,
    read_journal,
    requested_ids,
    sound_frames,
)
from aiida_dpasse.drivers.relaxation import relax


def label_set(
    item: FrameSet,
    member: int,
    labeller: CalculatorLabeller | PotentialLabeller,
    limits: dict[str, Any],
    journal: Journal,
) -> None:
    """Label all frames of one set and record each as it is done."""
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
    """Run dynamics from all frames of one set and record each sample as it is taken; step 0 is the frame
    itself."""
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
        except Exception as error:  # the calculator broke off: this run ends, the next one starts
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
    """Relax all frames of one set; what is recorded under a frame's name is the relaxed one, with its labels."""
    sampler = CalculatorLabeller(labeller.calculator)
    for frame in range(len(item)):
        start = item.take([frame])
        try:
            relaxed, outcome = relax(start, sampler, limits['relaxation'])
        except Exception as error:  # the calculator broke off: this frame failed, the next one starts
            sampler.calculator.reset()
            journal.discard(str(start.ids[0]), FAILED, one_line(error))
        else:
            journal.judge(str(start.ids[0]), member, relaxed, outcome, limits)


def main(arguments: list[str]) -> int:
    """Label what lies in ``frames/``; write ``output/frames/`` and ``output.json`` with the account."""
    job = read_job(arguments)
    limits = job['parameters']
    sets = read_dataset(FRAMES)
    error = None
    with Journal() as journal:
        try:
            if job['potential'] is not None:
                labeller: CalculatorLabeller | PotentialLabeller = PotentialLabeller(job['potential'])
            else:
                labeller = CalculatorLabeller(make_calculator(**job['calculator']))
        except Exception as exception:  # no frame can be labelled, and each has to say so
            error = one_line(exception)
            for identity in requested_ids(sets, limits['dynamics']):
                journal.discard(identity, FAILED, f'the labeller did not start ({error})')
        else:
            act = label_set if limits['dynamics'] is None else run_set
            act = relax_set if limits.get('relaxation') else act
            for member, item in enumerate(sets):
                act(item, member, labeller, limits, journal)
    records = read_journal(Path(JOURNAL).read_text())
    admitted, account = collect(records, sets, requested_ids(sets, limits['dynamics']), limits)
    # Written aside and moved: a half-written dataset is never taken for a whole one.
    write_dataset(admitted, f'{OUTPUT}.part/{FRAMES}')
    if admitted:
        os.replace(f'{OUTPUT}.part', OUTPUT)
    write_result({'account': account, 'error': error})
    Path(JOURNAL).unlink()
    return 0
