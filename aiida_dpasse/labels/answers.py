"""Outcome of each frame requested from a density-functional program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.labels.admission import Labels
from aiida_dpasse.labels.records import Unreached, requested_ids, settle, sound_frames
from aiida_dpasse.runs import Run
from aiida_dpasse.structures.calculated import CalculatedFrame

#: Largest distance in A between input and output position of an atom; the programs write eight decimals.
MOVED = 1e-6


def jobs_by_formula(what: str, sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frames that are worth labelling, without labels, as one job for each formula.

    :param what: kind of the runs.
    :param sets: frames to label.
    :param limits: acceptance criteria, see `limits_of`.
    """
    sound = concatenate(item.take(sound_frames(item, limits)).with_labels() for item in sets)
    items = [item for item in sound if len(item)]
    return {Run(what, number, data=item.formula): item for number, item in enumerate(items)}


def jobs_by_frame(what: str, sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frames that are worth labelling, without labels, as one job for each; parameters as in
    `jobs_by_formula`.
    """
    items = jobs_by_formula(what, sets, limits).values()
    starts = [item.take([index]) for item in items for index in range(len(item))]
    return {Run(what, number, data=str(start.ids[0])): start for number, start in enumerate(starts)}


def settle_jobs(
    sets: Sequence[FrameSet],
    jobs: Mapping[Run, FrameSet],
    read: Callable[[Run], tuple[list[CalculatedFrame], str]],
    program: str,
    limits: Mapping[str, Any],
    temperature: Callable[..., float],
) -> tuple[list[FrameSet], dict[str, Any]]:
    """Return labelled sets and account of a batch, see `settle`.

    :param sets: frames of the batch.
    :param jobs: frames of each job.
    :param read: function that returns the computed frames of a job, and why there are no more.
    :param program: name of the program.
    :param limits: acceptance criteria, ``dynamics`` and ``relaxation``.
    :param temperature: function that returns the temperature (K) of a step of the dynamics.
    """
    outcomes: dict[str, Labels | str] = {}
    samples: dict[str, FrameSet] = {}
    for job, item in jobs.items():
        done, end = read(job)
        if limits['relaxation'] is not None:
            reached, stepped = relaxation_outcome(item, done, end, program)
        else:
            reached, stepped = job_outcomes(item, done, end, program, limits['dynamics'], temperature)
        outcomes |= reached
        samples |= stepped
    return settle(sets, outcomes, limits, 'it was in no job', samples)


def job_outcomes(
    item: FrameSet,
    done: Sequence[CalculatedFrame],
    end: str,
    program: str,
    dynamics: Mapping[str, Any] | None = None,
    temperature: Callable[..., float] = float,
) -> tuple[dict[str, Labels | str], dict[str, FrameSet]]:
    """Return the outcome of every frame requested from a job.

    :param item: frames of the job, or the single initial frame of dynamics.
    :param done: computed frames in order, or the steps of dynamics including the initial one.
    :param end: why there are no more.
    :param program: name of the program.
    :param dynamics: ``steps`` and ``interval`` of dynamics, or None.
    :param temperature: function that returns the temperature (K) of a step of ``dynamics``.
    :returns: by the names of `requested_ids`, the labels or the reason of a failure; and, by the same names, the frames
        (sets of one) sampled from dynamics.
    """
    names = requested_ids([item], dynamics)
    outcomes: dict[str, Labels | str] = dict.fromkeys(names, Unreached(end))
    other = f'{program} used another cell, other atoms or other positions'
    if dynamics is None:
        answers = zip(names, done, strict=False)
        outcomes |= {
            name: _outcome(frame, program) if _same(item, index, frame) else other
            for index, (name, frame) in enumerate(answers)
        }
        return outcomes, {}
    if done and not _same(item, 0, done[0]):
        return dict.fromkeys(names, other), {}
    outcomes |= {
        name: _outcome(frame, program) for name, frame in zip(names, done[:: dynamics['interval']], strict=False)
    }
    steps = range(dynamics['interval'], min(len(done), dynamics['steps'] + 1), dynamics['interval'])
    samples = {
        f'{item.ids[0]}:{step}': FrameSet.sort_atoms(
            symbols=item.symbols,
            cells=item.cells,
            positions=[done[step].positions],
            sources=f'frame_{item.ids[0]}',
            steps=[step],
            reasons=f'dynamics at {temperature(step, dynamics):.0f} K',
        )
        for step in steps
    }
    return outcomes, samples


def relaxation_outcome(
    item: FrameSet, done: Sequence[CalculatedFrame], end: str, program: str
) -> tuple[dict[str, Labels | str], dict[str, FrameSet]]:
    """Return the outcome of a relaxation and the relaxed frame, both by the id of the initial frame.

    :param item: initial frame (a set of one).
    :param done: computed steps, of which the last counts.
    :param end: why there are no more.
    :param program: name of the program.
    """
    name = str(item.ids[0])
    if not done:
        return {name: Unreached(end)}, {}
    last = done[-1]
    if last.symbols != item.symbols:
        return {name: f'{program} used other atoms'}, {}
    largest = float(np.linalg.norm(last.forces, axis=-1).max())
    moving = f'not relaxed in {len(done)} steps: the largest force is {largest:.3g} eV/A'
    relaxed = FrameSet.sort_atoms(
        symbols=item.symbols,
        cells=[last.cell],
        positions=[last.positions],
        sources=str(item.sources[0]),
        reasons=f'relaxed from {name}',
    )
    return {name: _outcome(last, program) if last.at_rest else moving}, {name: relaxed}


def _outcome(frame: CalculatedFrame, program: str) -> Labels | str:
    if not frame.converged:
        why = f': {frame.reason}' if frame.reason else ''
        return f'{program} reports that the electrons did not converge{why}'
    return Labels(frame.energy, frame.forces, frame.virial)


def _same(item: FrameSet, index: int, frame: CalculatedFrame) -> bool:
    """Return whether the program used the frame as given, up to lattice translations of atoms."""
    if frame.symbols != item.symbols or np.abs(frame.cell - item.cells[index]).max() > MOVED:
        return False
    fractional = (frame.positions - item.positions[index]) @ np.linalg.inv(item.cells[index])
    return bool(np.abs((fractional - np.rint(fractional)) @ item.cells[index]).max() < MOVED)
