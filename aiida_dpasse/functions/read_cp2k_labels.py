"""Read the labels of the frames of a batch from CP2K's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.cp2k.input import temperature_at
from aiida_dpasse.cp2k.output import Frame, read_frames
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.admission import Labels, limits_of
from aiida_dpasse.drivers.records import requested_ids, settle
from aiida_dpasse.functions.plan_cp2k_label import cp2k_jobs

#: Files of :func:`read_frames`, in its order.
FILES = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell', 'aiida.out')
UNCONVERGED = 'CP2K says: SCF run NOT converged'
OTHER_FRAME = 'CP2K had another cell, other atoms or positions'
#: Largest distance in A between an atom as it was given and as CP2K had it: its files have ten decimals.
MOVED = 1e-6


@calcfunction
def read_cp2k_labels(frames: FramesData, parameters: orm.Dict, **answers: orm.FolderData) -> dict[str, orm.Data]:
    """Return ``account`` and, if any frame is admitted, ``frames``.

    ``answers`` holds what each job of :func:`cp2k_jobs` left. A frame whose electrons did not converge, by CP2K's own
    statement, has failed; so have the frames that a job did not come to, while those before them are kept.
    """
    sets = frames.sets()
    limits = limits_of(parameters.get_dict(), frames.elements)
    outcomes: dict[str, Labels | str] = {}
    samples: dict[str, FrameSet] = {}
    for job, item in cp2k_jobs(sets, limits).items():
        names = requested_ids([item], limits['dynamics'])
        if job not in answers:
            outcomes |= dict.fromkeys(names, 'CP2K left no files')
            continue
        outcomes |= dict.fromkeys(names, _end(answers[job]))
        try:
            done = read_frames(*(_content(answers[job], name) for name in FILES))
        except ValueError as error:
            outcomes |= dict.fromkeys(names, f'its files cannot be read: {error}')
            continue
        if limits['dynamics'] is None:
            outcomes |= _given(item, done)
        else:
            samples |= _samples(item, done, limits['dynamics'])
            reached = zip(names, done[:: limits['dynamics']['interval']], strict=False)
            outcomes |= {name: _outcome(frame) for name, frame in reached}
    admitted, account = settle(sets, outcomes, limits, 'it was in no job', samples)
    outputs: dict[str, orm.Data] = {'account': orm.Dict(account)}
    if admitted:
        outputs['frames'] = FramesData.from_sets(admitted)
    return outputs


def _content(folder: orm.FolderData, name: str) -> str:
    names = folder.base.repository.list_object_names()
    return str(folder.base.repository.get_object_content(name)) if name in names else ''


def _end(folder: orm.FolderData) -> str:
    """Why a job has no more frames: the exit code of the calculation that left it, and what CP2K's log says of it."""
    boxed = [line.strip(' *|/\\_') for line in _content(folder, 'aiida.out').splitlines() if line.startswith(' *')]
    aborts = [index for index, line in enumerate(boxed) if 'ABORT' in line]
    said = next((line for line in boxed[aborts[0] + 1 :] if line), '') if aborts else ''
    status = '' if folder.creator is None else f' (exit code {folder.creator.exit_status})'
    return f'CP2K ended before this frame{status}{": " + said if said else ""}'


def _outcome(frame: Frame) -> Labels | str:
    return Labels(frame.energy, frame.forces, frame.virial) if frame.converged else UNCONVERGED


def _given(item: FrameSet, done: Sequence[Frame]) -> dict[str, Labels | str]:
    """The outcome of each frame that was given and reached."""
    outcomes: dict[str, Labels | str] = {}
    for index, frame in enumerate(done[: len(item)]):
        same = frame.symbols == item.symbols and np.abs(frame.cell - item.cells[index]).max() < MOVED
        same = same and np.abs(frame.positions - item.positions[index]).max() < MOVED
        outcomes[str(item.ids[index])] = _outcome(frame) if same else OTHER_FRAME
    return outcomes


def _samples(start: FrameSet, done: Sequence[Frame], dynamics: Mapping[str, Any]) -> dict[str, FrameSet]:
    """The frames that dynamics came to, every ``interval``-th step, by the names of :func:`requested_ids`."""
    steps = range(dynamics['interval'], min(len(done), dynamics['steps'] + 1), dynamics['interval'])
    return {
        f'{start.ids[0]}:{step}': FrameSet.sort_atoms(
            symbols=start.symbols,
            cells=start.cells,
            positions=[done[step].positions],
            sources=f'frame_{start.ids[0]}',
            steps=[step],
            reasons=f'dynamics at {temperature_at(step, dynamics):.0f} K',
        )
        for step in steps
    }
