"""Read the labels of a batch from the output of CP2K."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.cp2k.input import temperature_at
from aiida_dpasse.cp2k.output import read_frames
from aiida_dpasse.cp2k.releases import WITHOUT_EVAL_FORCES, release_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.cp2k.plan import cp2k_jobs
from aiida_dpasse.label.label_outputs import label_outputs
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.answers import settle_jobs
from aiida_dpasse.structures.calculated import CalculatedFrame

#: Files in the order of the arguments of :func:`read_frames`.
FILES = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell', 'aiida.out')


@calcfunction
def read_cp2k_labels(
    frames: FramesData, parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.FolderData]
) -> dict[str, orm.Data]:
    """Read and check the labels of a batch computed with CP2K.

    A frame whose electrons did not converge, according to CP2K, has failed. If a job ends early, the frames that it did
    not reach have failed and those before them are kept.

    :param frames: frames of the batch.
    :param parameters: `Cp2kLabelParameters`.
    :param runs: record of each job; it keeps the frames of the jobs in the provenance.
    :param inputs: namespace ``retrieved`` with the retrieved folders by the id of the run, see :func:`cp2k_jobs`.
    :returns: ``account`` and, if any frame is accepted, ``frames`` with energies (eV), forces (eV/A) and virials (eV).
    """
    sets, retrieved = frames.sets(), inputs.get('retrieved', {})
    limits = limits_of(parameters.get_dict(), frames.elements)
    admitted, account = settle_jobs(
        sets, cp2k_jobs(sets, limits), lambda run: _read(retrieved.get(run.id), limits), 'CP2K', limits, temperature_at
    )
    return label_outputs(admitted, account)


def _read(folder: orm.FolderData | None, limits: Mapping[str, Any]) -> tuple[list[CalculatedFrame], str]:
    """Return the frames that a job computed, and why it computed no more."""
    if folder is None:
        return [], 'CP2K wrote no files'
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
    """Return why a job computed no more frames: its exit code and the message of CP2K's abort."""
    output = _content(folder, 'aiida.out')
    # Earlier releases write the name in a warning, below their head.
    if 'EVAL_ENERGY_FORCES' in output and (release_of(output) or WITHOUT_EVAL_FORCES) >= WITHOUT_EVAL_FORCES:
        return "CP2K does not know EVAL_ENERGY_FORCES: set `cp2k.release` to CP2K's release, 2026.2"
    boxed = [line.strip(' *|/\\_') for line in output.splitlines() if line.startswith(' *')]
    aborts = [index for index, line in enumerate(boxed) if 'ABORT' in line]
    said = next((line for line in boxed[aborts[0] + 1 :] if line), '') if aborts else ''
    status = '' if folder.creator is None else f' (exit code {folder.creator.exit_status})'
    return f'CP2K ended before this frame{status}{": " + said if said else ""}'
