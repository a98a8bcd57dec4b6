"""What programs of density-functional theory answered, as the outcome of each frame that they were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.labels.admission import Labels
from aiida_dpasse.labels.records import Unreached, requested_ids, settle, sound_frames
from aiida_dpasse.runs import Run
from aiida_dpasse.structures.calculated import CalculatedFrame

#: Largest distance in A between an atom as it was given and as the program had it: their files have eight decimals.
MOVED = 1e-6


def jobs_by_formula(what: str, sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frames that are worth labelling, without labels, as one job for each formula.

    :param what: kind of the jobs.
    """
    sound = concatenate(item.take(sound_frames(item, limits)).with_labels() for item in sets)
    items = [item for item in sound if len(item)]
    return {Run(what, number, data=item.formula): item for number, item in enumerate(items)}


def jobs_by_frame(what: str, sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frames that are worth labelling, without labels, as one job for each; ``what`` as in
    `jobs_by_formula`."""
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
    """Return the labelled sets and the account of `settle` for the frames of ``sets``.

    :param jobs: the frames of each job.
    :param read: gives, for a job, what it answered and why it answered no more.
    :param program: its name.
    :param limits: what is admitted, ``dynamics`` and ``relaxation``.
    :param temperature: gives the temperature (K) of a step of the dynamics.
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
    """Return the outcome of everything that a job was asked for, by the names of `requested_ids`, and the frames (sets
    of one) that dynamics came to, by the same names.

    :param item: the frames that the job was given, or the one that dynamics started from.
    :param done: what it answered: a frame each in order, or each step of dynamics, the start included.
    :param end: why it answered no more.
    :param program: its name.
    :param dynamics: ``steps`` and ``interval`` if it ran dynamics.
    :param temperature: gives the temperature (K) of a step of ``dynamics``.
    """
    names = requested_ids([item], dynamics)
    outcomes: dict[str, Labels | str] = dict.fromkeys(names, Unreached(end))
    other = f'{program} had another cell, other atoms or positions'
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
    """Return the outcome of a relaxation from the frame ``item`` (a set of one) and the frame that it came to, both by
    the id of the frame that it started from.

    :param done: the steps that the program took, of which the last counts.
    :param end: why it took no more.
    :param program: its name.
    """
    name = str(item.ids[0])
    if not done:
        return {name: Unreached(end)}, {}
    last = done[-1]
    if last.symbols != item.symbols:
        return {name: f'{program} had other atoms'}, {}
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
        return f'{program} says: the electrons did not converge'
    return Labels(frame.energy, frame.forces, frame.virial)


def _same(item: FrameSet, index: int, frame: CalculatedFrame) -> bool:
    """Whether the program had the frame that it was given; it may have moved atoms by lattice vectors."""
    if frame.symbols != item.symbols or np.abs(frame.cell - item.cells[index]).max() > MOVED:
        return False
    fractional = (frame.positions - item.positions[index]) @ np.linalg.inv(item.cells[index])
    return bool(np.abs((fractional - np.rint(fractional)) @ item.cells[index]).max() < MOVED)
