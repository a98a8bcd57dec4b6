"""Driver: labels frames with an ASE calculator or a teacher potential; every frame ends admitted, rejected or
failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.dynamics import sample_dynamics
from aiida_dpasse.drivers.job import FRAMES, OUTPUT, read_job, write_result
from aiida_dpasse.drivers.labellers import (
    CalculatorLabeller,
    Labels,
    PotentialLabeller,
    make_calculator,
    one_line,
)
from aiida_dpasse.drivers.records import (
    FAILED,
    JOURNAL,
    REJECTED,
    Journal,
    collect,
    read_journal,
    requested_ids,
)
from aiida_dpasse.structures.distances import minimum_distance


def objection_to_geometry(item: FrameSet, frame: int, limits: dict[str, Any]) -> str | None:
    """Return why a frame is not worth labelling, or None."""
    shortest = minimum_distance(item.cells[frame], item.positions[frame])
    if shortest < limits['minimum_distance']:
        return f'two atoms are {shortest:.2f} A apart, nearer than {limits["minimum_distance"]} A'
    return None


def objection_to_labels(labels: Labels, limits: dict[str, Any]) -> str | None:
    """Return why labels are not admitted, or None: all numbers finite, no force above ``max_force``
    (eV/A)."""
    virial = np.zeros(1) if labels.virial is None else labels.virial
    if not (np.isfinite(labels.energy) and np.isfinite(labels.forces).all() and np.isfinite(virial).all()):
        return 'an energy, force or virial is not finite'
    largest = float(np.linalg.norm(labels.forces, axis=-1).max())
    if largest > limits['max_force']:
        return f'a force is {largest:.3g} eV/A, above {limits["max_force"]} eV/A'
    return None


def labelled(frame: FrameSet, labels: Labels) -> FrameSet:
    """Return a set of one frame with its labels."""
    virials = None if labels.virial is None else [labels.virial]
    return frame.with_labels(energies=[labels.energy], forces=[labels.forces], virials=virials)


def label_set(
    item: FrameSet,
    member: int,
    labeller: CalculatorLabeller | PotentialLabeller,
    limits: dict[str, Any],
    journal: Journal,
) -> None:
    """Label all frames of one set and record each as it is done."""
    ids = [str(identity) for identity in item.ids]
    sound = []
    for frame, identity in enumerate(ids):
        if reason := objection_to_geometry(item, frame, limits):
            journal.discard(identity, REJECTED, reason)
        else:
            sound.append(frame)
    for frame, outcome in labeller.evaluate(item, sound):
        if isinstance(outcome, Exception):
            journal.discard(ids[frame], FAILED, one_line(outcome))
        elif reason := objection_to_labels(outcome, limits):
            journal.discard(ids[frame], REJECTED, reason)
        else:
            journal.admit(ids[frame], member, labelled(item.take([frame]), outcome))


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
        if objection := objection_to_geometry(start, 0, limits):
            for name in names:
                journal.discard(name, REJECTED, f'in the first frame of the dynamics {objection}')
            continue
        done, end = 0, 'the dynamics exploded'
        try:
            for sample, labels in sample_dynamics(start, sampler, limits['dynamics']):
                if reason := objection_to_geometry(sample, 0, limits) or objection_to_labels(labels, limits):
                    journal.discard(names[done], REJECTED, reason)
                else:
                    journal.admit(names[done], member, labelled(sample, labels))
                done += 1
        except Exception as error:  # the calculator broke off: this run ends, the next one starts
            sampler.calculator.reset()
            end = one_line(error)
        for name in names[done:]:
            journal.discard(name, FAILED, end)


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
            for member, item in enumerate(sets):
                act(item, member, labeller, limits, journal)
    records = read_journal(Path(JOURNAL).read_text())
    admitted, account = collect(records, sets, requested_ids(sets, limits['dynamics']))
    # Written aside and moved: a half-written dataset is never taken for a whole one.
    write_dataset(admitted, f'{OUTPUT}.part/{FRAMES}')
    if admitted:
        os.replace(f'{OUTPUT}.part', OUTPUT)
    write_result({'account': account, 'error': error})
    Path(JOURNAL).unlink()
    return 0
