"""Read the labels of the frames of a batch from CP2K's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.cp2k.input import temperature_at
from aiida_dpasse.cp2k.output import read_frames
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.label_outputs import label_outputs
from aiida_dpasse.label.plan_cp2k_label import cp2k_jobs
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.answers import settle_jobs
from aiida_dpasse.structures.calculated import CalculatedFrame

#: Files of :func:`read_frames`, in its order.
FILES = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell', 'aiida.out')


@calcfunction
def read_cp2k_labels(
    frames: FramesData, parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.FolderData]
) -> dict[str, orm.Data]:
    """Return ``account`` and, if any frame is admitted, ``frames``.

    A frame whose electrons did not converge, by CP2K's own statement, has failed; so have the frames that a job did not
    come to, while those before them are kept.

    :param runs: the record of each job, which says what frames it is of.
    :param inputs: by the ids of :func:`cp2k_jobs`, what each job left, ``retrieved``.
    """
    sets, retrieved = frames.sets(), inputs.get('retrieved', {})
    limits = limits_of(parameters.get_dict(), frames.elements)
    admitted, account = settle_jobs(
        sets, cp2k_jobs(sets, limits), lambda run: _read(retrieved.get(run.id), limits), 'CP2K', limits, temperature_at
    )
    return label_outputs(admitted, account)


def _read(folder: orm.FolderData | None, limits: Mapping[str, Any]) -> tuple[list[CalculatedFrame], str]:
    """The frames that a job left, and why there are no more."""
    if folder is None:
        return [], 'CP2K left no files'
    try:
        positions, forces, cells, output = (_content(folder, name) for name in FILES)
        relaxation = limits['relaxation'] is not None
        return read_frames(positions, forces, cells, output, relaxation), _end(folder)
    except ValueError as error:
        return [], f'its files cannot be read: {error}'


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
